/**
 * Reclaiming retired volumes: deleted ones that others still read from. One loop takes them one by one, those first
 * that nobody reads from any more; one that could not be reclaimed goes behind all others, before it is tried again.
 * What it does is always the same: leave the tree, go, give the space back. Last come volumes that an error of the disk
 * broke: they leave the tree, and stay.
 *
 * Space is given back beside everything else, and in pieces: a filesystem mounted with `discard` discards what was freed
 * when its journal commits, and every flush of the pool waits for that. Thousands of extents at once take 0.1 s.
 */
import { mayRemove } from './bad-file.ts';
import { bitmapFile } from './bitmap-file.ts';
import { leaveBroken } from './break.ts';
import { pruneEpochs } from './epochs.ts';
import { leaveTree } from './leave.ts';
import { op, type Plan, type PoolFile, type RowChange } from './ops.ts';
import { drop, removeFiles, type State } from './state.ts';
import type { Volume } from './volume.ts';

/** After a failure (no space for a grain that has to move, say). */
const RETRY_MS = 5000;
const PIECE_RUNS = 128;
const PIECE_BYTES = 64 * 2 ** 20;
const PIECE_MS = 1;

export function* reclaimLoop(state: State): Plan<void> {
  const failedAt = new WeakMap<Volume, number>();
  while (!state.closing) {
    const next = nextToLeave(state, failedAt);
    if (next === undefined) {
      yield state.retiredWake;
      continue;
    }
    try {
      if (next.removed || !next.row.retired) {
        yield* leaveBroken(state, next);
        state.leavers.delete(next);
        continue;
      }
      if (next.children.length > 0) yield* leaveTree(state, next, true);
      if (state.closing || next.children.length > 0) continue;
      yield* goAndGiveBack(state, next);
    } catch (error) {
      failedAt.set(next, state.clock.micros());
      const what = `a ${next.row.retired ? 'deleted' : 'broken'} volume cannot be reclaimed yet`;
      state.listener.log('warn', what, { volume: next.name, error: (error as Error).message });
      yield op.sleep(RETRY_MS);
    }
  }
}

function* goAndGiveBack(state: State, volume: Volume): Plan<void> {
  const files: PoolFile[] = [];
  try {
    yield* state.structure.run(remove(state, volume, files));
  } finally {
    // Also where it is gone and what comes after that has failed: nobody will come to it again.
    if (volume.removed) {
      state.givingBack = true;
      yield* giveBack(state, volume);
      yield* removeFiles(state, files);
      state.givingBack = false;
    }
  }
}

function nextToLeave(state: State, failedAt: WeakMap<Volume, number>): Volume | undefined {
  const retired = [...state.volumes.values()].filter((v) => v.row.retired);
  retired.sort((a, b) => a.children.length - b.children.length);
  const failed = (v: Volume): number => failedAt.get(v) ?? 0;
  return [...retired, ...state.leavers].sort((a, b) => failed(a) - failed(b))[0];
}

/** A retired volume that nobody reads from. `files`: those that are not needed any more. */
function* remove(state: State, volume: Volume, files: PoolFile[]): Plan<void> {
  const parent = volume.parent;
  parent?.gate.close();
  const mapping = state.mappingOf(volume);
  const sourceOf = volume.row.source === null ? undefined : state.volumes.get(volume.row.source);
  try {
    if (parent !== null) yield* parent.gate.drain();
    const gone = rowsOf(state, volume);
    // From here on nobody puts a row of it behind this commit.
    volume.removed = true;
    try {
      yield* state.commit(gone.rows);
    } catch (error) {
      volume.removed = false;
      throw error;
    }
    files.push(...gone.files);
    state.volumes.delete(volume.id);
    if (mapping !== undefined) state.mappings.delete(mapping.row.id);
    if (parent !== null) parent.children = parent.children.filter((c) => c !== volume);
    // A copy into it may be under way: it ends under the lock, and sees `removed` after it.
    const lock = yield* volume.locks.take(0, volume.grains);
    state.log.forget(volume);
    volume.dropPending();
    for (const e of volume.epochs) e.bitmap.release();
    volume.locks.give(lock);
  } finally {
    parent?.gate.release();
  }
  if (mapping !== undefined) {
    state.runner.fire(mapping.wake);
    state.listener.mappingChanged(mapping.row.id);
  }
  if (sourceOf !== undefined && sourceOf !== volume) yield* pruneEpochs(state, sourceOf);
}

/** Until the engine ends: what is left goes with the file, which the next one removes if this one does not come to it. */
function* giveBack(state: State, volume: Volume): Plan<void> {
  const { file, grain, held } = volume;
  try {
    for (const { first, count } of state.space.discards && mayRemove(volume) ? pieces(volume) : []) {
      if (state.closing) break;
      yield op.punch(file, first * grain, count * grain);
      yield op.sleep(PIECE_MS);
    }
  } catch (error) {
    state.listener.log('warn', 'the space of a removed volume could not be given back in pieces', {
      file: file.path,
      error: (error as Error).message,
    });
  } finally {
    held?.release();
  }
}

/** Of what the volume's file holds: ranges with few runs of grains and of few bytes. */
function* pieces({ held, grain, grains }: Volume): Generator<{ first: number; count: number }> {
  const grainsMax = Math.ceil(PIECE_BYTES / grain);
  let first = 0;
  let end = 0;
  let runs = 0;
  for (const run of held?.runs() ?? [{ first: 0, count: grains }]) {
    for (let at = run.first; at < run.first + run.count; at += grainsMax) {
      const to = Math.min(at + grainsMax, run.first + run.count);
      if (runs > 0 && (runs === PIECE_RUNS || to - first > grainsMax)) {
        yield { first, count: end - first };
        runs = 0;
      }
      if (runs === 0) first = at;
      end = to;
      runs += 1;
    }
  }
  if (runs > 0) yield { first, count: end - first };
}

function rowsOf(state: State, volume: Volume): { rows: RowChange[]; files: PoolFile[] } {
  const rows: RowChange[] = [drop('volume', volume.id)];
  const files = [volume.file];
  const bitmaps = volume.epochs.map((e) => e.bitmap.id);
  if (volume.held !== null) bitmaps.push(volume.held.id);
  for (const e of volume.epochs) rows.push(drop('epoch', e.row.id));
  for (const id of bitmaps) {
    rows.push(drop('bitmap', id));
    const row = state.bitmaps.get(id);
    if (row !== undefined && row.gen > 0) files.push(bitmapFile(id, row.gen));
  }
  for (const m of state.mappings.values())
    if (m.row.target === volume.row.id) rows.push(drop('mapping', m.row.id));
  return { rows, files };
}
