/**
 * B4: a copy that fails breaks its target, durably and visibly, and lets the host's write through; or, where the
 * source's class says `failWrite`, fails the write. Other targets are untouched.
 */
import { FlashCopyError, IoError } from '../base/errors.ts';
import { VOLATILE_ID } from './arena.ts';
import { mayRemove } from './bad-file.ts';
import { Bitmap } from './bitmap.ts';
import { flushVolume } from './flush.ts';
import { giveRange, isForLater } from './hydrate.ts';
import { leaveTree } from './leave.ts';
import { isDead, saveOffline, takeOffline } from './offline.ts';
import { op, type Plan } from './ops.ts';
import type { State } from './state.ts';
import type { Volume } from './volume.ts';

/** What another change of the tree may take. */
const AGAIN_MS = 10;

/** The old content of the source's grain cannot be had: whoever would have needed it is broken. */
export function* breakTargets(
  state: State,
  source: Volume,
  targets: Volume[],
  grain: number,
  error: Error,
): Plan<void> {
  if (source.row.cowFailure === 'failWrite') throw error;
  for (const target of targets) {
    if (grain >= target.grains) continue;
    if (target.holds(grain, 1)) {
      // Also below one that is broken: the power may take its bit, and what it would read then is the host's write.
      if (!target.holdsDurably(grain, 1)) yield* makeDurable(state, source, target, grain, grain + 1);
      continue;
    }
    yield* takeOffline(
      state,
      target,
      `grain ${grain} of ${source.name} could not be copied: ${error.message}`,
    );
    yield* breakTargets(state, source, target.children, grain, error);
  }
}

/** H2 for the child's bits. B4: where its flush fails it is offline, durably, and those that need what it held are too. */
export function* makeDurable(
  state: State,
  volume: Volume,
  child: Volume,
  first: number,
  end: number,
): Plan<void> {
  try {
    if (!child.unflushed) yield* flushVolume(state, child, { first, count: end - first });
  } catch (error) {
    if (volume.row.cowFailure === 'failWrite') throw error;
    // It was found bad just now, and what has no durable bit is lost: whoever has found that says it of those that read there.
    if (child.badFile !== '') yield* takeOffline(state, child, child.badFile);
    else if (!child.unflushed) throw error;
  }
  if (state.unsaved.size > 0) for (const lost of [child, ...child.readers()]) yield* saveOffline(state, lost);
}

/**
 * The target's file does not take what the undo log holds for it, or what it needs of a volume that leaves. The target
 * is broken; those that read through it get their grains; its own go, and with them its space. Where one of those takes nothing
 * until the log has room, it gets at once what the log has, and the rest later.
 */
export function* breakForSpace(state: State, target: Volume, error: Error): Plan<void> {
  if (target.removed) return;
  yield* takeBroken(state, target, error);
  try {
    yield* giveToReaders(state, target, true);
  } catch (later) {
    if (!isForLater(later)) throw later;
    yield* forgetLogged(state, target);
  }
}

/**
 * Host writes wait for room in the undo log, and there is no space for the bitmaps that would make it. A snapshot goes,
 * the largest, unless its source's writes are to fail rather than that. False: there is none.
 */
export function* breakLargest(state: State, error: Error): Plan<boolean> {
  let largest: Volume | null = null;
  for (const v of state.volumes.values()) {
    const source = v.row.source === null ? undefined : state.volumes.get(v.row.source);
    const mayGo = v.readOnly && !v.row.retired && v.offline === '' && v.held !== null && v.held.count > 0;
    if (!mayGo || source?.row.cowFailure === 'failWrite') continue;
    if (largest === null || v.held!.count * v.grain > largest.held!.count * largest.grain) largest = v;
  }
  if (largest === null) return false;
  yield* breakForSpace(state, largest, error);
  return true;
}

/**
 * The target's file does not take what the undo log holds for it: the target is broken. Where that is for want of space, what it has
 * is given back at once: its readers may need that for theirs.
 */
export function* breakUnfilled(state: State, target: Volume, error: Error): Plan<void> {
  if (error instanceof FlashCopyError && error.code === 'OutOfSpace')
    return yield* breakForSpace(state, target, error);
  if (target.removed) return;
  yield* takeBroken(state, target, error);
  yield* forgetLogged(state, target);
}

