/**
 * Mappings that end before their time: stopped, or deleted.
 */
import type { EpochSeq } from '../base/brands.ts';
import { assert, FlashCopyError } from '../base/errors.ts';
import { mayRemove } from './bad-file.ts';
import { endMapping } from './copy-loop.ts';
import { pruneEpochs } from './epochs.ts';
import { fillVolume } from './fill.ts';
import { flushVolume } from './flush.ts';
import { leaveTree } from './leave.ts';
import { saveOffline, setMended } from './offline.ts';
import { op, type Plan } from './ops.ts';
import type { BitmapRow, MappingRow } from './rows.ts';
import { drop, put, type State } from './state.ts';
import { transition } from './states.ts';
import type { Mapping, Volume } from './volume.ts';

/**
 * A target that holds everything stays as it is, on its own; one that does not has no content of any instant any
 * more and goes offline until it is started again or its mapping is deleted.
 */
export function* stopMapping(state: State, name: string): Plan<Mapping> {
  const mapping = state.findMapping(name);
  if (mapping.row.state === 'stopped') return mapping;
  // What suspended it may be mended, and nothing is lost until then.
  if (mapping.row.state === 'suspended')
    throw new FlashCopyError(
      'WrongState',
      `mapping ${name} is suspended: ${mapping.row.error}. It can be deleted, with force, and its target loses what it has not copied`,
    );
  yield* stop(state, mapping, state.volumes.get(mapping.row.target)!);
  return mapping;
}

function* stop(state: State, mapping: Mapping, target: Volume): Plan<void> {
  if (yield* state.structure.run(beginStop(state, mapping, target))) return;
  yield* leave(state, mapping, target);
  yield* state.structure.run(standAlone(state, mapping, target));
}

/** Not while its readers still need it. */
function* leave(state: State, mapping: Mapping, target: Volume): Plan<void> {
  if (yield* leaveTree(state, target, true)) return;
  throw new FlashCopyError(
    'Unavailable',
    `mapping ${mapping.row.name} could not end before the engine does: ask for it again when the engine is there`,
  );
}

/** Whether the target holds everything, and the mapping is stopped. Otherwise it is `stopping`, and the target offline. */
function* beginStop(state: State, mapping: Mapping, target: Volume): Plan<boolean> {
  if (state.mappings.get(mapping.row.id) !== mapping)
    throw new FlashCopyError('MappingNotFound', `mapping ${mapping.row.name} has ended or was deleted`);
  const row = { ...mapping.row, state: transition(mapping.row.name, mapping.row.state, 'stopping') };
  // One whose stop was begun, and cut off, has given grains away: it may hold all by its bits, and has no content any more.
  const whole = target.offline === '' && (target.held === null || target.held.count >= target.grains);
  const offline = `its copy was stopped half-way: start mapping ${mapping.row.name} again`;
  const targetRow = whole ? target.row : { ...target.row, offline };
  yield* state.commit([put('mapping', row), put('volume', targetRow)]);
  mapping.row = row;
  mapping.said = undefined;
  target.row = targetRow;
  state.runner.fire(mapping.wake);
  if (!whole) return false;
  yield* settle(state, target);
  // Whoever reads through it goes on doing so: it holds everything and stays their parent.
  yield* standAlone(state, mapping, target);
  return true;
}

function* settle(state: State, target: Volume): Plan<void> {
  yield* fillVolume(state, target);
  yield* flushVolume(state, target);
}

/** Out of the tree, mapping `stopped`: it can be started again. */
function* standAlone(state: State, mapping: Mapping, target: Volume): Plan<void> {
  if (target.removed || state.mappings.get(mapping.row.id) !== mapping) return;
  if (mapping.row.state !== 'stopping') return; // another request to stop has done it
  const keep: MappingRow = {
    ...mapping.row,
    state: transition(mapping.row.name, mapping.row.state, 'stopped'),
    cut: 0 as EpochSeq,
  };
  yield* endMapping(state, mapping, target, keep);
  state.runner.fire(mapping.wake);
  state.listener.mappingChanged(mapping.row.id);
}

