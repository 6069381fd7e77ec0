/**
 * Checkpoint: everything that the undo log carries comes to its own place, and the log is cut.
 *
 *   1. the end: all records that exist now
 *   2. fill: their grains go to the data files
 *   3. for every bitmap that differs from its file: take what is pending; from here on a change has it differ from this generation
 *      too. Then write the next generation, flushed, each page as it is when its turn comes
 *   4. flush the volume's data file: what the bits in those pages speak of is durable
 *   5. another commit under way may change a bitmap's row, or drop it, and fail: it is waited for, and the bitmap is written once
 *      more if it is to be another one now
 *   6. one commit: the new generations, and the log's new tail
 *   7. the old generations go, the log is cut
 *
 * Writes go on meanwhile; what they change is in later records, or pending, or in the next checkpoint.
 */
import { PAGE_BITS, VOLATILE_ID } from './arena.ts';
import { isWaiting } from './bad-file.ts';
import { Bitmap, type Page } from './bitmap.ts';
import { bitmapFile, type Pages, writeBitmap } from './bitmap-file.ts';
import { breakUnfilled, forgetLogged } from './break.ts';
import { mergeEpochs } from './epochs.ts';
import { fillVolume } from './fill.ts';
import { flushData } from './flush.ts';
import type { LogRecord } from './log-entry.ts';
import { notFlushedAgain, setSaved, unsavedDecided, unsavedRows } from './offline.ts';
import type { Plan, PoolFile, RowChange } from './ops.ts';
import type { BitmapRow, LogMark, LogTail } from './rows.ts';
import { put, removeFiles, type State, together } from './state.ts';
import { REGION_GRAINS, type Volume } from './volume.ts';

/** Bitmaps that are written at the same time. */
const WRITERS = 16;
const PAGE_REGIONS = PAGE_BITS / REGION_GRAINS;

export function* checkpoint(state: State): Plan<void> {
  const last = state.log.records.at(-1) ?? null;
  // Not in turn with the others: where a volume has to be broken it waits for who changes the tree, who may wait for a turn here.
  if (last !== null) yield* fillAll(state, last.seq);
  yield* state.checkpoints.run(runCheckpoint(state, true, last));
}

/** Bits only: what is set now is durable afterwards. The log keeps its records. */
export function* checkpointBits(state: State): Plan<void> {
  yield* state.checkpoints.run(runCheckpoint(state, false, null));
}

/**
 * What one volume holds, without the undo log: for those who must not wait for room there. Grains of which the log has an older
 * copy go on waiting.
 */
export function* checkpointHeld(state: State, volume: Volume): Plan<void> {
  yield* state.checkpoints.run(runCheckpoint(state, false, null, volume));
  if (volume.unflushed) throw notFlushedAgain(volume);
}

function* runCheckpoint(
  state: State,
  withLog: boolean,
  last: LogRecord | null,
  only: Volume | null = null,
): Plan<void> {
  const { log } = state;
  // 3. to 5.
  const merged = withLog ? mergeEpochs(state) : { rows: [], files: [] };
  const jobs = dirtyBitmaps(state).filter((job) => only === null || (job.isHeld && job.volume === only));
  const ids = jobs.map((job) => job.bitmap.id);
  // A bitmap may be changed by another commit (it grows) meanwhile, or would have been: then that one once more.
  try {
    let left = jobs;
    do {
      yield* writeGenerations(state, left);
      yield* othersDecided(state, ids);
      left = jobs.filter((job) => !isCurrent(state, job));
    } while (left.length > 0);
  } catch (error) {
    notWritten(jobs);
    yield* removeFiles(
      state,
      jobs.flatMap((job) => (job.row === null ? [] : [nextFile(job.bitmap, job.row)])),
    );
    throw error;
  }
  const written = jobs.filter((job) => job.row !== null && state.bitmaps.has(job.bitmap.id));
  const cuts = last !== null && canCut(state, last);
  const unsaved = unsavedRows(state);
  const changes: RowChange[] = [
    ...unsaved.flatMap(({ rows }) => rows),
    ...merged.rows,
    ...written.map((job) => put('bitmap', nextRow(job.row!))),
  ];
  const old: PoolFile[] = [...merged.files, ...jobs.flatMap((job) => unneededFiles(state, job))];
  // 6. One commit.
  try {
    if (cuts) yield* state.commitTail(changes, tailBehind(state, last));
    else if (changes.length > 0) yield* state.commit(changes);
  } catch (error) {
    notWritten(written);
    throw error;
  }
  for (const { volume } of unsaved) setSaved(state, volume);
  // Not before: should the process die, the next one has to know what is in no file.
  for (const job of written) if (!job.bitmap.dirty && !keepsBits(job)) job.bitmap.markClean();
  // 7. What nobody needs any more.
  if (cuts) log.cut(last.seq);
  for (const job of jobs) job.volume.unpendChecked(job.sealed);
  yield* removeFiles(state, old);
}

