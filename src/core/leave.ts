/**
 * Leaving the tree: a volume that is deleted, broken or synced gives its children what they need of it, and they hang
 * on its parent from then on.
 *
 *   1. clean: each child gets the grains that it lacks and the leaver holds, as far as they may differ from the parent's.
 *      Host I/O goes on. Where space is short, grains that all children have are punched out of the leaver, so that this takes none.
 *   2. with the parent's gate closed: the same for what changed since, which is little
 *   3. one commit: the children's new parent
 *   4. the gate opens
 */
import { VOLATILE_ID } from './arena.ts';
import { mayRemove } from './bad-file.ts';
import { Bitmap } from './bitmap.ts';
import { bitmapFile } from './bitmap-file.ts';
import { changedSince, recordsFrom } from './epochs.ts';
import { fillVolume } from './fill.ts';
import { flushVolume } from './flush.ts';
import { type Given, hydratePieces, nextPiece, type Piece } from './hydrate.ts';
import type { RangeLock } from './locks.ts';
import { loseNewReaders } from './offline.ts';
import { type IoOp, op, type Plan, type PoolFile, type RowChange, Signal } from './ops.ts';
import { pace } from './pace.ts';
import { bytesPerSecond, CLEAN_RATE } from './rate.ts';
import { drop, put, removeFiles, type State } from './state.ts';
import type { Volume } from './volume.ts';

/** Bytes given to a child between two flushes. */
const FLUSH_BYTES = 16 * 1024 * 1024;
/** Free space that moving grains leaves to others. */
const SPARE_BYTES = 1024 * 1024 * 1024;
/** Holes made together. */
const PUNCHES = 32;
/** Given in one go while others are to have their turn, in seconds of the rate. */
const MOMENT_S = 0.05;
/** What has changed is given so often while no gate is closed, as long as it was more than FLUSH_BYTES. */
const ROUNDS_MAX = 4;

/**
 * Afterwards the volume has no children and no parent. `punch`: its own data is not needed any more. False: not yet, because
 * the engine is being closed. Who wants the same meanwhile waits for it: the volume may have another content soon after.
 * `cannotTake`: takes a child out of the tree to which something could not be given, or throws.
 */
export function* leaveTree(
  state: State,
  leaver: Volume,
  punch: boolean,
  cannotTake?: (child: Volume, error: Error) => Plan<void>,
): Plan<boolean> {
  const leaving = leaver.leaving ?? { over: new Signal(), isOver: false, hasLeft: false, error: null };
  if (leaver.leaving !== null) {
    while (!leaving.isOver) yield leaving.over;
    if (leaving.error !== null) throw leaving.error;
    return leaving.hasLeft;
  }
  leaver.leaving = leaving;
  try {
    leaving.hasLeft = yield* leaveNow(state, leaver, punch, cannotTake);
  } catch (error) {
    leaving.error = error;
    throw error;
  } finally {
    leaver.leaving = null;
    leaving.isOver = true;
    state.runner.fire(leaving.over);
  }
  return leaving.hasLeft;
}

function* leaveNow(
  state: State,
  leaver: Volume,
  punch: boolean,
  cannotTake?: (child: Volume, error: Error) => Plan<void>,
): Plan<boolean> {
  // Others may come to hang on it meanwhile, from a child that leaves by itself: they too get theirs while no gate is closed.
  const seen = new Set<Volume>();
  for (;;) {
    const child = leaver.children.find((c) => !seen.has(c));
    if (child === undefined) break;
    seen.add(child);
    // B3: it takes nothing any more, and what reads through it has to come from here.
    if (child.unflushed) {
      if (!(yield* leaveTree(state, child, false, cannotTake))) return false;
      if (child.unflushed) state.log.forget(child);
      continue;
    }
    try {
      yield* clean(state, leaver, child, neededOf(state, leaver, child), punch, true);
    } catch (error) {
      if (child.removed || child.parent !== leaver) continue; // meanwhile: it needs nothing of this one
      if (cannotTake === undefined) throw error;
      yield* cannotTake(child, error as Error);
    }
    if (state.closing) return false;
  }
  yield* state.structure.run(cutLoose(state, leaver));
  return true;
}

