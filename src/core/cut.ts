/**
 * The cut: one instant for one or several sources.
 *
 *   1. everything that can be prepared is: files, bitmaps, rows
 *   2. the gates of all sources close, and those inside leave
 *   3. one commit: each source's epoch ends and the next begins; each target hangs on its source, and the target that
 *      was the newest until now hangs on it
 *   4. the same in memory; the gates open
 *   5. the sources' data is flushed: before the cut is reported, what it shows is durable
 *
 * Between 2 and 4 the host waits.
 */
import type { EpochSeq, VolumeId } from '../base/brands.ts';
import { assert } from '../base/errors.ts';
import type { Bitmap } from './bitmap.ts';
import { bitmapFile } from './bitmap-file.ts';
import { checkBitmapMemory, pagesOf } from './bitmap-memory.ts';
import { flushCut, flushVolume } from './flush.ts';
import type { RangeLock } from './locks.ts';
import { loseCuts, loseNewReaders, setMended, setOffline } from './offline.ts';
import { op, type Plan, type PoolFile, type RowChange, Signal } from './ops.ts';
import type { BitmapRow, MappingRow, VolumeRow } from './rows.ts';
import { drop, put, removeFiles, type State } from './state.ts';
import { dataFile, type Epoch, fileSize, Volume } from './volume.ts';

/** A target is a new volume (`fresh`) with an empty file, or an existing one that takes over such a file; of `fileBytes`. */
export type Member = {
  source: Volume;
  target: Volume;
  mapping: MappingRow;
  fresh: boolean;
  file: number;
  fileBytes: number;
};

/** Volumes' rows as the transaction leaves them: one volume can have several parts in a group's cut. */
type Draft = Map<Volume, VolumeRow>;

function edit(draft: Draft, volume: Volume, fields: Partial<VolumeRow>): VolumeRow {
  const row = { ...(draft.get(volume) ?? volume.row), ...fields };
  draft.set(volume, row);
  return row;
}

/** One source's part of the transaction. */
type Prepared = { rows: RowChange[]; apply: () => void; files: PoolFile[] };

/**
 * `check` throws if the cut must not be made any more: much may have changed since it was asked for. When it has returned, no
 * target is smaller than its source: behind its end, those that come to hang on it would get nothing of what they need.
 */
export function* cut(state: State, members: Member[], check: () => void): Plan<void> {
  while (yield* state.structure.run(cutNow(state, members, check))) yield* state.log.roomForBits();
  // 5. What the targets show is durable.
  let failure: unknown = null;
  for (const { source, target } of members) {
    try {
      yield* flushSource(state, source, target);
    } catch (error) {
      failure = error;
    }
  }
  for (const m of members) state.listener.mappingChanged(m.mapping.id);
  if (failure !== null) throw failure;
}

/**
 * Flush a source after its cut. One that was deleted and is gone has given its grains to the target durably. Where its
 * file's flush fails, what the target shows may not be durable, and a later flush would prove nothing (B3): the target is
 * broken. Where it is the bits that find no room, it can be asked for again.
 */
export function* flushSource(state: State, source: Volume, target: Volume): Plan<void> {
  const cut = target.unflushedCut;
  const { file } = source;
  try {
    while (yield* flushVolume(state, source)) yield* state.log.roomForBits();
    if (target.unflushedCut === cut) target.unflushedCut = 0;
  } catch (error) {
    // Whoever reads between: newer targets may have come. Another flush may have done it before.
    const mayBeLost = source.unflushed || source.file !== file;
    const isLost = mayBeLost && cut !== 0 && target.unflushedCut === cut;
    if (isLost) target.unflushedCut = 0;
    if (source.removed) return;
    if (isLost)
      setOffline(state, target, `what it shows could not be made durable: ${(error as Error).message}`);
    throw error;
  }
}