const takeBroken = (state: State, target: Volume, error: Error): Plan<void> =>
  takeOffline(state, target, `it cannot have what it needs: ${error.message}`);

/**
 * B3: nothing comes to the file of a volume whose flush failed, or that does not take it, and the log must not have to keep
 * anything for it. Those that read through it get the grains that the log alone has, and from then on those count no more; what its
 * file has is read on. Its leaving, for which much may have to be copied, comes behind: no checkpoint waits for that.
 */
export function* forgetLogged(state: State, target: Volume): Plan<void> {
  const bits = new Bitmap(state.arena, VOLATILE_ID, target.grains);
  for (const [g, at] of target.logged) if ((at & 1) === 0) bits.setRange(g, 1);
  try {
    while (!target.removed && !isForgotten(state, target, bits)) {
      for (const taker of takersOf(state, target)) yield* giveLogged(state, target, taker, bits);
      if (isForgotten(state, target, bits)) break;
      // One that is broken leaves when the engine is there again.
      if (state.closing) return;
      // Somebody may be about to hang another volume on it.
      yield op.sleep(AGAIN_MS);
    }
  } finally {
    bits.release();
  }
  if (target.removed || target.parent === null) return;
  state.leavers.add(target);
  state.runner.fire(state.retiredWake);
}

/** Those that read through it, and take what they need: one whose flush failed does not, but who reads through that. */
const takersOf = (state: State, target: Volume): Volume[] =>
  target.children.flatMap((child) => {
    if (child.unflushed) return takersOf(state, child);
    return isDead(state, child) ? [] : [child];
  });

function* giveLogged(state: State, target: Volume, taker: Volume, bits: Bitmap): Plan<void> {
  try {
    yield* giveRange(state, taker, bits);
  } catch (error) {
    // Not any more: its flush has failed, and those that read through it come next, or it was synced.
    if (!takersOf(state, target).includes(taker)) return;
    if (!(error instanceof FlashCopyError) || isOfCatalog(error)) throw error;
    yield* breakForSpace(state, taker, error);
  }
}

/** Whether nobody needs these grains of the log any more. Then they count no more. */
function isForgotten(state: State, target: Volume, bits: Bitmap): boolean {
  if (target.adopting > 0 || takersOf(state, target).some((taker) => lacksAny(taker, bits))) return false;
  for (const { first, count } of bits.runs()) state.log.noteFilled(target, first, count);
  return true;
}

/** Durably: what the log has of the taker's own is no less durable than a bit. */
function lacksAny(taker: Volume, bits: Bitmap): boolean {
  for (const { first, count } of bits.runs(0, Math.min(bits.bits, taker.grains)))
    for (let g = first; g < first + count; g++)
      if (!taker.holds(g, 1) || !(taker.holdsDurably(g, 1) || taker.logged.has(g))) return true;
  return false;
}

/** It takes nothing and gives what it has: out of the tree. Whether its flush failed or not, unless it has another content by now. */
export function* leaveBroken(state: State, target: Volume): Plan<void> {
  if (target.row.offline !== '' && target.parent !== null && !target.removed)
    yield* giveToReaders(state, target, !target.unflushed);
}

/** Those that read through it get their grains; then the log keeps nothing for it, and with `punch` the file neither. */
function* giveToReaders(state: State, target: Volume, punch: boolean): Plan<void> {
  const hasLeft = yield* leaveTree(state, target, punch, function* (reader, error) {
    if (!(error instanceof FlashCopyError) || isOfCatalog(error) || isForLater(error)) throw error;
    // It cannot take them, for want of room or because its file fails too: then it is what has to go first.
    yield* breakForSpace(state, reader, error);
  });
  // Not yet, where the engine is being closed: its readers still need it.
  if (hasLeft) yield* state.structure.run(forgetContent(state, target, punch));
}

/** Unless it has another content by now, or is gone. */
function* forgetContent(state: State, target: Volume, punch: boolean): Plan<void> {
  // A fill from the undo log that is under way ends before.
  const lock = yield* target.locks.take(0, target.grains);
  try {
    if (target.removed || target.offline === '' || target.parent !== null) return;
    state.log.forget(target);
    if (punch && mayRemove(target)) yield target.zero(0, target.grains * target.grain);
  } finally {
    target.locks.give(lock);
  }
}

const isOfCatalog = (error: FlashCopyError): boolean => error instanceof IoError && error.action === 'commit';