function* cutLoose(state: State, leaver: Volume): Plan<void> {
  if (leaver.removed) return;
  // Much may have changed while others had the turn, or while that was given, and hosts wait for what is left when the gates are closed.
  for (let round = 1; (yield* giveChanged(state, leaver)) > FLUSH_BYTES && round < ROUNDS_MAX; round++);
  const parent = leaver.parent;
  // The children too: a grain that one has just written, and not flushed, it may still need from here (H2).
  const gated = [...(parent === null ? [] : [parent]), leaver, ...leaver.children];
  for (const v of gated) v.gate.close();
  if (parent !== null) parent.adopting++;
  // A copy into it that is under way ends before it loses its parent.
  let lock: RangeLock | null = null;
  try {
    if (leaver.removed) return;
    for (const v of gated) yield* v.gate.drain();
    lock = yield* leaver.locks.take(0, leaver.grains);
    // 2. What changed since.
    yield* giveLast(leaver, () => giveChanged(state, leaver));
    // 3. The new parents.
    const moved = rehang(state, leaver, leaver.children, parent);
    const row = { ...leaver.row, parent: null };
    yield* state.commit([...moved.rows, put('volume', row)]);
    leaver.row = row;
    moved.apply();
    if (parent !== null) parent.children = parent.children.filter((c) => c !== leaver);
    leaver.parent = null;
    loseNewReaders(state, parent);
    yield* removeFiles(state, moved.files);
  } finally {
    if (lock !== null) leaver.locks.give(lock);
    if (parent !== null) parent.adopting--;
    for (const v of gated) v.gate.release();
  }
}

function* giveChanged(state: State, leaver: Volume): Plan<number> {
  let bytes = 0;
  for (const child of leaver.children)
    bytes += yield* clean(state, leaver, child, neededOf(state, leaver, child), false, false);
  return bytes;
}

/**
 * When it returns, nothing has happened since `give` to what it went by: the leaver's children get less where the parent has the same.
 * Where that goes offline meanwhile, its grains do not count (`differing`), and all is given.
 */
export function* giveLast<T>(leaver: Volume, give: () => Plan<T>): Plan<T> {
  const isServed = () => leaver.parent?.offline === '';
  for (;;) {
    const wasServed = isServed();
    const given = yield* give();
    if (!wasServed || isServed()) return given;
  }
}

type Move = { rows: RowChange[]; files: PoolFile[]; apply: () => void };

/** Hang `children` of `from` on `parent`; without one they hold everything themselves. */
function rehang(state: State, from: Volume, children: Volume[], to: Volume | null): Move {
  const rows: RowChange[] = [];
  const files: PoolFile[] = [];
  const steps: (() => void)[] = [];
  for (const child of [...children]) {
    const bitmap = child.held;
    const parent = to ?? trackedSource(state, child);
    const alone = parent === null;
    const row = { ...child.row, parent: parent?.row.id ?? null, held: alone ? null : child.row.held };
    rows.push(put('volume', row));
    if (alone && bitmap !== null) {
      rows.push(drop('bitmap', bitmap.id));
      const old = state.bitmaps.get(bitmap.id);
      if (old !== undefined && old.gen > 0) files.push(bitmapFile(old.id, old.gen));
    }
    steps.push(() => {
      child.row = row;
      child.parent = parent;
      from.children = from.children.filter((c) => c !== child);
      if (parent !== null) parent.children.push(child);
      else {
        holdEverything(state, child);
        const mapping = state.mappingOf(child);
        if (mapping !== undefined) state.runner.fire(mapping.wake);
      }
    });
  }
  return { rows, files, apply: () => void steps.forEach((step) => void step()) };
}

/** A target that holds everything and goes on recording what changes hangs on its source, though it reads nothing there. */
function trackedSource(state: State, child: Volume): Volume | null {
  const mapping = state.mappingOf(child);
  if (mapping === undefined || !mapping.row.incremental || mapping.row.cut === 0) return null;
  const source = state.volumes.get(mapping.row.source);
  return source === undefined || source.row.retired || source === child ? null : source;
}