/** Returns when no other commit is under way that changes a row which this one may put. */
function* othersDecided(state: State, bitmaps: readonly number[]): Plan<void> {
  do yield* unsavedDecided(state);
  while (yield* state.bitmaps.decided(bitmaps));
}

/**
 * A volume that could not be filled keeps the log from being cut, also where a flush that failed has given the log something back.
 * Another checkpoint may have cut it meanwhile.
 */
const canCut = ({ log }: State, last: LogRecord): boolean =>
  log.records.includes(last) && log.isFilled(last.seq);

function tailBehind(state: State, last: LogRecord): LogTail {
  const { log } = state;
  const next = log.records.find((r) => r.seq > last.seq);
  return {
    tailSeq: last.seq + 1,
    tailSlot: next !== undefined ? next.slot : log.head,
    tailWritten: next !== undefined && next.failed !== true,
    mark: markUpTo(state, last),
    named: true,
  };
}

/** The newest of those that are cut off which is known to be on the disk. */
function markUpTo({ log, engine }: State, last: LogRecord): LogMark | undefined {
  const written = log.records.findLast((r) => r.seq <= last.seq && r.failed !== true);
  if (written === undefined) return engine.mark;
  return written.named ? { seq: written.seq, slot: written.slot } : undefined;
}

/** The next checkpoint has to write them: what the log has of them is not to be cut off before. */
function notWritten(jobs: Job[]): void {
  for (const { bitmap, row } of jobs) if (row !== null) bitmap.dirty = true;
}

/** `row`: the one whose next generation has been written. */
type Job = { volume: Volume; bitmap: Bitmap; isHeld: boolean; sealed: Bitmap[]; row: BitmapRow | null };

/** In memory it says what its file does not say: the next process has to know. */
const keepsBits = ({ isHeld, volume }: Job): boolean =>
  isHeld && isWaiting(volume) && volume.pending.length > 0;

const nextFile = (bitmap: Bitmap, row: BitmapRow): PoolFile => bitmapFile(bitmap.id, row.gen + 1);

const nextRow = (row: BitmapRow): BitmapRow => ({ ...row, gen: row.gen + 1, patch: [] });

const isCurrent = (state: State, job: Job): boolean => {
  const row = state.bitmaps.get(job.bitmap.id);
  return row === undefined || row === job.row || isGivenUp(job);
};

/** B3: the bits of a file whose flush failed matter to those who read through it. Who needs one that was not durable is offline. */
const isGivenUp = ({ isHeld, volume }: Job): boolean =>
  isHeld && volume.unflushed && volume.children.length === 0;

/** The generation before, or, if the bitmap has gone meanwhile, the new one. */
function unneededFiles(state: State, job: Job): PoolFile[] {
  if (job.row === null) return [];
  if (!state.bitmaps.has(job.bitmap.id)) return [nextFile(job.bitmap, job.row)];
  return job.row.gen > 0 ? [bitmapFile(job.bitmap.id, job.row.gen)] : [];
}

function dirtyBitmaps(state: State): Job[] {
  const jobs: Job[] = [];
  for (const volume of state.volumes.values()) {
    if (volume.removed) continue;
    const held = volume.held;
    if (held !== null && (held.dirty || volume.pending.length > 0)) {
      const job = { volume, bitmap: held, isHeld: true, sealed: [], row: null };
      if (!isGivenUp(job)) jobs.push(job);
    }
    for (const e of volume.epochs)
      if (e.bitmap.dirty && e.damaged !== true)
        jobs.push({ volume, bitmap: e.bitmap, isHeld: false, sealed: [], row: null });
  }
  return jobs;
}

