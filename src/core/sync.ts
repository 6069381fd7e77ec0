/**
 * Sync: a target moves to a newer cut of its source; only what changed is copied (IPCOM000103692D).
 *
 *   changed = what the source wrote since the target's cut, or the host wrote in the target since
 *   the target's new FC bitmap = old & ~changed; it becomes the newest target; the background copy does the rest
 *
 *   0. readers of the target whose flush failed leave the tree: they cannot get what 2 would give them
 *   1. a short closing of the gates ends the epochs of source and target, so that `changed` has an end
 *   2. those that read through the target get what will change in it (its own targets), or may differ from its parent
 *      (its older neighbour). Host I/O goes on
 *   3. the target's data is flushed; the new bitmap is written as a file and flushed (C3)
 *   4. the gates close. What was written since 1 is added: to 2 by copying, to the bitmap as the row's patch. Where that is much,
 *      the gates open, and 1 to 3 are done once more
 *   5. one commit; the same in memory; the gates open
 *
 * The work is in proportion to what changed. The host waits in 1 and 4.
 */
import type { EpochSeq } from '../base/brands.ts';
import { VOLATILE_ID } from './arena.ts';
import { Bitmap } from './bitmap.ts';
import { bitmapFile, freeze, writeBitmap } from './bitmap-file.ts';
import { checkpointBits } from './checkpoint.ts';
import { closeEpoch, flushSource, newestTarget, notePause } from './cut.ts';
import { changedSince, isAsked } from './epochs.ts';
import { flushCut, flushVolume } from './flush.ts';
import { giveRange } from './hydrate.ts';
import { clean, giveLast, leaveTree, neededOf } from './leave.ts';
import type { LogEntry } from './log-entry.ts';
import { ENTRIES_MAX } from './log-record.ts';
import { loseCuts, loseNewReaders } from './offline.ts';
import type { Plan, RowChange } from './ops.ts';
import type { BitmapRow, MappingRow, VolumeRow } from './rows.ts';
import { drop, put, removeFiles, type State } from './state.ts';
import type { Epoch, Mapping, Volume } from './volume.ts';

/** What step 4 may find before the steps 1 to 3 are done once more: runs of one bitmap row's patch, and bytes to copy. */
const PATCH_RUNS_MAX = 2048;
const LATE_BYTES_MAX = 16 * 1024 * 1024;
const ROUNDS_MAX = 4;

/** `check` says between which volumes, or throws if it cannot be; it is asked when nothing else changes the tree. */
export function* syncTarget(
  state: State,
  mapping: Mapping,
  request: string,
  check: () => { source: Volume; target: Volume },
): Plan<void> {
  yield* dismissUnflushed(state, state.volumes.get(mapping.row.target));
  const sync = function* () {
    const { source, target } = check();
    const isDone = request !== '' && mapping.row.request === request; // the same wish, twice at a time
    const lacksRoom = !isDone && (yield* syncNow(state, mapping, request, source, target));
    return { source, target, lacksRoom };
  };
  let made = yield* state.structure.run(sync());
  while (made.lacksRoom) {
    yield* state.log.roomForBits();
    made = yield* state.structure.run(sync());
  }
  yield* flushSource(state, made.source, made.target);
  state.listener.mappingChanged(mapping.row.id);
}

/** B3: those that take nothing any more would keep the target where it is. They leave, and who reads through them gets what it needs. */
function* dismissUnflushed(state: State, target: Volume | undefined): Plan<void> {
  for (const child of [...(target?.children ?? [])])
    if (child.unflushed && child.parent === target) yield* leaveTree(state, child, false);
}

/** True: not yet, the undo log has no room for what has to be durable before. */
function* syncNow(
  state: State,
  mapping: Mapping,
  request: string,
  source: Volume,
  target: Volume,
): Plan<boolean> {
  if (yield* flushCut(state, source)) return true;
  for (let round = 1; ; round++) {
    // Before the commit of 1, which gives its number out: no file has a number that the catalog may give to another one.
    const next = state.newBitmap(target.grains);
    // 1. An end for what changed.
    yield* withGates(state, [source, target], splitEpochs(state, [source, target]));
    const changed = changedIn(state, source, mapping.row.cut, target, target.row.since);
    let kept = false;
    try {
      // 2. Those that read through the target.
      yield* cleanReaders(state, target, changed);
      // 3. The new bitmap.
      if (isAsked(state, target)) yield* recordChange(state, target, changed);
      next.bitmap.or(target.held!);
      next.bitmap.andNot(changed);
      // What is in the log only is not held from now on: most of it has changed in the source, the rest is copied again.
      target.clearUnfilled(next.bitmap);
      const frozen = freeze(next.bitmap);
      yield* flushVolume(state, target);
      yield* writeBitmap(state, frozen, 1);
      next.row.gen = 1;
      // 4. and 5.
      const last = round === ROUNDS_MAX;
      // The readers too: a grain that one has just written, and not flushed, it may still need from where it hung.
      const gated = [...new Set([source, target, target.parent!, ...target.children])];
      kept = yield* withGates(
        state,
        gated,
        switchOver(state, mapping, request, source, target, changed, next, last),
      );
      if (kept) return false;
    } finally {
      changed.release();
      if (!kept) {
        next.bitmap.release();
        yield* removeFiles(state, [bitmapFile(next.row.id, 1)]);
      }
    }
  }
}

