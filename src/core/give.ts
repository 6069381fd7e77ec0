/**
 * What a host's write has to have durable before it may land: each child that lacks a grain gets its old content through the undo
 * log (H1, H2), and in the same record the regions are marked that this epoch writes for the first time (C2).
 *
 * The caller is inside the volume's gate, with room in the log for these grains of these children.
 */
import type { Bitmap } from './bitmap.ts';
import { breakTargets, makeDurable } from './break.ts';
import { readContent } from './content.ts';
import type { RangeLock } from './locks.ts';
import type { LogEntry } from './log-entry.ts';
import { SLOT } from './log-record.ts';
import { isDead } from './offline.ts';
import { type Block, op, type Plan } from './ops.ts';
import { type State, together } from './state.ts';
import { WRITE_SLOTS_MAX } from './undo-log.ts';
import { type Epoch, REGION_GRAINS, type Volume } from './volume.ts';

/** Payload of one undo log record. */
const RECORD_BYTES = 2 * 1024 * 1024;
/** Children of one turn: a record of one grain of each has a header of one block. */
const TURN_MAX = 100;
const zeros = new Uint8Array(1024 * 1024);

/** Whether regions may have to be marked. */
export function mayMark({ open }: Volume, first: number, count: number): boolean {
  return open !== null && !open.bitmap.allSet(first, count);
}

/**
 * The children that may lack any of these grains. What is held durably now stays so while the request is inside. `given`: the
 * contents that have got it from this request, or were broken for it; they keep it also while the request is outside.
 */
export function takersOf(
  state: State,
  volume: Volume,
  first: number,
  count: number,
  given: Bitmap[],
): Volume[] {
  return volume.children.filter((c) => {
    const stop = Math.min(first + count, c.grains);
    if (first >= stop || c.holdsDurably(first, stop - first) || isDead(state, c)) return false;
    return !given.includes(c.held!);
  });
}

/** So many children are given so many grains in one turn: a record takes one grain of each, and the smallest log all. */
export function turnLength(grain: number, count: number): number {
  const payload = Math.floor(((WRITE_SLOTS_MAX - count) * SLOT) / (count * grain));
  return Math.max(2, Math.min(TURN_MAX, RECORD_BYTES / grain, payload));
}

/** Steps 1 and 2 of a write for the children: nobody but the writer's own lock is held afterwards. */
export function* giveToChildren(
  state: State,
  volume: Volume,
  takers: Volume[],
  first: number,
  end: number,
): Plan<void> {
  // As many grains at once as one record takes for all of them.
  const step = Math.floor(RECORD_BYTES / (volume.grain * Math.max(1, takers.length)));
  for (let g = first; g < end; g += step) {
    const stop = Math.min(end, g + step);
    if (yield* giveSome(state, volume, takers, g, stop)) continue;
    for (let one = g; one < stop; one++) yield* giveSome(state, volume, takers, one, one + 1);
  }
}

/** False: one of these grains cannot be read, and nothing was given. */
function* giveSome(
  state: State,
  volume: Volume,
  takers: Volume[],
  first: number,
  end: number,
): Plan<boolean> {
  const locks: [Volume, RangeLock][] = [];
  const failWrite = volume.row.cowFailure === 'failWrite';
  try {
    for (const child of takers) {
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
  // H2: held, but not durably: it has to be, before the old content goes. All at once: a cut may wait for it.
  const unsure = children.filter((child) => {
    const count = Math.min(end, child.grains) - first;
    return !child.holdsDurably(first, count) && child.held!.anySet(first, count);
  });
  yield* together(
    state,
    unsure.map((child) => makeDurable(state, volume, child, first, Math.min(end, child.grains))),
  );
  let low = end;
  let high = first;
  for (const child of children) {
    const stop = Math.min(end, child.grains);
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