/** True: not yet, the undo log has no room for what has to be durable before. */
function* cutNow(state: State, members: Member[], check: () => void): Plan<boolean> {
  check();
  for (const { source, target } of members)
    assert(target.row.size >= source.row.size, `${target.name} is smaller than ${source.name}`);
  const sources = [...new Set(members.map((m) => m.source))];
  assert(sources.length === members.length, 'a source takes part in a cut once');
  checkMemory(state, members);
  const taken = members.filter((m) => !m.fresh).map((m) => m.target);
  for (const source of sources) if (yield* flushCut(state, source)) return true;
  // What they show is in a file that is not their source's any more afterwards.
  for (const target of taken)
    for (const reader of target.readers()) if (yield* flushCut(state, reader)) return true;
  for (const m of members) yield* sizeFile(m);
  const gated = [...sources, ...taken];
  // 2. The gates.
  const closedAt = state.clock.micros();
  for (const v of gated) v.gate.close();
  for (const source of sources) source.adopting++;
  const files: PoolFile[] = [];
  const locks: [Volume, RangeLock][] = [];
  try {
    for (const v of gated) yield* v.gate.drain();
    // What comes to a file from the undo log does not come to another one.
    for (const v of taken) locks.push([v, yield* v.locks.take(0, v.grains)]);
    for (const source of sources) source.checkOnline();
    // 3. The commit.
    const cutAt = state.clock.now();
    const draft: Draft = new Map();
    const prepared = members.map((m) => prepare(state, m, cutAt, draft));
    const rows = [...draft.values()].map((row) => put('volume', row));
    yield* state.commit([...rows, ...prepared.flatMap((p) => p.rows)]);
    // 4. In memory.
    state.counters.cuts++;
    for (const [volume, row] of draft) volume.row = row;
    for (const p of prepared) {
      p.apply();
      files.push(...p.files);
    }
    // Its flush has failed beside the commit, or that of one that it reads through.
    for (const source of sources) {
      if (source.unflushed) loseCuts(state, source);
      loseNewReaders(state, source);
    }
  } finally {
    for (const [v, lock] of locks) v.locks.give(lock);
    for (const source of sources) source.adopting--;
    for (const v of gated) v.gate.release();
    notePause(state, closedAt);
  }
  yield* removeFiles(state, files);
  return false;
}

/** Each target gets an FC bitmap; it and its source get an epoch, which takes no pages in a snapshot: nothing is ever written there. */
function checkMemory(state: State, members: Member[]): void {
  let pages = 0;
  for (const { source, target } of members)
    pages += pagesOfEpoch(source) + pagesOf(target.grains) + pagesOfEpoch(target);
  checkBitmapMemory(state, `A copy of ${members.map((m) => m.source.name).join(', ')}`, pages);
}

const pagesOfEpoch = (volume: Volume): number => (volume.readOnly ? 0 : pagesOf(volume.grains));

/** It was made before the others had their turn, and the target may be larger by now. */
function* sizeFile({ target, file, fileBytes }: Member): Plan<void> {
  const bytes = fileSize(target.row);
  if (bytes === fileBytes) return;
  yield op.resize(dataFile(file), bytes, target.row.provisioning === 'thick');
  // Before the row says so: a file that is shorter than its row says is a damaged one.
  yield op.flush(dataFile(file));
}

export function notePause(state: State, closedAt: number): void {
  const us = state.clock.micros() - closedAt;
  state.counters.lastPauseUs = us;
  state.counters.longestPauseUs = Math.max(state.counters.longestPauseUs, us);
}

/** The newest target of the source, if it reads from it. */
export function newestTarget(state: State, source: Volume): Volume | undefined {
  return source.children.find((c) => c.row.source === source.row.id && !c.removed && state.volumes.has(c.id));
}

function prepare(state: State, m: Member, cutAt: number, draft: Draft): Prepared {
  const { source, target } = m;
  const { epoch, bitmapRow } = state.newEpoch(source);
  const held = state.newBitmap(target.grains);
  const before = newestTarget(state, source);
  const old = retireContent(state, m, draft);
  const all = target.readOnly ? null : changeOfAll(state, target);
  const targetRow = edit(draft, target, {
    file: m.file,
    held: held.row.id,
    parent: source.row.id,
    source: source.row.id,
    since: (target.row.epoch + (all === null ? 1 : 2)) as EpochSeq,
    epoch: (target.row.epoch + (all === null ? 1 : 2)) as EpochSeq,
    sparse: target.row.provisioning === 'thin',
    offline: '',
    unflushed: false,
    cut: epoch.row.seq,
    ...(m.fresh && { createdAt: cutAt }),
  });
  const own = target.readOnly ? null : ownEpoch(state, target, targetRow);
  // Its copy rate may have been changed since the cut was asked for.
  const { copyRate } = state.mappings.get(m.mapping.id)?.row ?? m.mapping;
  const mappingRow: MappingRow = {
    ...m.mapping,
    copyRate,
    state: 'copying',
    cut: epoch.row.seq,
    cutAt,
    error: '',
  };
  edit(draft, source, { epoch: epoch.row.seq });
  if (before !== undefined) edit(draft, before, { parent: target.row.id });
  // Beyond the source's end the target holds its own zeros.
  const beyond = target.grains - source.grains;
  if (beyond > 0) held.row.preset.push([source.grains, beyond]);
  const rows = [
    ...old.rows,
    put('mapping', mappingRow),
    put('epoch', epoch.row),
    put('bitmap', bitmapRow),
    put('bitmap', held.row),
    ...[all, own].flatMap((e) => (e === null ? [] : [put('epoch', e.epoch.row), put('bitmap', e.bitmapRow)])),
  ];
  const apply = () => {
    old.apply();
    closeEpoch(source);
    source.epochs.push(epoch);
    if (before !== undefined) {
      before.parent = target;
      source.children = source.children.filter((c) => c !== before);
      target.children.push(before);
    }
    target.file = dataFile(m.file);
    // What was damaged of it at the start it has no more.
    target.suspended = '';
    setMended(state, target);
    target.unflushedCut = state.nextCut();
    target.sparse = targetRow.sparse;
    target.held = held.bitmap;
    target.parent = source;
    source.children.push(target);
    for (const e of [all, own]) if (e !== null) target.epochs.push(e.epoch);
    // Not before: without the commit nobody would give the pages back.
    setPreset(held.bitmap, held.row);
    if (all !== null) setPreset(all.epoch.bitmap, all.bitmapRow);
    adopt(state, target, mappingRow);
  };
  return { rows, apply, files: old.files };
}