function* withGates<T>(state: State, volumes: Volume[], plan: Plan<T>): Plan<T> {
  const closedAt = state.clock.micros();
  for (const v of volumes) v.gate.close();
  try {
    for (const v of volumes) yield* v.gate.drain();
    return yield* plan;
  } finally {
    for (const v of volumes) v.gate.release();
    notePause(state, closedAt);
  }
}

function* splitEpochs(state: State, volumes: Volume[]): Plan<void> {
  const next = volumes.map((volume) => {
    const { epoch, bitmapRow } = state.newEpoch(volume);
    return { volume, epoch, bitmapRow, row: { ...volume.row, epoch: epoch.row.seq } };
  });
  yield* state.commit(
    next.flatMap((n) => [put('volume', n.row), put('epoch', n.epoch.row), put('bitmap', n.bitmapRow)]),
  );
  for (const n of next) {
    closeEpoch(n.volume);
    n.volume.row = n.row;
    n.volume.epochs.push(n.epoch);
  }
}

/** Closed epochs only are complete; the open ones have just begun. */
function changedIn(state: State, source: Volume, cut: number, target: Volume, since: number): Bitmap {
  const bits = new Bitmap(state.arena, VOLATILE_ID, Math.max(target.grains, source.grains));
  changedSince(source, cut, bits);
  changedSince(target, since, bits);
  // Behind the source's end the target keeps what is its own.
  bits.clearRange(source.grains, bits.bits - source.grains);
  return bits;
}

/** Those that read through the target get what they need of it. False: not all of them, it would be more than `max` bytes. */
function* cleanReaders(
  state: State,
  target: Volume,
  changed: Bitmap,
  max = Number.POSITIVE_INFINITY,
): Plan<boolean> {
  let left = max;
  for (const child of target.children.filter((c) => c.held !== null)) {
    const isOwn = isOwnTarget(child, target);
    const needed = isOwn ? lackingOf(state, child, changed) : neededOf(state, target, child)!;
    try {
      left -= needed.count * target.grain;
      if (left < 0) return false;
      if (isOwn) yield* giveRange(state, child, needed);
      else yield* clean(state, target, child, needed, false, false);
    } finally {
      needed.release();
    }
  }
  return true;
}

/** Most of what has changed it may have, and looking at each of very many runs would keep all host I/O waiting. */
function lackingOf(state: State, child: Volume, changed: Bitmap): Bitmap {
  const lacking = new Bitmap(state.arena, VOLATILE_ID, Math.min(changed.bits, child.grains));
  lacking.or(changed);
  lacking.andNot(child.held!);
  return lacking;
}

const isOwnTarget = (child: Volume, of: Volume) => child.row.source === of.row.id;

/**
 * The target's own targets ask later what changed in it: all of this does. Durably, before it does (C2). In the epoch that has ended:
 * where that fails, a bit of the open one would keep the next write there from marking its region.
 */
function* recordChange(state: State, target: Volume, changed: Bitmap): Plan<void> {
  const ended: Epoch = target.epochs.at(-2)!;
  ended.bitmap.or(changed);
  yield* checkpointBits(state);
}

function* recordLate(state: State, target: Volume, late: Bitmap): Plan<void> {
  const bitmap = target.open!.bitmap;
  const entries: LogEntry[] = [...late.runs(0, bitmap.bits)].map((run) => ({
    volume: target,
    bitmap,
    ...run,
    block: null,
    start: 0,
    marks: null,
  }));
  for (let i = 0; i < entries.length; i += ENTRIES_MAX) {
    if (!(yield* state.log.appendBits(entries.slice(i, i + ENTRIES_MAX)))) continue;
    // No room, and the gates are closed.
    return yield* recordChange(state, target, late);
  }
}

