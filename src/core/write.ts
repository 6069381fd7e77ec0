/**
 * Host writes and discards.
 *
 *   0. through the gate: a cut waits for those inside
 *   1. lock: the volume's own grains if it may not hold them, then those of each child that may lack them
 *   2. each child that lacks a grain gets its content, durably, through the undo log (H1, H2); in the same record the
 *      regions that this epoch writes for the first time are marked (C2)
 *   3. the epoch's change bits are set (C1)
 *   4. a partly written grain that the volume lacks is filled up from its parent
 *   5. the data is written
 *   6. the volume holds the grains (H3); the log's older copies of them count no more
 *
 * A discard is a write of zeros that leaves a hole.
 */
import { assert } from '../base/errors.ts';
import { breakTargets, makeDurable } from './break.ts';
import { readContent } from './content.ts';
import type { RangeLock } from './locks.ts';
import type { LogEntry } from './log-entry.ts';
import { SLOT } from './log-record.ts';
import { isDead } from './offline.ts';
import { type Block, op, type Plan } from './ops.ts';
import type { State } from './state.ts';
import { type Epoch, REGION_GRAINS, type Volume } from './volume.ts';

/** Of one step: what a lock is held over, and what one undo log record takes. */
const STEP_BYTES = 1024 * 1024;
/** Payload of one undo log record. */
const RECORD_BYTES = 2 * 1024 * 1024;
const zeros = new Uint8Array(STEP_BYTES);

/** What lands: data of a block, or a hole. */
type Source = { block: Block; start: number } | null;

export function* hostWrite(
  state: State,
  volume: Volume,
  offset: number,
  length: number,
  block: Block,
  start: number,
): Plan<void> {
  volume.checkOnline();
  state.counters.hostWrites++;
  const room = yield* enter(state, volume, offset, length);
  try {
    volume.checkOnline();
    yield* land(state, volume, offset, length, { block, start }, room > 0);
  } finally {
    leave(state, volume, room);
  }
}

/** Through the gate, with room in the undo log if the request may need it: how much was reserved. */
function* enter(state: State, volume: Volume, offset: number, length: number): Plan<number> {
  const first = Math.floor(offset / volume.grain);
  const count = Math.ceil((offset + length) / volume.grain) - first;
  for (;;) {
    yield* volume.gate.enter();
    if (!mayAppend(volume, first, count)) return 0;
    // Where grains cannot be read, each may have a record of its own.
    const room = state.log.tryReserve(((volume.children.length * volume.grain) / SLOT) * count, count);
    if (room > 0) return room;
    volume.gate.leave();
    yield* state.log.room();
  }
}

function leave(state: State, volume: Volume, room: number): void {
  if (room > 0) state.log.unreserve(room);
  volume.gate.leave();
}

export function* hostDiscard(state: State, volume: Volume, offset: number, length: number): Plan<void> {
  volume.checkOnline();
  for (let at = offset, end = offset + length; at < end; ) {
    const room = yield* enter(state, volume, at, Math.min(end - at, STEP_BYTES));
    try {
      volume.checkOnline();
      at += yield* discardStep(state, volume, at, end, room > 0);
    } finally {
      leave(state, volume, room);
    }
  }
}

/** How many bytes of [at, end) are done. */
function* discardStep(
  state: State,
  volume: Volume,
  at: number,
  end: number,
  needsLog: boolean,
): Plan<number> {
  // Where everything is a hole already there is nothing to do, and nothing changes for anybody.
  if (volume.held === null && volume.unfilled === 0) {
    const look = op.extents(volume.file, at, end - at);
    yield look;
    const run = look.runs![0]!;
    if (run.hole) return Math.min(end - at, run.length);
  }
  const step = isPlain(volume) ? end - at : Math.min(end, Math.floor(at / STEP_BYTES + 1) * STEP_BYTES) - at;
  yield* land(state, volume, at, step, null, needsLog);
  return step;
}

/** No mapping has to do with the volume. */
const isPlain = (volume: Volume) =>
  volume.children.length === 0 && volume.epochs.length === 0 && volume.held === null;