export function* deleteMapping(state: State, name: string, force: boolean): Plan<void> {
  const mapping = state.findMapping(name);
  const target = state.volumes.get(mapping.row.target);
  checkDeletable(mapping, target, force);
  // A suspended one too: its target may be served, and is offline before grains go out of it.
  if (target !== undefined && mapping.row.cut > 0) yield* stop(state, mapping, target);
  while (!(yield* state.structure.run(forget(state, mapping, target, force))))
    yield* leave(state, mapping, target!);
}

/** Before it is begun, and again when nothing else changes the tree: much may have changed since. */
function checkDeletable({ row }: Mapping, target: Volume | undefined, force: boolean): void {
  if (target?.readOnly === true)
    throw new FlashCopyError(
      'InvalidArgument',
      `mapping ${row.name} is what snapshot ${target.name} lives by: delete the snapshot`,
    );
  const isUnfinished = row.state === 'copying' || (row.state === 'suspended' && row.cutAt > 0);
  if (isUnfinished && !force)
    throw new FlashCopyError(
      'WrongState',
      `mapping ${row.name} is ${row.state}: wait until it is copied, or delete it with force, and its target loses its content`,
    );
}

/**
 * What a mapping gave its target is nothing any more where that is offline: the target becomes an empty volume. One that no cut
 * was made for gave it nothing, whatever became of the target.
 */
const isEmptied = ({ row }: Mapping, target: Volume): boolean => row.cutAt > 0 && target.row.offline !== '';

const isNeeded = (target: Volume): boolean => target.children.some((c) => !c.holdsDurably(0, c.grains));

/** The mapping's end. False: not while others need what its target has. */
function* forget(state: State, mapping: Mapping, target: Volume | undefined, force: boolean): Plan<boolean> {
  if (state.mappings.get(mapping.row.id) !== mapping) return true;
  checkDeletable(mapping, target, force);
  if (target !== undefined && mapping.row.cut > 0)
    throw new FlashCopyError(
      'WrongState',
      `mapping ${mapping.row.name} has become ${mapping.row.state} while it was to be deleted: ask for that again`,
    );
  const source = state.volumes.get(mapping.row.source);
  if (target === undefined || !isEmptied(mapping, target)) {
    yield* state.commit([drop('mapping', mapping.row.id)]);
  } else {
    // Before grains go out of it.
    yield* saveOffline(state, target);
    if (isNeeded(target)) return false;
    yield* makeEmpty(state, mapping, target);
  }
  state.mappings.delete(mapping.row.id);
  state.runner.fire(mapping.wake);
  state.listener.mappingChanged(mapping.row.id);
  if (source !== undefined) yield* pruneEpochs(state, source);
  return true;
}

/**
 *   1. zeros everywhere, flushed
 *   2. one commit: the mapping is gone, the target is served
 *
 * Cut off between, the mapping is there to be deleted again, and its target offline.
 */
function* makeEmpty(state: State, mapping: Mapping, target: Volume): Plan<void> {
  assert(target.held === null && target.parent === null, 'a target is emptied that is still in the tree');
  // 1. A fill from the undo log that is under way ends before.
  const lock = yield* target.locks.take(0, target.grains);
  try {
    if (!mayRemove(target))
      throw new FlashCopyError(
        'Damaged',
        `${target.name} cannot be emptied: ${target.badFile}. Put the file back and start the engine again, or delete the volume`,
      );
    yield target.zero(0, target.grains * target.grain);
    yield op.flush(target.file);
  } finally {
    target.locks.give(lock);
  }
  // 2. All of it has been written and flushed anew.
  const row = { ...target.row, offline: '', unflushed: false };
  const changes = [drop('mapping', mapping.row.id), put('volume', row)];
  const open = target.open;
  // To those who will sync from it, all of it has changed.
  if (open !== null) {
    const old = state.bitmaps.get(open.bitmap.id)!;
    changes.push(put('bitmap', { ...old, preset: [...old.preset, [0, target.grains]] } as BitmapRow));
    open.bitmap.setRange(0, target.grains);
  }
  const { broken } = target;
  target.broken = ''; // or the commit would keep it offline
  try {
    yield* state.commit(changes);
  } catch (error) {
    target.broken = broken;
    throw error;
  }
  target.row = row;
  target.unflushedCut = 0;
  setMended(state, target);
}