/** The volume depends on nobody any more. All its grains are in its file, flushed. */
export function holdEverything(state: State, volume: Volume): void {
  volume.held?.release();
  volume.held = null;
  volume.dropPending();
  state.log.forget(volume);
}

/**
 * Grains at which the leaver may differ from its parent: what the source wrote between their cuts, and what the host
 * wrote in either. null: not known, so all.
 */
function differing(state: State, leaver: Volume): Bitmap | null {
  const parent = leaver.parent;
  const mapping = state.mappingOf(leaver);
  if (parent === null || mapping === undefined || mapping.row.cut === 0) return null;
  // A parent that is leaving itself may have given grains away.
  if (parent.row.retired || parent.offline !== '') return null;
  const source = state.volumes.get(mapping.row.source);
  if (source === undefined || !recordsFrom(source, mapping.row.cut)) return null;
  const bits = new Bitmap(state.arena, VOLATILE_ID, Math.max(leaver.grains, parent.grains, source.grains));
  changedSince(leaver, leaver.row.since, bits);
  // Behind the parent's end only the leaver has anything.
  if (leaver.grains > parent.grains) bits.setRange(parent.grains, leaver.grains - parent.grains);
  if (parent === source) {
    changedSince(source, mapping.row.cut, bits);
    return bits;
  }
  const newer = state.mappingOf(parent);
  // One that stands alone has forgotten what was written in it.
  const tracked = newer !== undefined && newer.row.cut > 0 && parent.held !== null;
  if (!tracked || newer.row.source !== mapping.row.source) {
    bits.release();
    return null;
  }
  // A snapshot is as large as its source was, and has nothing of its own.
  if (!leaver.readOnly && !parent.readOnly) setBehindSource(state, source, newer.row.cut, leaver, bits);
  changedSince(source, mapping.row.cut, bits, newer.row.cut);
  changedSince(parent, parent.row.since, bits);
  return bits;
}

/**
 * Behind their source's end two targets have what is their own, from whenever: no sync takes it away. The end as it was at the
 * cut `since`: what has been added to the source from then on counts as changed.
 */
function setBehindSource(state: State, source: Volume, since: number, leaver: Volume, bits: Bitmap): void {
  const later = new Bitmap(state.arena, VOLATILE_ID, source.grains);
  changedSince(source, since, later);
  const end = later.lastRun();
  later.release();
  if (leaver.grains > end) bits.setRange(end, leaver.grains - end);
}

/**
 * What the child lacks and the leaver holds, as far as it may differ. null: all that it lacks. Found word by word, before anything is
 * given: looking at each of very many runs that it has already would keep all host I/O waiting.
 */
export function neededOf(state: State, leaver: Volume, child: Volume): Bitmap | null {
  const only = differing(state, leaver);
  if (only === null && leaver.held === null) return null;
  const needed = only ?? new Bitmap(state.arena, VOLATILE_ID, leaver.grains);
  if (only === null) needed.or(leaver.held!);
  else if (leaver.held !== null) needed.and(leaver.held);
  if (child.held !== null) needed.andNot(child.held);
  if (needed.bits > child.grains) needed.clearRange(child.grains, needed.bits - child.grains);
  return needed;
}