function* land(
  state: State,
  volume: Volume,
  offset: number,
  length: number,
  source: Source,
  needsLog: boolean,
): Plan<void> {
  if (isPlain(volume)) {
    yield put(volume, offset, length, source);
    return;
  }
  assert(length <= STEP_BYTES, 'a write over mapped grains is too long');
  const grain = volume.grain;
  const first = Math.floor(offset / grain);
  const end = Math.ceil((offset + length) / grain);
  const count = end - first;
  const locks: [Volume, RangeLock][] = [];
  try {
    // 1. Locks, from the volume down.
    if (!volume.holdsDurably(first, count) || volume.hasLogged(first, count))
      locks.push([volume, yield* volume.locks.take(first, count)]);
    if (needsLog) yield* giveToChildren(state, volume, first, end);
    // 3. Change bits, before the write is issued.
    volume.open?.bitmap.setRange(first, count);
    // 4. and 5.
    if (volume.held !== null && isPartial(volume, offset, length, first, end))
      yield* writeFilled(state, volume, offset, length, source, first, end);
    else yield put(volume, offset, length, source);
    // 6. The volume holds the grains.
    noteHeld(state, volume, first, count);
  } catch (error) {
    // Some of it may be in the file, under grains that the volume does not hold: no holes to rely on any more.
    volume.sparse = false;
    throw error;
  } finally {
    for (const [v, lock] of locks) v.locks.give(lock);
  }
}

/** Whether the write may have to go through the undo log. What is held durably now stays so while it is inside. */
function mayAppend(volume: Volume, first: number, count: number): boolean {
  const open = volume.open;
  if (open !== null && !open.bitmap.allSet(first, count)) return true;
  return volume.children.some((c) => {
    const stop = Math.min(first + count, c.grains);
    return first < stop && !c.holdsDurably(first, stop - first);
  });
}

const put = (volume: Volume, offset: number, length: number, source: Source) =>
  source === null
    ? volume.zero(offset, length)
    : op.write(volume.file, offset, length, source.block, source.start);

/** Steps 1 and 2 for the children: nobody but the writer's own lock is held afterwards. */
function* giveToChildren(state: State, volume: Volume, first: number, end: number): Plan<void> {
  // As many grains at once as one record takes for all children.
  const step = Math.max(1, Math.floor(RECORD_BYTES / (volume.grain * Math.max(1, volume.children.length))));
  for (let g = first; g < end; g += step) {
    const stop = Math.min(end, g + step);
    if (yield* giveSome(state, volume, g, stop)) continue;
    for (let one = g; one < stop; one++) yield* giveSome(state, volume, one, one + 1);
  }
}

/** False: one of these grains cannot be read, and nothing was given. */
function* giveSome(state: State, volume: Volume, first: number, end: number): Plan<boolean> {
  const locks: [Volume, RangeLock][] = [];
  const failWrite = volume.row.cowFailure === 'failWrite';
  try {
    for (const child of volume.children) {
      const stop = Math.min(end, child.grains);
      if (first >= stop || child.holdsDurably(first, stop - first) || isDead(state, child)) continue;
      locks.push([child, yield* child.locks.take(first, stop - first)]);
    }
    const entries: LogEntry[] = [];
    // The epoch may be dropped meanwhile, when nobody asks for it any more.
    const epoch = volume.open;
    markRegions(volume, epoch, first, end, entries);
    const children = locks.map(([child]) => child);
    const old = yield* oldContent(state, volume, children, first, end, entries);
    if (old === 'unreadable') return false;
    try {
      if (failWrite) yield* fillFirst(entries);
      if (entries.length > 0) yield* state.log.append(entries);
      if (failWrite)
        for (const e of entries)
          if (e.block !== null && !e.volume.unflushed && e.volume.badFile === '')
            state.log.noteFilled(e.volume, e.first, e.count);
    } finally {
      if (old !== null) state.memory.give(old);
    }
    return true;
  } finally {
    for (const [v, lock] of locks) v.locks.give(lock);
  }
}

/** failWrite: the children's files take the grains before anything else happens, or the host's write fails. Not one that is bad (B1). */
function* fillFirst(entries: LogEntry[]): Plan<void> {
  for (const e of entries)
    if (e.block !== null && e.volume.badFile === '')
      yield op.write(e.volume.file, e.first * e.volume.grain, e.count * e.volume.grain, e.block, e.start);
}

/**
 * Entries that give every child what it lacks of grains [first, end); the block that they point into, if any. Where a
 * single grain cannot be read, those that need it are broken; of several, it has to be found out which it is.
 */
