/**
 * Mappings between existing volumes: create, prepare, start, sync, rate. How they end before their time: stop.ts.
 */
import type { EpochSeq, MappingId } from '../base/brands.ts';
import { FlashCopyError } from '../base/errors.ts';
import type { CreateMapping, MappingState } from '../base/model.ts';
import { checkBitmapMemory, checkCopyRate, pagesOf } from './bitmap-memory.ts';
import { startCopyLoop } from './copy-loop.ts';
import { cut, type Member } from './cut.ts';
import { flushCut, flushVolume } from './flush.ts';
import { op, type Plan, Signal } from './ops.ts';
import { COPY_RATE_DEFAULT } from './rate.ts';
import type { MappingRow } from './rows.ts';
import { put, removeFiles, type State } from './state.ts';
import { transition } from './states.ts';
import { syncTarget } from './sync.ts';
import { checkIncremental, checkName, checkPair, checkRate } from './validate.ts';
import { dataFile, fileSize, type Mapping, type Volume } from './volume.ts';

export function* createMapping(state: State, request: CreateMapping): Plan<Mapping> {
  checkName('mapping', request.name);
  const source = state.findVolume(request.source);
  const target = state.findVolume(request.target);
  const copyRate = request.copyRate ?? COPY_RATE_DEFAULT;
  checkRate(copyRate);
  const row: MappingRow = {
    id: state.newId() as MappingId,
    name: request.name,
    source: source.row.id,
    target: target.row.id,
    state: 'idle',
    copyRate,
    incremental: request.incremental ?? false,
    cut: 0 as EpochSeq,
    cutAt: 0,
    error: '',
  };
  return yield* state.structure.run(addMapping(state, row, request));
}

function* addMapping(state: State, row: MappingRow, request: CreateMapping): Plan<Mapping> {
  const existing = [...state.mappings.values()].find((m) => m.row.name === row.name);
  if (existing !== undefined) return sameMapping(existing, row);
  checkPair(state, state.findVolume(request.source), state.findVolume(request.target), null);
  const mapping: Mapping = { row, wake: new Signal(), cursor: 0, running: false };
  yield* state.commit([put('mapping', row)]);
  state.mappings.set(row.id, mapping);
  state.listener.mappingChanged(row.id);
  return mapping;
}

function sameMapping(existing: Mapping, wanted: MappingRow): Mapping {
  for (const field of ['source', 'target', 'incremental'] as const) {
    if (existing.row[field] === wanted[field]) continue;
    throw new FlashCopyError(
      'AlreadyExists',
      `mapping ${wanted.name} exists already with another ${field} (${existing.row[field]}, asked for was ${wanted[field]}): use another name`,
    );
  }
  return existing;
}

/** Change the mapping's row, as it is when nothing else changes: commit it, then show it. */
function* change(state: State, mapping: Mapping, to: (row: MappingRow) => MappingRow): Plan<void> {
  yield* state.structure.run(
    (function* () {
      if (state.mappings.get(mapping.row.id) !== mapping)
        throw new FlashCopyError('MappingNotFound', `mapping ${mapping.row.name} has ended or was deleted`);
      const row = to(mapping.row);
      // That it is suspended may be known in memory only.
      const said = mapping.said === undefined ? row : { ...row, ...mapping.said };
      yield* state.commit([put('mapping', said)]);
      mapping.row = row;
      state.runner.fire(mapping.wake);
      state.listener.mappingChanged(row.id);
    })(),
  );
}

const changeState = (state: State, mapping: Mapping, to: MappingState): Plan<void> =>
  change(state, mapping, (row) => ({ ...row, state: transition(row.name, row.state, to) }));

function ends(state: State, mapping: Mapping): { source: Volume; target: Volume } {
  if (state.mappings.get(mapping.row.id) !== mapping)
    throw new FlashCopyError('MappingNotFound', `mapping ${mapping.row.name} has ended or was deleted`);
  const source = state.volumes.get(mapping.row.source);
  const target = state.volumes.get(mapping.row.target);
  if (source === undefined || target === undefined || source.row.retired || target.row.retired)
    throw new FlashCopyError(
      'WrongState',
      `mapping ${mapping.row.name}: its ${target === undefined || target.row.retired ? 'target' : 'source'} was deleted; all it can do is end`,
    );
  return { source, target };
}

/** Flush the source, so that little is left to write when the cut is made. Asked again it is done again, also for an engine that died. */
export function* prepareMapping(state: State, name: string): Plan<Mapping> {
  const mapping = state.findMapping(name);
  if (mapping.row.state === 'prepared') return mapping;
  const { source } = ends(state, mapping);
  yield* changeState(state, mapping, 'preparing');
  try {
    yield* flushVolume(state, source);
  } catch (error) {
    yield* afterPreparing(state, mapping, mapping.row.cutAt > 0 ? 'stopped' : 'idle');
    throw error;
  }
  yield* afterPreparing(state, mapping, 'prepared');
  return mapping;
}

