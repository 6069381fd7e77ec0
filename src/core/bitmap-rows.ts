/**
 * Rows of bitmaps, as the catalog will have them when the commits under way have ended: who commits something else of a bitmap
 * goes on from there. A commit may still fail. Who does something that cannot be taken back (a checkpoint cuts the log) waits
 * until none of these rows is under way.
 *
 * Commits end in the order in which they were asked for; whoever asked for them may go on in another.
 */
import { type Plan, type Runner, Signal } from './ops.ts';
import type { BitmapRow } from './rows.ts';

/** What one commit says of a bitmap; null: it has gone. */
export type BitmapChange = { key: number; row: BitmapRow | null };

export class BitmapRows {
  private readonly runner: Runner;
  private readonly committed = new Map<number, BitmapRow>();
  /** By bitmap, in the order of their commits. */
  private readonly underWay = new Map<number, BitmapChange[]>();
  private readonly ended = new Signal();

  constructor(runner: Runner) {
    this.runner = runner;
  }

  get(id: number): BitmapRow | undefined {
    const newest = this.underWay.get(id)?.at(-1);
    return newest === undefined ? this.committed.get(id) : (newest.row ?? undefined);
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  /** As the catalog has it. */
  set(id: number, row: BitmapRow | null): void {
    if (row === null) this.committed.delete(id);
    else this.committed.set(id, row);
  }

  /** Those that are in the catalog. */
  all(): BitmapRow[] {
    return [...this.committed.values()];
  }

  /** The commit of this has been asked for. */
  submit(change: BitmapChange): void {
    const { key } = change;
    this.underWay.set(key, [...(this.underWay.get(key) ?? []), change]);
  }

  /** It has ended. Those before it have too, and count no more if this one has succeeded. */
  settle(change: BitmapChange, hasSucceeded: boolean): void {
    const { key, row } = change;
    const changes = this.underWay.get(key) ?? [];
    const at = changes.indexOf(change);
    // A later one has succeeded.
    if (at < 0) return;
    if (hasSucceeded) this.set(key, row);
    const left = hasSucceeded ? changes.slice(at + 1) : changes.filter((c) => c !== change);
    if (left.length > 0) this.underWay.set(key, left);
    else this.underWay.delete(key);
    this.runner.fire(this.ended);
  }

  /** Returns when it is decided what the catalog has of these, and whether that took a while. Commits wait for nobody, so it ends. */
  *decided(ids: readonly number[]): Plan<boolean> {
    let hasWaited = false;
    for (; ids.some((id) => this.underWay.has(id)); hasWaited = true) yield this.ended;
    return hasWaited;
  }
}
