/**
 * One at a time for each key: what concerns a volume's device, or a name that is being given, waits for what was asked
 * about it before.
 *
 * Keys are taken in ascending order, so that two who need several cannot wait for each other.
 */
export class Turns<Key extends string | number> {
  private readonly tails = new Map<Key, Promise<void>>();

  async take<Result>(keys: readonly Key[], action: () => Promise<Result>): Promise<Result> {
    const [first, ...rest] = [...new Set(keys)].sort((a, b) => (a < b ? -1 : 1));
    if (first === undefined) return action();
    const before = this.tails.get(first);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.tails.set(first, promise);
    await before;
    try {
      return await this.take(rest, action);
    } finally {
      if (this.tails.get(first) === promise) this.tails.delete(first);
      resolve();
    }
  }

  /** Everything that was asked for up to now is over. */
  async idle(): Promise<void> {
    await Promise.all(this.tails.values());
  }
}