/** Give the child what `neededOf` has found (which is released): so many bytes. */
export function* clean(
  state: State,
  leaver: Volume,
  child: Volume,
  needed: Bitmap | null,
  punch: boolean,
  throttled: boolean,
): Plan<number> {
  const budget = throttled ? bytesPerSecond(CLEAN_RATE) * MOMENT_S : FLUSH_BYTES;
  let bytes = 0;
  let since = 0;
  let punched = 0;
  let isSwept = false;
  let g = 0;
  let ended = false;
  const next = function* () {
    const piece = throttled && state.closing ? null : yield* nextNeeded(leaver, child, g, needed);
    if (piece === null) ended = true;
    else g = piece.end;
    return piece;
  };
  try {
    while (!ended) {
      const from = g;
      const before = child.held?.count;
      let given: Given;
      try {
        given = yield* hydratePieces(state, child, budget, next);
      } catch (error) {
        if (!punch || (error as { code?: string }).code !== 'OutOfSpace') throw error;
        // No room: what was given already may make some, also of this batch or by a former engine, and the reserve is for the first of it.
        if (since > 0 || child.held?.count !== before || !isSwept) {
          yield* flushVolume(state, child);
          yield* punchGiven(state, leaver, punched, isSwept ? g : leaver.grains);
          isSwept = true;
          punched = from;
          since = 0;
        } else if (!state.space.giveReserve()) throw error;
        g = from;
        ended = false;
        continue;
      }
      state.counters.grainsCleaned += given.grains;
      bytes += given.bytes;
      since += given.bytes;
      if (throttled)
        yield* pace(
          state,
          given.bytes,
          () => bytesPerSecond(CLEAN_RATE),
          () => !state.closing,
        );
      if (since < FLUSH_BYTES) continue;
      yield* flushVolume(state, child);
      since = 0;
      if (!punch || !spaceIsShort(state, leaver)) continue;
      yield* punchGiven(state, leaver, punched, g);
      punched = g;
    }
    // A child that will hold everything has to have it in its file, not in the log.
    const last = leaver.parent === null && !throttled;
    if (last) yield* fillVolume(state, child);
    if (last || child.pending.length > 0) yield* flushVolume(state, child);
    if (punch && spaceIsShort(state, leaver)) yield* punchGiven(state, leaver, punched, leaver.grains);
    return bytes;
  } finally {
    needed?.release();
  }
}

function* nextNeeded(leaver: Volume, child: Volume, from: number, needed: Bitmap | null): Plan<Piece | null> {
  const limit = child.grains;
  for (let g = from; g < limit; ) {
    // One that was synced meanwhile hangs elsewhere.
    if (child.held === null || child.parent !== leaver) return null;
    const first = needed === null ? g : needed.nextSet(g, limit);
    const end = needed === null ? limit : needed.nextClear(first, limit);
    const piece = yield* nextPiece(child, first, end);
    if (piece !== null) return piece;
    g = end;
  }
  return null;
}

/** Grains that every child holds durably are not needed in the leaver any more. It is offline or deleted: who is about to hang on it knows. */
function* punchGiven(state: State, leaver: Volume, from: number, to: number): Plan<void> {
  const punches: IoOp[] = [];
  const grain = leaver.grain;
  for (let g = from; g < to && leaver.adopting === 0 && mayRemove(leaver); ) {
    let end = Math.min(to, g + 16 * 1024);
    let held = g;
    for (const child of leaver.children) {
      const limit = Math.min(end, child.grains);
      if (g >= limit || child.held === null) continue;
      const lacks = child.held.nextClear(g, limit);
      if (lacks < limit) end = lacks;
      if (lacks === g) held = Math.max(held, child.held.nextSet(g, Math.min(to, child.grains)));
    }
    if (held > g) {
      g = held;
      continue;
    }
    if (leaver.children.every((c) => c.holdsDurably(g, Math.max(0, Math.min(end, c.grains) - g)))) {
      state.log.noteFilled(leaver, g, end - g);
      // A thick one that stays keeps its space.
      const keeps = leaver.row.provisioning === 'thick' && !leaver.row.retired;
      punches.push(op.punch(leaver.file, g * grain, (end - g) * grain, keeps));
      if (punches.length === PUNCHES) yield punches.splice(0);
    }
    g = end;
  }
  if (punches.length > 0) yield punches;
}

/**
 * Whether the grains that move would be missed if they took their space twice for a while. A hole for each grain costs
 * more than moving it, and the whole file goes in the end.
 */
function spaceIsShort(state: State, leaver: Volume): boolean {
  const held = leaver.held?.count ?? leaver.grains;
  return state.space.freeBytes() < SPARE_BYTES + 2 * held * leaver.grain;
}
