/**
 * B4: a copy that fails breaks its target, durably and visibly, and lets the host's write through; or, where the
 * source's class says `failWrite`, fails the write. Other targets are untouched.
 */
import { FlashCopyError, IoError } from '../base/errors.ts';
import { flushRange } from './flush.ts';
import { leaveTree } from './leave.ts';
import { saveOffline, takeOffline } from './offline.ts';
import type { Plan } from './ops.ts';
import type { State } from './state.ts';
import type { Volume } from './volume.ts';

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
      if (!target.holdsDurably(grain, 1)) yield* makeDurable(state, source, target, grain, 1);
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
  count: number,
): Plan<void> {
  try {
    if (!child.unflushed) yield* flushRange(state, child, first, count);
  } catch (error) {
    if (!child.unflushed || volume.row.cowFailure === 'failWrite') throw error;
  }
  if (state.unsaved.size > 0) for (const lost of [child, ...child.readers()]) yield* saveOffline(state, lost);
}

/**
 * The target's file does not take what the undo log holds for it, or what it needs of a volume that leaves. The target
 * is broken; those that read through it get their grains; its own go, and with them its space.
 */
export function* breakForSpace(state: State, target: Volume, error: Error): Plan<void> {
  if (target.removed) return;
  yield* takeOffline(state, target, `it cannot have what it needs: ${error.message}`);
  yield* giveToReaders(state, target, true);
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

/** B3: nothing comes to the file of a volume whose flush failed, so the log must not have to keep anything for it. */
export function* forgetUnflushed(state: State, target: Volume): Plan<void> {
  if (!target.removed) yield* giveToReaders(state, target, false);
}

/** Those that read through it get their grains; then the log keeps nothing for it, and with `punch` the file neither. */
function* giveToReaders(state: State, target: Volume, punch: boolean): Plan<void> {
  const hasLeft = yield* leaveTree(state, target, punch, function* (reader, error) {
    if (!(error instanceof FlashCopyError) || isOfCatalog(error)) throw error;
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
    if (punch) yield target.zero(0, target.grains * target.grain);
  } finally {
    target.locks.give(lock);
  }
}

const isOfCatalog = (error: FlashCopyError): boolean => error instanceof IoError && error.action === 'commit';
