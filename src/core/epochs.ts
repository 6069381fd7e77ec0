/**
 * Epochs: what was written in a volume between its cuts, kept while somebody may ask.
 *
 * Who may ask: a mapping from this volume asks for everything since its cut; who compares snapshots, for what was written
 * between two of them; a target asks for its own host writes since it became one (`since`). Epochs older than all of them go; two neighbours that no question separates become
 * one at the next checkpoint.
 */
import { PAGE_BITS } from './arena.ts';
import type { Bitmap } from './bitmap.ts';
import { bitmapFile } from './bitmap-file.ts';
import type { Plan, PoolFile, RowChange } from './ops.ts';
import { drop, removeFiles, type State } from './state.ts';
import type { Epoch, Volume } from './volume.ts';

/** Pages of bitmaps that are looked at before host I/O has its turn. */
export const PAGES_AT_ONCE = 1024;
/** Of each epoch, of which there may be hundreds. */
const WINDOW_PAGES = 8;
/** What it takes to see that an epoch has not got a page, beside what a look at one takes. */
const MISSING = 1 / 64;

/** By volume, the numbers of its epochs at which the questions of others start: those of its copies. */
function startsOfOthers(state: State): Map<number, Set<number>> {
  const starts = new Map<number, Set<number>>();
  const add = (source: number, cut: number) => {
    const known = starts.get(source);
    if (known === undefined) starts.set(source, new Set([cut]));
    else known.add(cut);
  };
  for (const { row } of state.mappings.values()) if (row.cut > 0) add(row.source, row.cut);
  // Snapshots that have become independent are still compared with each other.
  for (const { row, readOnly } of state.volumes.values())
    if (readOnly && row.source !== null && row.cut !== undefined && !row.retired) add(row.source, row.cut);
  return starts;
}

/** Whether somebody counts on the volume's epochs beside itself. It need not read through the volume any more. */
export const isAsked = (state: State, volume: Volume): boolean => startsOfOthers(state).has(volume.row.id);

/** In order. */
function boundaries(others: Map<number, Set<number>>, volume: Volume): number[] {
  const set = new Set(others.get(volume.row.id));
  if (volume.held !== null) set.add(volume.row.since);
  return [...set].sort((a, b) => a - b);
}

/** Everything written since epoch `seq` began, ORed into `into`; `until` excludes epochs from there on. */
export function changedSince(
  volume: Volume,
  seq: number,
  into: Bitmap,
  until = Number.POSITIVE_INFINITY,
): void {
  for (const e of epochsSince(volume, seq, until)) into.or(e.bitmap);
}

export const epochsSince = (volume: Volume, seq: number, until = Number.POSITIVE_INFINITY): Epoch[] =>
  volume.epochs.filter(({ row }) => row.seq >= seq && row.seq < until);

/** These pages of the epochs, ORed into `into`; how many looks that took. */
export function orPages(epochs: readonly Epoch[], pages: readonly number[], into: Bitmap): number {
  let looked = epochs.length * pages.length * MISSING;
  for (const { bitmap } of epochs) looked += into.or(bitmap, pages);
  return looked;
}

/** Grains [first, end), and the pages that have their bits. */
export type Window = { first: number; end: number; pages: number[] };

/**
 * Grains [first, end) in parts, for who looks at the bitmaps of many epochs: all of it at once would keep host I/O waiting. Who has
 * looked at PAGES_AT_ONCE lets that go on; epochs may be merged or gone then.
 */
export function* windows(first: number, end: number): Generator<Window, void, void> {
  for (let page = Math.floor(first / PAGE_BITS); page * PAGE_BITS < end; page += WINDOW_PAGES)
    yield {
      first: Math.max(first, page * PAGE_BITS),
      end: Math.min(end, (page + WINDOW_PAGES) * PAGE_BITS),
      pages: Array.from({ length: WINDOW_PAGES }, (_, i) => page + i),
    };
}

/** Whether the volume still has the epoch that a cut opened: it has not after its content was exchanged. */
export const recordsFrom = (volume: Volume, cut: number): boolean =>
  volume.epochs.some((e) => e.row.seq === cut);

type Dropped = { rows: RowChange[]; epochs: Epoch[]; files: PoolFile[] };

/** The epochs that nobody can ask for any more. `rows` to commit first. */
function unneededEpochs(state: State, volume: Volume): Dropped {
  const [oldest = Number.POSITIVE_INFINITY] = boundaries(startsOfOthers(state), volume);
  const epochs = volume.epochs.filter((e) => e.row.seq < oldest);
  return { epochs, ...rowsOf(state, epochs) };
}

function rowsOf(state: State, epochs: Epoch[]): { rows: RowChange[]; files: PoolFile[] } {
  const rows: RowChange[] = [];
  const files: PoolFile[] = [];
  for (const e of epochs) {
    rows.push(drop('epoch', e.row.id), drop('bitmap', e.bitmap.id));
    const row = state.bitmaps.get(e.bitmap.id);
    if (row !== undefined && row.gen > 0) files.push(bitmapFile(row.id, row.gen));
  }
  return { rows, files };
}

/** After the commit. */
function forgetEpochs(volume: Volume, epochs: Epoch[]): void {
  volume.epochs = volume.epochs.filter((e) => !epochs.includes(e));
  for (const e of epochs) e.bitmap.release();
}

/**
 * Neighbouring closed epochs that no question separates: the older takes the newer's bits. Too many bits in the older
 * one do no harm before the commit (C2), so memory may change first; the rows drop the newer one.
 */
export function mergeEpochs(state: State): { rows: RowChange[]; files: PoolFile[] } {
  const rows: RowChange[] = [];
  const files: PoolFile[] = [];
  const others = startsOfOthers(state);
  for (const volume of state.volumes.values()) {
    if (volume.epochs.length < 3 || volume.removed) continue;
    const starts = boundaries(others, volume);
    const kept: Epoch[] = [];
    for (const e of volume.epochs) {
      const before = kept.at(-1);
      // B1: in memory a damaged one says that everything changed, and its file may be read again one day.
      const isOwn = before === undefined || e.marks !== null || before.damaged === true || e.damaged === true;
      if (isOwn || isSeparated(starts, before, e)) {
        kept.push(e);
        continue;
      }
      before.bitmap.or(e.bitmap);
      before.bitmap.dirty = true;
      const gone = rowsOf(state, [e]);
      rows.push(...gone.rows);
      files.push(...gone.files);
      e.bitmap.release();
    }
    volume.epochs = kept;
  }
  return { rows, files };
}

/**
 * Whether a question begins after the one and with the other, or between them: the epoch with its number may be gone, with the
 * content that the volume had then.
 */
function isSeparated(starts: readonly number[], before: Epoch, e: Epoch): boolean {
  const next = starts.find((start) => start > before.row.seq);
  return next !== undefined && next <= e.row.seq;
}

/** Drop the epochs of a volume that nobody asks for any more. */
export function* pruneEpochs(state: State, volume: Volume): Plan<void> {
  const gone = unneededEpochs(state, volume);
  if (gone.epochs.length === 0) return;
  yield* state.commit(gone.rows);
  forgetEpochs(volume, gone.epochs);
  yield* removeFiles(state, gone.files);
}