function* oldContent(
  state: State,
  volume: Volume,
  children: Volume[],
  first: number,
  end: number,
  entries: LogEntry[],
): Plan<Block | null | 'unreadable'> {
  let low = end;
  let high = first;
  for (const child of children) {
    const stop = Math.min(end, child.grains);
    // H2: held, but not durably: it has to be, before the old content goes.
    if (
      child.held !== null &&
      !child.holdsDurably(first, stop - first) &&
      child.held.anySet(first, stop - first)
    )
      yield* makeDurable(state, volume, child, first, stop);
    if (child.held === null) continue;
    const lacks = child.held.nextClear(first, stop);
    if (lacks === stop) continue;
    low = Math.min(low, lacks);
    high = Math.max(high, stop);
  }
  if (low >= high) return null;
  const block = state.memory.take((high - low) * volume.grain);
  try {
    yield* readContent(state, volume, low * volume.grain, (high - low) * volume.grain, block, 0);
  } catch (error) {
    state.memory.give(block);
    if (end - first > 1) return 'unreadable';
    yield* breakTargets(state, volume, children, first, error as Error);
    return null;
  }
  for (const child of children) {
    const stop = Math.min(high, child.grains);
    if (child.held === null) continue;
    for (let g = child.held.nextClear(low, stop); g < stop; ) {
      const lackEnd = child.held.nextSet(g, stop);
      pushCopies(child, g, lackEnd, block, low, entries);
      state.counters.grainsCopiedOnWrite += lackEnd - g;
      g = child.held.nextClear(lackEnd, stop);
    }
  }
  return block;
}

/** Old grains [from, to) for the child: runs of zeros stay holes where its file has one, the rest is copied. */
function pushCopies(
  child: Volume,
  from: number,
  to: number,
  block: Block,
  low: number,
  entries: LogEntry[],
): void {
  const grain = child.grain;
  const bitmap = child.held!;
  const isHole = (g: number) =>
    child.sparse && Buffer.compare(grainOf(block, g - low, grain), zeros.subarray(0, grain)) === 0;
  for (let g = from; g < to; ) {
    const hole = isHole(g);
    let stop = g + 1;
    while (stop < to && isHole(stop) === hole) stop++;
    entries.push({
      volume: child,
      bitmap,
      first: g,
      count: stop - g,
      block: hole ? null : block,
      start: (g - low) * grain,
      marks: null,
    });
    g = stop;
  }
}

const grainOf = (block: Block, index: number, grain: number) =>
  block.bytes.subarray(index * grain, (index + 1) * grain);

/** C2: SET entries for the regions that this epoch has not marked yet. */
function markRegions(
  volume: Volume,
  epoch: Epoch | null,
  first: number,
  end: number,
  entries: LogEntry[],
): void {
  // A bit that is set is durable, or its region is: it was marked before it was set.
  if (epoch === null || epoch.bitmap.allSet(first, end - first)) return;
  for (let r = Math.floor(first / REGION_GRAINS); r * REGION_GRAINS < end; r++) {
    if (epoch.marks!.has(r)) continue;
    const start = r * REGION_GRAINS;
    const count = Math.min(REGION_GRAINS, epoch.bitmap.bits - start);
    entries.push({
      volume,
      bitmap: epoch.bitmap,
      first: start,
      count,
      block: null,
      start: 0,
      marks: epoch,
    });
  }
}

/** Whether a grain at either end is written in part only. What lies behind the volume's end does not count. */
function isPartial(volume: Volume, offset: number, length: number, first: number, end: number): boolean {
  const to = offset + length;
  const tail = to < Math.min(end * volume.grain, volume.row.size);
  return (offset > first * volume.grain && !inFile(volume, first)) || (tail && !inFile(volume, end - 1));
}

/** Whether the volume's own file has the grain: it holds it, and not only in the undo log. */
function inFile(volume: Volume, g: number): boolean {
  return volume.held!.get(g) && ((volume.logged.get(g) ?? 1) & 1) === 1;
}

/** A write that takes the partly written grains that the volume lacks whole, with what its parent has there. */
function* writeFilled(
  state: State,
  volume: Volume,
  offset: number,
  length: number,
  source: Source,
  first: number,
  end: number,
): Plan<void> {
  const from = inFile(volume, first) ? offset : first * volume.grain;
  const to = inFile(volume, end - 1) ? offset + length : end * volume.grain;
  const block = state.memory.take(to - from);
  try {
    if (from < offset) yield* readContent(state, volume, from, offset - from, block, 0);
    const tail = offset + length;
    if (tail < to) yield* readContent(state, volume, tail, to - tail, block, tail - from);
    const data =
      source === null
        ? zeros.subarray(0, length)
        : source.block.bytes.subarray(source.start, source.start + length);
    block.bytes.set(data, offset - from);
    yield op.write(volume.file, from, to - from, block, 0);
  } finally {
    state.memory.give(block);
  }
}

function noteHeld(state: State, volume: Volume, first: number, count: number): void {
  const logged = volume.hasLogged(first, count);
  if (logged) state.log.noteFilled(volume, first, count);
  volume.noteNewer(first, count);
  if (volume.held === null) return;
  // Power loss after the next flush must find these grains in the file, not in the log or the parent.
  if (volume.held.setRange(first, count) > 0 || logged) volume.addPending(first, count);
}
