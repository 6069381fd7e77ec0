/**
 * Reading: where a grain's content is, and the recheck that makes reading without locks right.
 *
 *   1. resolve the range to segments: which volume's own data has it, in the file or in the undo log
 *   2. read them
 *   3. resolve again. A volume that was passed over, or the log, may have come to hold a grain meanwhile, and the
 *      place that was read may then have been overwritten: where the answer differs, read again.
 *
 * Why that is enough: before a place that others read through is overwritten or given up, whoever reads through it
 * has come to hold the grain (H1), which changes the resolution.
 */
import { assert } from '../base/errors.ts';
import { SLOT } from './log-record.ts';
import { type Block, type IoOp, op, type Plan } from './ops.ts';
import type { State } from './state.ts';
import type { Volume } from './volume.ts';

/** `count` grains from `first`, which `owner` holds: in its file, or at `slot` of the undo log. */
export type Segment = { owner: Volume; first: number; count: number; slot: number };
const IN_FILE = -1;

/** Where the content of the volume's grains [first, end) is, in order. */
export function resolve(volume: Volume, first: number, end: number, out: Segment[] = []): Segment[] {
  const held = volume.held;
  if (held === null) {
    pushOwned(volume, first, end, out);
    return out;
  }
  for (let g = first; g < end; ) {
    if (held.get(g)) {
      const stop = held.nextClear(g, end);
      pushOwned(volume, g, stop, out);
      g = stop;
    } else {
      const stop = held.nextSet(g, end);
      assert(volume.parent !== null, `volume ${volume.id} lacks grain ${g} and has no parent`);
      resolve(volume.parent, g, stop, out);
      g = stop;
    }
  }
  return out;
}

/** The first of these alone: a long range may have very many. */
export function firstSegment(volume: Volume, first: number, limit: number): Segment {
  let owner = volume;
  let end = limit;
  while (owner.held !== null && !owner.held.get(first)) {
    end = owner.held.nextSet(first, end);
    assert(owner.parent !== null, `volume ${owner.id} lacks grain ${first} and has no parent`);
    owner = owner.parent;
  }
  if (owner.held !== null) end = owner.held.nextClear(first, end);
  const slot = slotOf(owner, first);
  if (slot === IN_FILE) return { owner, first, count: nextInLog(owner, first + 1, end) - first, slot };
  const per = owner.grain / SLOT;
  let count = 1;
  while (first + count < end && slotOf(owner, first + count) === slot + count * per) count++;
  return { owner, first, count, slot };
}

function slotOf(owner: Volume, g: number): number {
  const at = owner.logged.get(g);
  return at === undefined || (at & 1) === 1 ? IN_FILE : at >> 1;
}

/** The first of the owner's grains in [first, end) that only the log has; `end` if there is none. */
function nextInLog(owner: Volume, first: number, end: number): number {
  if (owner.unfilled === 0) return end;
  let next = end;
  if (owner.logged.size < end - first) {
    for (const g of owner.logged.keys()) if (g >= first && g < next && slotOf(owner, g) !== IN_FILE) next = g;
  } else for (next = first; next < end && slotOf(owner, next) === IN_FILE; ) next++;
  return next;
}

function pushOwned(owner: Volume, first: number, end: number, out: Segment[]): void {
  if (owner.unfilled === 0) {
    out.push({ owner, first, count: end - first, slot: IN_FILE });
    return;
  }
  const per = owner.grain / SLOT;
  let last: Segment | null = null;
  for (let g = first; g < end; g++) {
    const slot = slotOf(owner, g);
    const joins =
      last !== null && (slot === IN_FILE ? last.slot === IN_FILE : slot === last.slot + last.count * per);
    if (last !== null && joins && (slot === IN_FILE) === (last.slot === IN_FILE)) last.count++;
    else {
      last = { owner, first: g, count: 1, slot };
      out.push(last);
    }
  }
}

function same(a: Segment[], b: Segment[]): boolean {
  return (
    a.length === b.length &&
    a.every((s, i) => {
      const t = b[i]!;
      return s.owner === t.owner && s.first === t.first && s.count === t.count && s.slot === t.slot;
    })
  );
}

/** The volume's content in bytes [offset, offset + length), as of some moment during the call, into the block. */
export function* readContent(
  state: State,
  volume: Volume,
  offset: number,
  length: number,
  block: Block,
  start: number,
): Plan<void> {
  if (volume.held === null && volume.unfilled === 0) {
    // It holds all of it, and its own writes are the only ones that could change that.
    yield op.read(volume.file, offset, length, block, start);
    return;
  }
  const grain = volume.grain;
  const first = Math.floor(offset / grain);
  const end = Math.ceil((offset + length) / grain);
  let segments = resolve(volume, first, end);
  for (;;) {
    let failure: unknown = null;
    try {
      yield segments.map((s) => segmentRead(state, s, grain, offset, length, block, start));
    } catch (error) {
      failure = error; // e.g. the file of a volume that was removed meanwhile: the recheck tells
    }
    // Broken meanwhile, and out of the tree.
    if (volume.held !== null && volume.parent === null) volume.checkOnline();
    const again = resolve(volume, first, end);
    if (same(segments, again)) {
      if (failure !== null) throw failure;
      return;
    }
    segments = again;
  }
}

function segmentRead(
  state: State,
  s: Segment,
  grain: number,
  offset: number,
  length: number,
  block: Block,
  start: number,
): IoOp {
  const from = Math.max(offset, s.first * grain);
  const to = Math.min(offset + length, (s.first + s.count) * grain);
  const into = start + from - offset;
  if (s.slot === IN_FILE) return op.read(s.owner.file, from, to - from, block, into);
  return op.read(state.log.file, s.slot * SLOT + (from - s.first * grain), to - from, block, into);
}
