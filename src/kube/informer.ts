/**
 * A copy of all objects of one kind that follows the API server's, and tells of every change.
 *
 * The library's informer stops at the first error; this one starts it again, later each time while errors go on. A handler
 * is given the object that is there now, or was there last; it must look at the copy and not trust the order of calls, and
 * it must not throw.
 */
import { type KubernetesObject, ListWatch, Watch } from '@kubernetes/client-node';
import { log } from '../base/log.ts';
import { type KubeClient, KubeError } from './client.ts';
import type { KubeList, KubeObject } from './objects.ts';

const PAUSE_MS = 1000;
const PAUSE_MS_MAX = 30_000;

type Handler<Item> = (object: Item) => void;
/** `path`: of the list. */
export type InformerOptions = { path: string; labelSelector?: string };

export class Informer<Item extends KubeObject> {
  readonly path: string;
  /** Resolves when the copy has been complete once. */
  readonly synced: Promise<void>;
  private readonly watch: ListWatch<KubernetesObject>;
  private pause: NodeJS.Timeout | undefined;
  private pauseMs = PAUSE_MS;
  private stopped = false;

  constructor(client: KubeClient, { path, labelSelector }: InformerOptions) {
    this.path = path;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    const query = labelSelector === undefined ? undefined : { labelSelector };
    const list = async () => {
      const answer = await client.get<KubeList<KubernetesObject>>(path, query);
      this.pauseMs = PAUSE_MS;
      // The items are taken over as soon as this returns.
      setImmediate(resolve);
      return answer;
    };
    this.watch = new ListWatch(path, new Watch(client.config), list, false, labelSelector);
    this.watch.on('error', (error) => this.restart(error));
  }

  start(): this {
    this.watch.start().catch((error: unknown) => this.restart(error));
    return this;
  }

  onChange(handler: Handler<Item>): this {
    const each = (object: KubernetesObject) => handler(object as unknown as Item);
    this.watch.on('change', each);
    return this;
  }

  get(name: string, namespace = ''): Item | undefined {
    return this.watch.get(name, namespace) as unknown as Item | undefined;
  }

  list(namespace?: string): readonly Item[] {
    return this.watch.list(namespace) as unknown as readonly Item[];
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.pause);
    await this.watch.stop();
  }

  private restart(error: unknown): void {
    if (this.stopped) return;
    clearTimeout(this.pause);
    const reason = error instanceof Error ? error.message : String(error);
    const status = error instanceof KubeError ? error.status : (error as { statusCode?: number })?.statusCode;
    log.warn('watching is begun again', { path: this.path, delayMs: this.pauseMs, status, reason });
    this.pause = setTimeout(() => this.start(), this.pauseMs * (0.5 + Math.random() / 2));
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MS_MAX);
  }
}