/** Unless another one has prepared it meanwhile, and perhaps somebody started it. */
const afterPreparing = (state: State, mapping: Mapping, to: MappingState): Plan<void> =>
  change(state, mapping, (row) =>
    row.state === 'preparing' ? { ...row, state: transition(row.name, row.state, to) } : row,
  );

export function* startMappings(state: State, names: string[], request: string): Plan<Mapping[]> {
  const mappings = [...new Set(names.map((n) => state.findMapping(n)))];
  if (mappings.length > 0 && mappings.every((m) => isDone(m, request))) {
    for (const mapping of mappings) yield* reportedCut(state, mapping);
    return mappings;
  }
  const members: Member[] = [];
  const check = (mapping: Mapping) => {
    const { source, target } = ends(state, mapping);
    checkStartable(mapping);
    checkPair(state, source, target, mapping);
    source.checkOnline();
    return { source, target };
  };
  for (const mapping of mappings) {
    const { source, target } = check(mapping);
    const row = { ...mapping.row, request };
    const fileBytes = fileSize(target.row);
    members.push({ source, target, mapping: row, fresh: false, file: state.newId(), fileBytes });
  }
  if (new Set(members.map((m) => m.source)).size !== members.length)
    throw new FlashCopyError(
      'InvalidArgument',
      'a source can take part once in a group that is started together',
    );
  const both = members.find(({ target }) => members.some(({ source }) => source === target))?.target;
  if (both !== undefined)
    throw new FlashCopyError(
      'InvalidArgument',
      `${both.name} is a target and a source in this group, which has one instant: start one mapping after the other`,
    );
  const made: number[] = [];
  try {
    for (const m of members) {
      made.push(m.file);
      yield op.create(dataFile(m.file), m.fileBytes, m.target.row.provisioning === 'thick');
    }
    yield* cut(state, members, () => {
      for (const mapping of mappings) check(mapping);
    });
  } catch (error) {
    const unused = made.filter((file) => !members.some((m) => m.target.row.file === file));
    yield* removeFiles(state, unused.map(dataFile));
    throw error;
  } finally {
    // Also where one source could not be flushed after the cut: the others' is made.
    for (const mapping of mappings) startCopyLoop(state, mapping);
  }
  return mappings;
}

function checkStartable(mapping: Mapping): void {
  const { name, state } = mapping.row;
  if (state === 'idle' || state === 'prepared' || state === 'stopped') return;
  const hint =
    state === 'copying' || state === 'copied'
      ? 'sync it, or stop it first'
      : state === 'preparing'
        ? 'prepare it again, should nobody be doing that any more'
        : 'delete it with force';
  throw new FlashCopyError(
    'WrongState',
    `mapping ${name} is ${state}: only an idle, prepared or stopped one can be started; ${hint}`,
  );
}

/** Asked again with the request that made its present cut. */
const isDone = (mapping: Mapping, request: string) => request !== '' && mapping.row.request === request;

/** Its cut is durable, or could not be made so. */
function* reportedCut(state: State, mapping: Mapping): Plan<void> {
  const target = state.volumes.get(mapping.row.target);
  if (target === undefined) return;
  while (yield* flushCut(state, target)) yield* state.log.roomForBits();
  if (mapping.row.state === 'suspended') target.checkOnline();
}

export function* syncMapping(state: State, name: string, request: string): Plan<Mapping> {
  const mapping = state.findMapping(name);
  checkIncremental(mapping);
  if (isDone(mapping, request)) {
    yield* reportedCut(state, mapping);
    return mapping;
  }
  try {
    yield* syncTarget(state, mapping, request, () => {
      const between = checkSyncable(state, mapping);
      if (!isDone(mapping, request)) checkMemory(state, between);
      return between;
    });
  } finally {
    // Also where its cut is made, and durable, and a later flush of the source has failed.
    startCopyLoop(state, mapping);
  }
  return mapping;
}

function checkSyncable(state: State, mapping: Mapping): { source: Volume; target: Volume } {
  const { source, target } = ends(state, mapping);
  if (mapping.row.state !== 'copying' && mapping.row.state !== 'copied')
    throw new FlashCopyError(
      'WrongState',
      `mapping ${mapping.row.name} is ${mapping.row.state}: it can be synced while copying or copied; start it first`,
    );
  source.checkOnline();
  target.checkOnline();
  if (target.row.size < source.row.size)
    throw new FlashCopyError(
      'InvalidArgument',
      `source ${source.name} has grown to ${source.row.size} bytes, target ${target.name} has ${target.row.size}: grow the target first`,
    );
  return { source, target };
}

/** The epochs of both begin anew. */
function checkMemory(state: State, { source, target }: { source: Volume; target: Volume }): void {
  const pages = pagesOf(source.grains) + pagesOf(target.grains);
  checkBitmapMemory(state, `A sync of ${target.name} from ${source.name}`, pages);
}

export function* setCopyRate(state: State, name: string, copyRate: number): Plan<Mapping> {
  const mapping = state.findMapping(name);
  checkRate(copyRate);
  yield* change(state, mapping, (row) => {
    checkCopyRate(state, state.volumes.get(row.target), copyRate);
    return { ...row, copyRate };
  });
  startCopyLoop(state, mapping);
  return mapping;
}
