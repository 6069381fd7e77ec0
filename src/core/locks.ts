/**
 * Locks over runs of grains, one RangeLocks for each volume.
 *
 * Order: a plan that holds the lock of a volume takes further ones only of that volume's children. The volumes form a
 * tree, so no circle of waiting can close. Waiters are served in order of arrival.
 */
import { type Plan, type Runner, Signal } from './ops.ts';

export type RangeLock = { readonly first: number; readonly end: number };

export class RangeLocks {
  private readonly runner: Runner;
  /** Held and waited for, oldest first: an entry is granted when no older one overlaps it. */
  private entries: RangeLock[] = [];
  private readonly released = new Signal();

  constructor(runner: Runner) {
    this.runner = runner;
  }

  *take(first: number, count: number): Plan<RangeLock> {
    const mine: RangeLock = { first, end: first + count };
    this.entries.push(mine);
    while (this.blocked(mine)) yield this.released;
    return mine;
  }

  give(lock: RangeLock): void {
    const i = this.entries.indexOf(lock);
    this.entries.splice(i, 1);
    this.runner.fire(this.released);
  }

  private blocked(mine: RangeLock): boolean {
    for (const e of this.entries) {
      if (e === mine) return false;
      if (e.first < mine.end && mine.first < e.end) return true;
    }
    return false;
  }
}

/** Lets one plan at a time through, in order of arrival. */
export class Mutex {
  private readonly locks: RangeLocks;
  constructor(runner: Runner) {
    this.locks = new RangeLocks(runner);
  }
  *run<T>(plan: Plan<T>): Plan<T> {
    const lock = yield* this.locks.take(0, 1);
    try {
      return yield* plan;
    } finally {
      this.locks.give(lock);
    }
  }
}
