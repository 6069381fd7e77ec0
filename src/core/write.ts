/**
 * Host writes and discards.
 *
 *   0. through the gate: a cut waits for those inside. Of many children that lack grains, some are given them in a turn of their own,
 *      out of the gate again, and so on until the undo log has room for those that are left
 *   1. lock: the volume's own grains if it may not hold them, then those of each child that may lack them
 *   2. each child that lacks a grain gets its content, durably, and the regions that this epoch writes for the first time are
 *      marked (give.ts: H1, H2, C2)
 *   3. the epoch's change bits are set (C1)
 *   4. a partly written grain that the volume lacks is filled up from its parent
 *   5. the data is written
 *   6. the volume holds the grains (H3); the log's older copies of them count no more
 *
 * A discard is a write of zeros that leaves a hole.
 */
import { assert } from '../base/errors.ts';
import type { Bitmap } from './bitmap.ts';
import { readContent } from './content.ts';
import { giveToChildren, mayMark, takersOf, turnLength } from './give.ts';
import type { RangeLock } from './locks.ts';
import type { Place } from './log-line.ts';
import { SLOT } from './log-record.ts';
import { type Block, op, type Plan } from './ops.ts';
import type { State } from './state.ts';
import type { Volume } from './volume.ts';

/** Of one step: what a lock is held over. */
const STEP_BYTES = 1024 * 1024;
const zeros = new Uint8Array(STEP_BYTES);

/** What lands: data of a block, or a hole. */
type Source = { block: Block; start: number } | null;

/** With what a request is inside the gate: room in the undo log if it may need it, else 0, and the children to which it gives grains. */
type Pass = { room: number; takers: Volume[] };

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
  const pass = yield* enter(state, volume, offset, length);
  try {
    volume.checkOnline();
    yield* land(state, volume, offset, length, { block, start }, pass);
  } finally {
    leave(state, volume, pass.room);
  }
}

/** Through the gate, with room in the undo log if the request may need it. */
function* enter(state: State, volume: Volume, offset: number, length: number): Plan<Pass> {
  const first = Math.floor(offset / volume.grain);
  const count = Math.ceil((offset + length) / volume.grain) - first;
  const given: Bitmap[] = [];
  let place: Place | null = null;
  for (;;) {
    yield* volume.gate.enter();
    const takers = takersOf(state, volume, first, count, given);
    if (takers.length === 0 && !mayMark(volume, first, count)) return { room: 0, takers };
    const turn = takers.slice(0, turnLength(volume.grain, count));
    // Where grains cannot be read, each may have a record of its own.
    const room = state.log.tryReserve(((turn.length * volume.grain) / SLOT) * count, count, place);
    if (room > 0 && turn.length === takers.length) return { room, takers };
    if (room > 0) {
      yield* giveTurn(state, volume, { room, takers: turn }, first, count, given);
      continue;
    }
    volume.gate.leave();
    place = yield* state.log.room(place);
  }
}

/** Some of the children get what they lack. Then out of the gate: the others need as much room again. */
function* giveTurn(
  state: State,
  volume: Volume,
  turn: Pass,
  first: number,
  count: number,
  given: Bitmap[],
): Plan<void> {
  const contents = turn.takers.map((c) => c.held!);
  try {
    volume.checkOnline();
    yield* giveToChildren(state, volume, turn.takers, first, first + count);
    // As if it had been written: a cut may end the epoch before that.
    volume.open?.bitmap.setRange(first, count);
    given.push(...contents);
  } finally {
    leave(state, volume, turn.room);
  }
}

function leave(state: State, volume: Volume, room: number): void {
  if (room > 0) state.log.unreserve(room);
  volume.gate.leave();
}

export function* hostDiscard(state: State, volume: Volume, offset: number, length: number): Plan<void> {
  volume.checkOnline();
  for (let at = offset, end = offset + length; at < end; ) {
    const pass = yield* enter(state, volume, at, Math.min(end - at, STEP_BYTES));
    try {
      volume.checkOnline();
      at += yield* discardStep(state, volume, at, end, pass);
    } finally {
      leave(state, volume, pass.room);
    }
  }
}

/** How many bytes of [at, end) are done. */
function* discardStep(state: State, volume: Volume, at: number, end: number, pass: Pass): Plan<number> {
  // Where everything is a hole already there is nothing to do, and nothing changes for anybody.
  if (volume.held === null && volume.unfilled === 0) {
    const look = op.extents(volume.file, at, end - at);
    yield look;
    const run = look.runs![0]!;
    if (run.hole) return Math.min(end - at, run.length);
  }
  const step = isPlain(volume) ? end - at : Math.min(end, Math.floor(at / STEP_BYTES + 1) * STEP_BYTES) - at;
  yield* land(state, volume, at, step, null, pass);
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
  pass: Pass,
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
    if (pass.room > 0) yield* giveToChildren(state, volume, pass.takers, first, end);
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

const put = (volume: Volume, offset: number, length: number, source: Source) =>
  source === null
    ? volume.zero(offset, length)
    : op.write(volume.file, offset, length, source.block, source.start);

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
