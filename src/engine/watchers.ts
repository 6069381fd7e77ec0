/**
 * Those who wait for changes of mappings. A change that comes while a watcher is busy is kept for it, and several are
 * one: it looks at the mapping itself then, so nothing is lost but what was overtaken.
 */
export type Watch = {
  /** Resolves at the first change since it last did, or since the watch began; at once when aborted. */
  next(): Promise<void>;
  end(): void;
};

type Watcher = { changed: boolean; wake: () => void };

export class Watchers {
  private readonly byMapping = new Map<number, Set<Watcher>>();

  changed(mapping: number): void {
    for (const watcher of this.byMapping.get(mapping) ?? []) {
      watcher.changed = true;
      watcher.wake();
    }
  }

  watch(mapping: number, signal: AbortSignal): Watch {
    const watcher: Watcher = { changed: false, wake: () => undefined };
    const all = this.byMapping.get(mapping) ?? new Set();
    this.byMapping.set(mapping, all.add(watcher));
    const abort = () => watcher.wake();
    signal.addEventListener('abort', abort);
    return {
      next: async () => {
        if (!watcher.changed && !signal.aborted) {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
        }
        watcher.changed = false;
      },
      end: () => {
        signal.removeEventListener('abort', abort);
        all.delete(watcher);
        if (all.size === 0 && this.byMapping.get(mapping) === all) this.byMapping.delete(mapping);
      },
    };
  }
}
