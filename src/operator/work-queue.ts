/**
 * Keys that are to be looked at, each at most once at a time.
 *
 * Q1  a key that is added while it waits is handled once; one that is added while it is handled, once more afterwards
 * Q2  a key whose handling fails is tried again, later each time; a success forgets the failures
 * Q3  at most `most` keys are handled at a time
 * Q4  after `stop` no handling begins, and when it returns none goes on
 */
const PAUSE_MS = 500;
const PAUSE_MS_MAX = 60_000;

/** Looks at a key; the answer: after how many milliseconds to look again, if at all. */
type Handler = (key: string) => Promise<number | undefined>;
/** `handle` tells of its failures itself. */
export type QueueOptions = { most: number; handle: Handler };

export class WorkQueue {
  private readonly options: QueueOptions;
  private readonly waiting = new Set<string>();
  private readonly active = new Map<string, Promise<void>>();
  private readonly later = new Map<string, NodeJS.Timeout>();
  private readonly failures = new Map<string, number>();
  private stopped = false;

  constructor(options: QueueOptions) {
    this.options = options;
  }

  /** Keys that wait for their turn now. */
  get depth(): number {
    return this.waiting.size;
  }

  add(key: string): void {
    if (this.stopped) return;
    clearTimeout(this.later.get(key));
    this.later.delete(key);
    this.waiting.add(key);
    // Not at once: who adds several keys has added all of them when the first one is handled.
    queueMicrotask(() => this.next());
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.waiting.clear();
    for (const timer of this.later.values()) clearTimeout(timer);
    this.later.clear();
    await Promise.all(this.active.values());
  }

  private next(): void {
    for (const key of this.waiting) {
      if (this.active.size >= this.options.most) return;
      if (this.active.has(key)) continue;
      this.waiting.delete(key);
      this.active.set(key, this.run(key));
    }
  }

  private async run(key: string): Promise<void> {
    let againMs: number | undefined;
    try {
      againMs = await this.options.handle(key);
      this.failures.delete(key);
    } catch {
      // `handle` has told of it.
      const failures = this.failures.get(key) ?? 0;
      this.failures.set(key, failures + 1);
      againMs = Math.min(PAUSE_MS * 2 ** failures, PAUSE_MS_MAX) * (0.75 + Math.random() / 2);
    }
    this.active.delete(key);
    if (againMs !== undefined) this.addLater(key, againMs);
    this.next();
  }

  private addLater(key: string, ms: number): void {
    if (this.stopped || this.waiting.has(key)) return;
    this.later.set(
      key,
      setTimeout(() => this.add(key), ms),
    );
  }
}