/** Steps 4 and 5, gates closed and drained. False: too much changed meanwhile, do another round. */
function* switchOver(
  state: State,
  mapping: Mapping,
  request: string,
  source: Volume,
  target: Volume,
  changed: Bitmap,
  next: { bitmap: Bitmap; row: BitmapRow },
  last: boolean,
): Plan<boolean> {
  // Nobody sets bits of the target any more: copies and fills take its lock too.
  const lock = yield* target.locks.take(0, target.grains);
  // Since the epochs ended: the host waits, and what is in those is in `changed`.
  const late = changedIn(state, source, source.row.epoch, target, target.row.epoch);
  late.andNot(changed);
  const parents = [source, target, target.parent!];
  for (const v of parents) v.adopting++;
  try {
    // One that is broken by now may have had grains punched out.
    for (const v of [source, target]) v.checkOnline();
    const patch = commonRuns(late, next.bitmap, last ? Number.POSITIVE_INFINITY : PATCH_RUNS_MAX);
    if (patch === null) return false;
    changed.or(late);
    for (const [first, count] of patch) next.bitmap.clearRange(first, count);
    next.row.patch = patch;
    if (isAsked(state, target)) yield* recordLate(state, target, late);
    const max = last ? Number.POSITIVE_INFINITY : LATE_BYTES_MAX;
    if (!(yield* giveLast(target, () => cleanReaders(state, target, changed, max)))) return false;
    yield* commitSync(state, mapping, request, source, target, next);
    return true;
  } finally {
    late.release();
    target.locks.give(lock);
    for (const v of parents) v.adopting--;
  }
}

/** Of `few` those that `many` has too; null: more than `max`. Not the other way round: `many` may have all grains of a huge volume. */
function commonRuns(few: Bitmap, many: Bitmap, max: number): [number, number][] | null {
  const common: [number, number][] = [];
  for (const f of few.runs())
    for (const { first, count } of many.runs(f.first, f.first + f.count))
      if (common.push([first, count]) > max) return null;
  return common;
}

function* commitSync(
  state: State,
  mapping: Mapping,
  request: string,
  source: Volume,
  target: Volume,
  next: { bitmap: Bitmap; row: BitmapRow },
): Plan<void> {
  const parent = target.parent!;
  const older = target.children.filter((c) => !isOwnTarget(c, target));
  const before = parent === source ? older[0] : newestTarget(state, source);
  const at = state.newEpoch(source);
  const own = state.newEpoch(target);
  const oldHeld = target.held!;
  const targetRow: VolumeRow = {
    ...target.row,
    held: next.row.id,
    parent: source.row.id,
    since: own.epoch.row.seq,
    epoch: own.epoch.row.seq,
    sparse: false,
  };
  const sourceRow = { ...source.row, epoch: at.epoch.row.seq };
  const mappingRow: MappingRow = {
    ...mapping.row,
    state: 'copying',
    cut: at.epoch.row.seq as EpochSeq,
    cutAt: state.clock.now(),
    request,
    error: '',
  };
  const moved = new Map<Volume, VolumeRow>();
  for (const child of older) moved.set(child, { ...child.row, parent: parent.row.id });
  if (before !== undefined) moved.set(before, { ...before.row, parent: target.row.id });
  const rows: RowChange[] = [put('volume', sourceRow), put('volume', targetRow), put('mapping', mappingRow)];
  for (const row of moved.values()) rows.push(put('volume', row));
  for (const e of [at, own]) rows.push(put('epoch', e.epoch.row), put('bitmap', e.bitmapRow));
  const oldRow = state.bitmaps.get(oldHeld.id);
  rows.push(put('bitmap', next.row), drop('bitmap', oldHeld.id));
  yield* state.commit(rows);
  state.counters.cuts++;
  closeEpoch(source);
  closeEpoch(target);
  source.row = sourceRow;
  source.epochs.push(at.epoch);
  target.row = targetRow;
  target.epochs.push(own.epoch);
  mapping.row = mappingRow;
  mapping.cursor = 0;
  state.log.forget(target);
  target.dropPending();
  target.held = next.bitmap;
  target.unflushedCut = state.nextCut();
  target.sparse = false;
  oldHeld.release();
  hang(target, source, parent, moved);
  state.runner.fire(mapping.wake);
  // Its flush has failed beside the commit, or that of one above.
  if (source.unflushed) loseCuts(state, source);
  for (const above of [source, parent]) loseNewReaders(state, above);
  if (oldRow !== undefined && oldRow.gen > 0) yield* removeFiles(state, [bitmapFile(oldRow.id, oldRow.gen)]);
}

/** The new shape of the chain, in memory. */
function hang(target: Volume, source: Volume, parent: Volume, moved: Map<Volume, VolumeRow>): void {
  parent.children = parent.children.filter((c) => c !== target);
  const byId = new Map<number, Volume>([source, parent, target].map((v) => [v.id, v]));
  for (const [child, row] of moved) {
    const from = child.parent!;
    from.children = from.children.filter((c) => c !== child);
    child.row = row;
    child.parent = byId.get(row.parent!)!;
    child.parent.children.push(child);
  }
  target.parent = source;
  source.children.push(target);
}
