/**
 * B4: a copy that fails breaks its target, durably and visibly, and lets the host's write through; or, where the
 * source's class says `failWrite`, fails the write. Other targets are untouched.
 */
import { FlashCopyError } from '../base/errors.ts';
import { leaveTree } from './leave.ts';
import { op, type Plan, type RowChange } from './ops.ts';
import { put, type State } from './state.ts';
import { transition } from './states.ts';
import type { Volume } from './volume.ts';

/** The old content of the source's grains [first, end) cannot be had: whoever would have needed it is broken. */
export function* breakTargets(
  state: State,
  source: Volume,
  targets: Volume[],
  first: number,
  end: number,
  error: Error,
): Plan<void> {
  if (source.row.cowFailure === 'failWrite') throw error;
  for (const target of targets) {
    const stop = Math.min(end, target.grains);
    if (first >= stop || target.holds(first, stop - first)) continue;
    yield* breakOne(
      state,
      target,
      `grains from ${first} on of ${source.name} could not be copied: ${error.message}`,
    );
    yield* breakTargets(state, source, target.children, first, end, error);
  }
}

function* breakOne(state: State, target: Volume, reason: string): Plan<void> {
  if (target.row.offline !== '') return;
  const row = { ...target.row, offline: reason };
  const changes: RowChange[] = [put('volume', row)];
  const mapping = state.mappingOf(target);
  const mappingRow =
    mapping === undefined
      ? null
      : {
          ...mapping.row,
          state: transition(mapping.row.name, mapping.row.state, 'suspended'),
          error: reason,
        };
  if (mappingRow !== null) changes.push(put('mapping', mappingRow));
  yield* state.commit(changes);
  target.row = row;
  if (mapping !== undefined && mappingRow !== null) {
    mapping.row = mappingRow;
    state.runner.fire(mapping.wake);
    state.listener.mappingChanged(mapping.row.id);
  }
  state.listener.log('error', 'a copy is broken', { target: target.name, reason });
}

/**
 * The target's file does not take what the undo log holds for it. The target is broken; those that read through it
 * get their grains; its own go, and with them its space.
 */
export function* breakForSpace(state: State, target: Volume, error: Error): Plan<void> {
  if (target.removed) return;
  yield* breakOne(state, target, `it could not be filled from the undo log: ${error.message}`);
  try {
    yield* leaveTree(state, target, true);
  } catch (failure) {
    // Its older neighbour finds no room either: then that one is what has to go first.
    const older = target.children[0];
    if (older === undefined || !(failure instanceof FlashCopyError) || failure.code !== 'OutOfSpace')
      throw failure;
    yield* breakForSpace(state, older, failure);
    yield* leaveTree(state, target, true);
  }
  // Not yet, where the engine is being closed: its readers still need it.
  if (target.children.length > 0) return;
  state.log.forget(target);
  yield op.punch(target.file, 0, target.grains * target.grain);
}