function setPreset(bitmap: Bitmap, { preset }: BitmapRow): void {
  for (const [first, count] of preset) bitmap.setRange(first, count);
}

function ownEpoch(state: State, target: Volume, row: VolumeRow): { epoch: Epoch; bitmapRow: BitmapRow } {
  const own = state.newEpoch(target);
  own.epoch.row.seq = row.epoch;
  return own;
}

/** For those who will ask what changed in this volume since their cut: all of it did. */
function changeOfAll(state: State, target: Volume): { epoch: Epoch; bitmapRow: BitmapRow } | null {
  if (!state.mappingsFrom(target).some((m) => m.row.cut > 0)) return null;
  const all = state.newEpoch(target);
  all.epoch.marks = null;
  all.bitmapRow.preset.push([0, target.grains]);
  return all;
}

export function closeEpoch(volume: Volume): void {
  const open = volume.open;
  if (open === null) return;
  // Its file may name whole regions; from now on the exact bits can be written.
  if (open.marks!.size > 0) open.bitmap.dirty = true;
  open.marks = null;
}

function adopt(state: State, target: Volume, row: MappingRow): void {
  state.volumes.set(target.id, target);
  state.names.set(target.name, target);
  const mapping = state.mappings.get(row.id);
  if (mapping === undefined) {
    state.mappings.set(row.id, { row, wake: new Signal(), cursor: 0, running: false });
    return;
  }
  mapping.row = row;
  mapping.cursor = 0;
  state.runner.fire(mapping.wake);
}

/** What an existing target held until now: gone, or kept by a retired volume for those that read from it. */
function retireContent(state: State, m: Member, draft: Draft): Prepared {
  const { target } = m;
  if (m.fresh) return { rows: [], apply: () => {}, files: [] };
  const rows: RowChange[] = [];
  const files: PoolFile[] = [];
  for (const e of target.epochs) {
    rows.push(drop('epoch', e.row.id), drop('bitmap', e.bitmap.id));
    const row = state.bitmaps.get(e.bitmap.id);
    if (row !== undefined && row.gen > 0) files.push(bitmapFile(row.id, row.gen));
  }
  const dropEpochs = () => {
    for (const e of target.epochs) e.bitmap.release();
    target.epochs = [];
    state.log.forget(target);
  };
  if (target.children.length === 0) {
    files.push(target.file);
    return { rows, files, apply: dropEpochs };
  }
  const ghost = retiredTwin(state, target);
  rows.push(put('volume', ghost.row));
  const moved = [...target.children];
  for (const child of moved) edit(draft, child, { parent: ghost.row.id });
  const apply = () => {
    dropEpochs();
    state.volumes.set(ghost.id, ghost);
    for (const child of moved) {
      child.parent = ghost;
      ghost.children.push(child);
    }
    target.children = [];
    state.runner.fire(state.retiredWake);
  };
  return { rows, files, apply };
}

function retiredTwin(state: State, target: Volume): Volume {
  const id = state.newId() as VolumeId;
  const row: VolumeRow = { ...target.row, id, name: `.retired-${id}`, retired: true };
  const twin = new Volume(row, state.runner, state.arena);
  // The same object: what is found of the file while the commit is under way is said of it there.
  twin.file = target.file;
  return twin;
}
