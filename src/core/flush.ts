/**
 * FLUSH: what the host was told is written becomes durable (B2), and so do the FC bits that speak of it, in this order:
 *
 *   1. take the bits that are pending now (their data writes have ended)
 *   2. flush the data file
 *   3. the bits go to the undo log as SET entries, flushed; where that has no room, or they are very many, to the next generation
 *      of their file; very many for which that finds no space, to the log after all
 *
 * None of it waits for room in the log: whoever holds the turn to change the tree, or has closed a gate, may flush.
 *
 * B3: after a failed flush nothing of the file can be trusted: the volume goes offline, and is not flushed again.
 */
import { checkFlush } from './bad-file.ts';
import type { Bitmap } from './bitmap.ts';
import { checkpointHeld } from './checkpoint.ts';
import type { LogEntry } from './log-entry.ts';
import { ENTRIES_MAX, entriesIn, headerBlocksFor } from './log-record.ts';
import { flushFailed, notFlushedAgain } from './offline.ts';
import { op, type Plan } from './ops.ts';
import type { State } from './state.ts';
import type { Run, Volume } from './volume.ts';

/** Entries of one append: leaves room for others in the same record. */
const RUNS_PER_APPEND = Math.floor(ENTRIES_MAX / 4);

/** Of one flush. More of them are less work for the bitmap's file, and in the end too many to look at while all host I/O waits. */
const RUNS_MAX = 4 * 1024;

/**
 * True: not all of it. There was no room in the log to say that the file has newer what the log has an older copy of: after a
 * loss of power the volume would show that. Only who told somebody that all is durable has to do it again, with room.
 * `own`: grains that the caller has locked, for which it has reserved room.
 */
export function* flushVolume(
  state: State,
  volume: Volume,
  own: Run | null = null,
  max = own === null ? RUNS_MAX : RUNS_PER_APPEND,
): Plan<boolean> {
  const held = volume.held;
  const sealed = volume.seal();
  // As they are now: a checkpoint may take them meanwhile, and leave waiting those of which the log has an older copy.
  const runs = allOf(runsOf(sealed), max);
  yield* flushData(state, volume);
  if (sealed.length === 0 || held === null) return false;
  if (runs !== null && !(yield* logBits(state, volume, held, runs.values()))) {
    volume.unpend(sealed);
    return false;
  }
  if (own !== null) {
    yield* logOwn(state, volume, held, sealed, own);
    return false;
  }
  try {
    yield* checkpointHeld(state, volume);
  } catch (error) {
    const isForLog = runs === null && (error as { code?: string }).code === 'OutOfSpace';
    if (!isForLog || (yield* logBits(state, volume, held, runsOf(sealed)))) throw error;
    volume.unpend(sealed);
  }
  if (runs !== null) return runs.some(({ first, count }) => volume.hasLogged(first, count));
  // What goes on waiting only the log can say, and there may be room.
  return (
    volume.pending.length > 0 && (yield* flushVolume(state, volume, null, RUNS_MAX + volume.logged.size))
  );
}

function* runsOf(sealed: Bitmap[], from = 0): Generator<Run, void, void> {
  for (const bits of sealed) yield* bits.runs(from);
}

/** The next `max` of them, or what is left. */
function nextOf(runs: Iterator<Run>, max: number): Run[] {
  const some: Run[] = [];
  for (let next = runs.next(); next.done !== true; next = runs.next())
    if (some.push(next.value) === max) break;
  return some;
}

/** Null: more than `max`. */
function allOf(runs: Iterator<Run>, max: number): Run[] | null {
  const some = nextOf(runs, max + 1);
  return some.length > max ? null : some;
}

/**
 * What a target shows of its source since its last cut is durable afterwards. Before that
 *   - it takes no grain by itself: the power would take the source back to older content, and no change bit would tell the next sync;
 *   - nothing is cut of it, and none of what it shows is told to be there.
 * True: not yet, for want of room in the undo log.
 */
export function* flushCut(state: State, target: Volume): Plan<boolean> {
  const cut = target.unflushedCut;
  if (cut === 0) return false;
  const source = target.row.source === null ? undefined : state.volumes.get(target.row.source);
  if (source !== undefined && (yield* flushVolume(state, source))) return true;
  if (target.unflushedCut === cut) target.unflushedCut = 0;
  return false;
}

/**
 * Step 2 alone. When it returns, no flush of the file has ever failed. Nor has one that was under way at the same time: of those
 * the kernel may tell only one that something was lost (errseq_t in Documentation/core-api/errseq.rst).
 */
export function* flushData(state: State, volume: Volume): Plan<void> {
  if (volume.unflushed) throw notFlushedAgain(volume);
  if (volume.badFile !== '') return checkFlush(volume);
  const { file, flushes } = volume;
  const own = { file };
  flushes.add(own);
  try {
    yield op.flush(file);
  } catch (error) {
    // Unless it has another file by now.
    if (volume.file === file) flushFailed(state, volume, error as Error);
    throw error;
  } finally {
    flushes.delete(own);
    state.runner.fire(volume.flushEnded);
  }
  const others = [...flushes].filter((other) => other.file === file);
  while (others.some((other) => flushes.has(other))) yield volume.flushEnded;
  // Another one has failed meanwhile, and this one may have been told nothing of what that one lost.
  if (volume.unflushed) throw notFlushedAgain(volume);
}

/** True: there is no room in the log for all of them. */
function* logBits(state: State, volume: Volume, held: Bitmap, runs: Iterator<Run>): Plan<boolean> {
  for (;;) {
    const entries = entriesOf(volume, held, nextOf(runs, RUNS_PER_APPEND));
    if (entries.length === 0) return false;
    if (yield* state.log.appendBits(entries)) return true;
  }
}

/**
 * Of the bits that have been flushed those that the caller needs, in the room that it has. Nobody else sets any of them meanwhile.
 * Of those behind as many come along as take no further block: the next ones who need any of so many may need these.
 */
function* logOwn(state: State, volume: Volume, held: Bitmap, sealed: Bitmap[], own: Run): Plan<void> {
  const runs: Run[] = [];
  const end = own.first + own.count;
  for (let g = own.first; g < end; g++) {
    if (!sealed.some((bits) => bits.get(g))) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === g) last.count++;
    else runs.push({ first: g, count: 1 });
  }
  if (runs.length === 0) return;
  runs.push(...nextOf(runsOf(sealed, end), entriesIn(headerBlocksFor(runs.length)) - runs.length));
  yield* state.log.append(entriesOf(volume, held, runs));
  for (const bits of sealed) for (const { first, count } of runs) bits.clearRange(first, count);
}

const entriesOf = (volume: Volume, bitmap: Bitmap, runs: Run[]): LogEntry[] =>
  runs.map(({ first, count }) => ({ volume, bitmap, first, count, block: null, start: 0, marks: null }));
