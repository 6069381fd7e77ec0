/**
 * FLUSH: what the host was told is written becomes durable (B2), and so do the FC bits that speak of it, in this order:
 *
 *   1. take the bits that are pending now (their data writes have ended)
 *   2. flush the data file
 *   3. the bits go to the undo log as SET entries, flushed
 *
 * B3: after a failed flush nothing of the file can be trusted: the volume goes offline, and is not flushed again.
 */
import type { Bitmap } from './bitmap.ts';
import type { LogEntry } from './log-entry.ts';
import { ENTRIES_MAX, headerBlocksFor } from './log-record.ts';
import { flushFailed, notFlushedAgain } from './offline.ts';
import { op, type Plan } from './ops.ts';
import type { State } from './state.ts';
import type { Run, Volume } from './volume.ts';

/** Entries of one append: leaves room for others in the same record. */
const RUNS_PER_APPEND = Math.floor(ENTRIES_MAX / 4);

export function* flushVolume(state: State, volume: Volume): Plan<void> {
  const held = volume.held;
  const sealed = volume.seal();
  // As they are now: a checkpoint may take them meanwhile, and leave waiting those of which the log has an older copy.
  const runs = sealed.flatMap((bits) => [...bits.runs()]);
  yield* flushData(state, volume);
  if (sealed.length === 0 || held === null) return;
  yield* logBits(state, volume, held, runs);
  volume.unpend(sealed);
}

/**
 * Grains [first, first + count) alone, for who holds locks or is inside a gate with room for old grains in the log: one that is
 * held takes none of that, so its bit may take a slot. Where all that waits fits into one slot it is all: the next ones find it done.
 */
export function* flushRange(state: State, volume: Volume, first: number, count: number): Plan<void> {
  const held = volume.held;
  const waiting = [...volume.pending];
  const runs = waiting.flatMap((bits) => [...bits.runs(first, first + count)]);
  if (runs.length === 0 || held === null) return;
  if (fitsIntoSlot(waiting)) return yield* flushVolume(state, volume);
  yield* flushData(state, volume);
  yield* logBits(state, volume, held, runs);
  volume.unpendRuns(waiting, runs);
}

function fitsIntoSlot(waiting: Bitmap[]): boolean {
  let entries = 0;
  for (const bits of waiting) for (const _ of bits.runs()) if (headerBlocksFor(++entries) > 1) return false;
  return true;
}

/**
 * What a target shows of its source since its last cut is durable afterwards. Before that
 *   - it takes no grain by itself: the power would take the source back to older content, and no change bit would tell the next sync;
 *   - nothing is cut of it, and none of what it shows is told to be there.
 */
export function* flushCut(state: State, target: Volume): Plan<void> {
  const cut = target.unflushedCut;
  if (cut === 0) return;
  const source = target.row.source === null ? undefined : state.volumes.get(target.row.source);
  if (source !== undefined) yield* flushVolume(state, source);
  if (target.unflushedCut === cut) target.unflushedCut = 0;
}

/** Step 2 alone. When it returns, no flush of the file has ever failed. */
export function* flushData(state: State, volume: Volume): Plan<void> {
  if (volume.unflushed) throw notFlushedAgain(volume);
  const { file } = volume;
  try {
    yield op.flush(file);
  } catch (error) {
    // Unless it has another file by now.
    if (volume.file === file) flushFailed(state, volume, error as Error);
    throw error;
  }
  // Another one has failed meanwhile, and this one may have been told nothing of what that one lost.
  if (volume.unflushed) throw notFlushedAgain(volume);
}

function* logBits(state: State, volume: Volume, held: Bitmap, runs: Run[]): Plan<void> {
  let entries: LogEntry[] = [];
  for (const { first, count } of runs) {
    entries.push({ volume, bitmap: held, first, count, block: null, start: 0, marks: null });
    if (entries.length < RUNS_PER_APPEND) continue;
    yield* state.log.append(entries);
    entries = [];
  }
  if (entries.length > 0) yield* state.log.append(entries);
}
