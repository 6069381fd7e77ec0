/**
 * Creating, deleting and growing volumes; snapshots and clones, which are volumes that begin with a cut.
 */
import type { EpochSeq, MappingId, VolumeId } from '../base/brands.ts';
import { EFBIG, FlashCopyError, IoError } from '../base/errors.ts';
import type { CloneVolume, CreateSnapshot, CreateVolume, Labels } from '../base/model.ts';
import { checkBitmapMemory, pagesOf } from './bitmap-memory.ts';
import { startCopyLoop } from './copy-loop.ts';
import { cut, type Member } from './cut.ts';
import { flushCut, flushData } from './flush.ts';
import { op, type Plan } from './ops.ts';
import { COPY_RATE_DEFAULT } from './rate.ts';
import type { MappingRow, VolumeRow } from './rows.ts';
import { put, removeFiles, type State } from './state.ts';
import { checkGrain, checkLabels, checkName, checkRate, checkSize, GRAIN_DEFAULT } from './validate.ts';
import { fileSize, Volume } from './volume.ts';

export function* createVolume(state: State, request: CreateVolume): Plan<Volume> {
  checkName('volume', request.name);
  checkSize(request.sizeBytes);
  const row = newRow(state, request.name, 'volume', request.sizeBytes, request.grainBytes || GRAIN_DEFAULT);
  checkGrain(row.grain);
  row.provisioning = request.provisioning ?? 'thin';
  row.cowFailure = request.cowFailure ?? 'breakSnapshot';
  label(row, request.labels);
  const [existing] = yield* settledNames(state, [request.name]);
  if (existing !== undefined) return sameVolume(existing, row);
  const volume = reserveName(state, row);
  try {
    yield op.create(volume.file, fileSize(row), row.provisioning === 'thick');
    yield* state.commit([put('volume', row)]);
    state.volumes.set(row.id, volume);
  } catch (error) {
    state.names.delete(row.name);
    yield* removeFiles(state, [volume.file]);
    throw tooLarge(error, row.size) ?? error;
  } finally {
    state.runner.fire(state.nameSettled);
  }
  return volume;
}

function tooLarge(error: unknown, size: number): FlashCopyError | null {
  if (!(error instanceof IoError) || error.errno !== EFBIG) return null;
  const text = `a size of ${size} bytes: the pool's filesystem has no files that large; ask for less`;
  return new FlashCopyError('InvalidArgument', text, { cause: error });
}

/** Who has the names, all at one time: as long as a request for one of them is under way, it is waited for. */
function* settledNames(state: State, names: string[]): Plan<(Volume | undefined)[]> {
  for (;;) {
    const volumes = names.map((name) => state.names.get(name));
    if (volumes.every((v) => v === undefined || state.volumes.has(v.id))) return volumes;
    yield state.nameSettled;
  }
}

/** The name is taken from here on, so that two requests cannot both have it. */
function reserveName(state: State, row: VolumeRow): Volume {
  const volume = new Volume(row, state.runner, state.arena);
  state.names.set(row.name, volume);
  return volume;
}

function newRow(state: State, name: string, kind: VolumeRow['kind'], size: number, grain: number): VolumeRow {
  const id = state.newId() as VolumeId;
  return {
    id,
    name,
    kind,
    size,
    grain,
    provisioning: 'thin',
    cowFailure: 'breakSnapshot',
    file: id,
    held: null,
    parent: null,
    source: null,
    since: 0 as EpochSeq,
    epoch: 0 as EpochSeq,
    sparse: true,
    retired: false,
    offline: '',
    createdAt: state.clock.now(),
  };
}

function label(row: VolumeRow, labels: Labels = {}): void {
  checkLabels(labels);
  if (Object.keys(labels).length > 0) row.labels = { ...labels };
}

/** The same request again gets what is there; another one is told the field that differs. */
function sameVolume(existing: Volume, wanted: VolumeRow): Volume {
  for (const field of ['kind', 'size', 'grain', 'provisioning', 'cowFailure', 'source'] as const) {
    if (existing.row[field] === wanted[field]) continue;
    throw new FlashCopyError(
      'AlreadyExists',
      `${wanted.name} exists already with ${field} ${existing.row[field]}, asked for was ${wanted[field]}: use another name`,
    );
  }
  return existing;
}