function* writeGenerations(state: State, jobs: Job[]): Plan<void> {
  let next = 0;
  const writer = function* (): Plan<void> {
    while (next < jobs.length) yield* writeGeneration(state, jobs[next++]!);
  };
  yield* together(
    state,
    Array.from({ length: WRITERS }, () => writer()),
  );
}

function* writeGeneration(state: State, job: Job): Plan<void> {
  const row = state.bitmaps.get(job.bitmap.id);
  job.row = null;
  if (row === undefined || job.volume.removed) return;
  const isFlushed = mayFlush(job);
  job.sealed = isFlushed ? job.volume.seal() : [];
  job.bitmap.dirty = false;
  try {
    yield* writeBitmap(state, pagesFor(state, job), row.gen + 1);
    if (isFlushed) yield* flushData(state, job.volume);
  } catch (error) {
    job.bitmap.dirty = true;
    yield* removeFiles(state, [nextFile(job.bitmap, row)]);
    // The others go on, and this one is written once more if it is still to be.
    if (job.volume.removed || (isFlushed && !mayFlush(job))) return;
    throw error;
  }
  job.row = row;
}

const mayFlush = ({ isHeld, volume }: Job): boolean => isHeld && !volume.unflushed && !isWaiting(volume);

/** What comes to pages that are not there yet has the bitmap differ from this generation. */
function pagesFor(state: State, job: Job): Pages {
  const { bitmap } = job;
  const indexes = new Set(bitmap.pages());
  for (const region of marksOf(state, job)) indexes.add(Math.floor(region / PAGE_REGIONS));
  return {
    id: bitmap.id,
    bits: bitmap.bits,
    indexes: [...indexes].sort((a, b) => a - b),
    take: (some) => takePages(state, job, some),
  };
}

/**
 * As they are to be on disk now: of an FC bitmap without the grains that the log alone has, and without those that a bad file may
 * have lost; of an open epoch with its marked regions whole, for writes that will not be in the log (C2).
 */
function* takePages(state: State, job: Job, indexes: number[]): Generator<Page, void, void> {
  const { volume, bitmap } = job;
  const copy = new Bitmap(state.arena, VOLATILE_ID, bitmap.bits);
  copy.or(bitmap, indexes);
  // The log's records say that these are held, and should those be lost, nobody has them.
  if (job.isHeld && volume.unfilled > 0) volume.clearUnfilled(copy);
  if (keepsBits(job)) for (const bits of volume.pending) copy.andNot(bits);
  const marks = marksOf(state, job);
  for (const r of indexes.flatMap(regionsOf))
    if (marks.has(r))
      copy.setRange(r * REGION_GRAINS, Math.min(REGION_GRAINS, copy.bits - r * REGION_GRAINS));
  yield* copy.content(indexes);
  copy.release();
}

function marksOf(state: State, { volume, bitmap }: Job): ReadonlySet<number> {
  const marks = volume.epochs.find((e) => e.bitmap === bitmap)?.marks;
  return state.closing || marks == null ? new Set() : marks;
}

const regionsOf = (page: number): number[] =>
  Array.from({ length: PAGE_REGIONS }, (_, i) => page * PAGE_REGIONS + i);

/** Every grain of records up to `seq` goes to its data file; neighbours together. */
function* fillAll(state: State, seq: number): Plan<void> {
  const volumes = new Set<Volume>();
  for (const r of state.log.records) {
    if (r.seq > seq) break;
    for (const c of r.copies) volumes.add(c.volume);
  }
  for (const volume of volumes) {
    try {
      if (volume.unflushed) yield* forgetLogged(state, volume);
      else yield* fillVolume(state, volume);
    } catch (error) {
      yield* breakUnfilled(state, volume, error as Error);
    }
    // Also where the host has overwritten the log's grains: without its record the file must have them durably.
    if (volume.held !== null) volume.held.dirty = true;
  }
}
