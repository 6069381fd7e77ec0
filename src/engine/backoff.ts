/**
 * How long to wait before an engine that died is started again: not at all, since host I/O waits for it, but for one
 * that dies again and again soon after its start.
 */
const SHORT_LIFE_MS = 10_000;
const FREE_TRIES = 3;
const FIRST_MS = 250;
const LONGEST_MS = 5000;

export class Backoff {
  private shortLives = 0;

  /** The delay after a life of `livedMs`: 0, 0, 0, then doubling to five seconds. A long life counts as a new start. */
  next(livedMs: number): number {
    if (livedMs >= SHORT_LIFE_MS) this.shortLives = 0;
    this.shortLives += 1;
    if (this.shortLives <= FREE_TRIES) return 0;
    return Math.min(FIRST_MS * 2 ** (this.shortLives - FREE_TRIES - 1), LONGEST_MS);
  }
}