export function* createSnapshots(state: State, requests: CreateSnapshot[]): Plan<Volume[]> {
  if (requests.length === 0)
    throw new FlashCopyError('InvalidArgument', 'no volume was named to take a snapshot of');
  const sources = requests.map((r) => state.findVolume(r.source));
  if (new Set(sources).size !== sources.length)
    throw new FlashCopyError('InvalidArgument', 'a volume can be named once in a group of snapshots');
  const rows = requests.map((r, i) => {
    checkName('snapshot', r.name);
    checkRate(r.copyRate ?? 0);
    const source = sources[i]!;
    source.checkOnline();
    const row = newRow(state, r.name, 'snapshot', source.row.size, source.grain);
    row.source = source.row.id;
    label(row, r.labels);
    return row;
  });
  const existing = yield* settledNames(
    state,
    rows.map((row) => row.name),
  );
  if (existing.every((v) => v !== undefined)) {
    const same = existing.map((v, i) => sameCopy(v, rows[i]!));
    for (const copy of same) yield* reportedCut(state, copy);
    return same;
  }
  const taken = existing.find((v) => v !== undefined);
  if (taken !== undefined || new Set(rows.map((r) => r.name)).size !== rows.length)
    throw new FlashCopyError(
      'AlreadyExists',
      `${taken?.name ?? rows[0]!.name} is already taken: use another name`,
    );
  const copies = rows.map((row, i) => ({
    row,
    source: sources[i]!,
    rate: requests[i]!.copyRate ?? 0,
    isAsSource: true,
  }));
  return yield* cutNew(state, copies, false);
}

/** A copy that was asked for again: not to be taken for made before its cut is durable, nor where it could not be made so. */
function* reportedCut(state: State, copy: Volume): Plan<void> {
  while (yield* flushCut(state, copy)) yield* state.log.roomForBits();
  copy.checkOnline();
}

/** As large as its source: one that has grown since does not make it another copy. */
function sameCopy(existing: Volume, wanted: VolumeRow): Volume {
  return sameVolume(existing, { ...wanted, size: existing.row.size });
}

export function* cloneVolume(state: State, sourceName: string, request: CloneVolume): Plan<Volume> {
  const source = state.findVolume(sourceName);
  source.checkOnline();
  checkName('volume', request.name);
  const size = request.sizeBytes || source.row.size;
  checkSize(size);
  checkRate(request.copyRate ?? COPY_RATE_DEFAULT);
  if (request.grainBytes && request.grainBytes !== source.grain)
    throw new FlashCopyError(
      'InvalidArgument',
      `a clone with grains of ${request.grainBytes} bytes of ${source.name}, whose grains have ${source.grain}: a copy has its source's grain`,
    );
  const row = newRow(state, request.name, 'volume', size, source.grain);
  row.provisioning = request.provisioning ?? source.row.provisioning;
  row.cowFailure = request.cowFailure ?? source.row.cowFailure;
  row.source = source.row.id;
  label(row, request.labels);
  const [existing] = yield* settledNames(state, [request.name]);
  const isAsSource = !request.sizeBytes;
  if (existing !== undefined) {
    const same = isAsSource ? sameCopy(existing, row) : sameVolume(existing, row);
    yield* reportedCut(state, same);
    return same;
  }
  checkCloneSize(size, source);
  const copy = { row, source, rate: request.copyRate ?? COPY_RATE_DEFAULT, isAsSource };
  return (yield* cutNew(state, [copy], request.incremental ?? false))[0]!;
}

function checkCloneSize(size: number, source: Volume): void {
  if (size >= source.row.size) return;
  throw new FlashCopyError(
    'InvalidArgument',
    `a clone of ${size} bytes of ${source.name}, which has ${source.row.size}: ask for at least as much`,
  );
}

/** `isAsSource`: as large as the source is when it is cut, which may have grown since the copy was asked for. */
type NewCopy = { row: VolumeRow; source: Volume; rate: number; isAsSource: boolean };

/** Make new volumes that show their sources as of one instant. All or nothing. */
function* cutNew(state: State, copies: NewCopy[], incremental: boolean): Plan<Volume[]> {
  const targets = copies.map((c) => reserveName(state, c.row));
  try {
    for (const t of targets) yield op.create(t.file, fileSize(t.row), t.row.provisioning === 'thick');
    const members: Member[] = copies.map((c, i) => ({
      source: c.source,
      target: targets[i]!,
      mapping: mappingRow(state, c, incremental),
      fresh: true,
      file: c.row.file,
      fileBytes: fileSize(c.row),
    }));
    yield* cut(state, members, () => {
      copies.forEach((copy, i) => void checkStill(copy, targets[i]!));
    });
  } catch (error) {
    for (const t of targets) {
      if (state.volumes.has(t.id)) continue; // the cut is made; what failed came after it
      if (state.names.get(t.name) === t) state.names.delete(t.name);
      yield* removeFiles(state, [t.file]);
    }
    throw error;
  } finally {
    state.runner.fire(state.nameSettled);
    for (const t of targets) {
      // None before the cut, nor where it was deleted again, and is gone, while its source was flushed.
      const mapping = state.mappingOf(t);
      if (mapping !== undefined) startCopyLoop(state, mapping);
    }
  }
  return targets;
}

/** Whether the copy can still be made; its size is the one that counts from here on. */
function checkStill({ source, isAsSource }: NewCopy, target: Volume): void {
  if (source.row.retired || source.removed)
    throw new FlashCopyError('VolumeNotFound', `${source.name} was deleted before it could be copied`);
  source.checkOnline();
  if (isAsSource) target.row = { ...target.row, size: source.row.size };
  checkCloneSize(target.row.size, source);
}

function mappingRow(state: State, copy: NewCopy, incremental: boolean): MappingRow {
  return {
    id: state.newId() as MappingId,
    name: copy.row.name,
    source: copy.source.row.id,
    target: copy.row.id,
    state: 'prepared',
    copyRate: copy.rate,
    incremental,
    cut: 0 as EpochSeq,
    cutAt: 0,
    error: '',
  };
}

/** Answers as soon as it is decided; the space comes back behind it. */
export function* deleteVolume(state: State, name: string, kind: VolumeRow['kind']): Plan<void> {
  const volume = state.findVolume(name);
  if (volume.row.kind !== kind)
    throw new FlashCopyError(
      'InvalidArgument',
      `${name} is a ${volume.row.kind}: delete it with \`flashcopy ${volume.row.kind} rm\``,
    );
  yield* state.structure.run(retire(state, volume));
  state.runner.fire(state.retiredWake);
}

function* retire(state: State, volume: Volume): Plan<void> {
  if (volume.row.retired) return;
  const row: VolumeRow = { ...volume.row, name: `.retired-${volume.id}`, retired: true };
  // Mappings that have not begun, from or to it, have no meaning any more.
  const idle = [...state.mappings.values()].filter(
    (m) => (m.row.source === volume.row.id || m.row.target === volume.row.id) && m.row.cut === 0,
  );
  yield* state.commit([
    put('volume', row),
    ...idle.map((m) => ({ table: 'mapping', key: m.row.id, row: null })),
  ]);
  state.names.delete(volume.name);
  volume.row = row;
  for (const m of idle) {
    state.mappings.delete(m.row.id);
    state.listener.mappingChanged(m.row.id);
  }
  const mapping = state.mappingOf(volume);
  if (mapping !== undefined) {
    // Nobody wants it whole any more.
    mapping.row = { ...mapping.row, copyRate: 0 };
    state.runner.fire(mapping.wake);
  }
}

export function* growVolume(state: State, name: string, sizeBytes: number): Plan<Volume> {
  const volume = state.findVolume(name);
  checkSize(sizeBytes);
  if (volume.readOnly)
    throw new FlashCopyError('InvalidArgument', `${name} is a snapshot: a snapshot does not grow`);
  yield* state.structure.run(grow(state, volume, sizeBytes));
  return volume;
}

function* grow(state: State, volume: Volume, size: number): Plan<void> {
  if (volume.row.retired)
    throw new FlashCopyError('VolumeNotFound', `${volume.name} was deleted before it could grow`);
  if (size === volume.row.size) return;
  // What was found damaged stays as it was found (B1): a short file would not be one any more.
  if (volume.suspended !== '' || volume.badFile !== '') volume.checkOnline();
  if (size < volume.row.size)
    throw new FlashCopyError(
      'InvalidArgument',
      `${volume.name} has ${volume.row.size} bytes and cannot shrink to ${size}: a volume only grows`,
    );
  const growing = [volume.held, volume.open].filter((b) => b !== null).length;
  const pages = (pagesOf(size / volume.grain) - pagesOf(volume.grains)) * growing;
  if (pages > 0) checkBitmapMemory(state, `The growth of ${volume.name}`, pages);
  try {
    yield op.resize(volume.file, fileSize({ ...volume.row, size }), volume.row.provisioning === 'thick');
    // Before the row says so: a file that is shorter than its row says is a damaged one.
    yield* flushData(state, volume);
  } catch (error) {
    throw tooLarge(error, size) ?? error;
  }
  volume.gate.close();
  try {
    yield* volume.gate.drain();
    const before = volume.grains;
    const row = { ...volume.row, size };
    const added = Math.ceil(size / volume.grain) - before;
    const changes = [put('volume', row)];
    const bitmaps = volume.epochs.map((e) => e.bitmap);
    if (volume.held !== null) bitmaps.push(volume.held);
    // What the parent has not, the volume holds: zeros. To those who will sync from it, they are a change.
    const marked = [volume.held, volume.open?.bitmap ?? null].filter((b) => b !== null);
    for (const b of bitmaps) {
      const old = state.bitmaps.get(b.id)!;
      const held = added > 0 && marked.includes(b);
      changes.push(
        put('bitmap', {
          ...old,
          bits: before + added,
          preset: held ? [...old.preset, [before, added]] : old.preset,
        } as never),
      );
    }
    yield* state.commit(changes);
    volume.row = row;
    for (const b of bitmaps) b.bits = before + added;
    if (added > 0) for (const b of marked) b.setRange(before, added);
  } finally {
    volume.gate.release();
  }
}
