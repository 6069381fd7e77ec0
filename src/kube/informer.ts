/**
 * A copy of all objects of one kind that follows the API server's, and tells of every change.
 *
 *   list ─► watch from there ─► the server ended it: watch on from the last change
 *    ▲                     └──► anything else (an error, a version that is forgotten or not known): later, from the list
 *
 * So nothing that happens to the server leaves the copy behind for good. A handler is given the object that is there now, or
 * was there last; it must look at the copy and not trust the order of calls.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Watch } from '@kubernetes/client-node';
import { log } from '../base/log.ts';
import { type KubeClient, KubeError } from './client.ts';
import type { KubeList, KubeObject } from './objects.ts';

const PAUSE_MS = 500;
const PAUSE_MS_MAX = 30_000;
/** A watch that ends sooner was none. */
const SHORT_MS = 1000;
const GONE = 410;

type Handler<Item> = (object: Item) => void;
/** `path`: of the list. */
export type InformerOptions = { path: string; labelSelector?: string };

export class Informer<Item extends KubeObject> {
  /** Resolves when the copy has been complete once. */
  readonly synced: Promise<void>;
  private readonly client: KubeClient;
  private readonly path: string;
  private readonly query: Readonly<Record<string, string>>;
  private readonly objects = new Map<string, Item>();
  private readonly handlers: Handler<Item>[] = [];
  private readonly stopping = new AbortController();
  private complete: () => void;
  private ended: Promise<void> | undefined;
  /** Up to which change the copy is; empty: not known, it has to be listed. */
  private version = '';

  constructor(client: KubeClient, { path, labelSelector }: InformerOptions) {
    this.client = client;
    this.path = path;
    this.query = labelSelector === undefined ? {} : { labelSelector };
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.complete = resolve;
  }

  start(): this {
    this.ended = this.run();
    return this;
  }

  onChange(handler: Handler<Item>): this {
    this.handlers.push(handler);
    return this;
  }

  get(name: string, namespace = ''): Item | undefined {
    return this.objects.get(`${namespace}/${name}`);
  }

  list(namespace?: string): readonly Item[] {
    const all = [...this.objects.values()];
    return namespace === undefined ? all : all.filter(({ metadata }) => metadata.namespace === namespace);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.ended;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    let pauseMs = PAUSE_MS;
    while (!signal.aborted) {
      const beganAt = performance.now();
      const error = await this.follow().catch(
        (reason: unknown) => reason ?? new Error('no reason was given'),
      );
      if (signal.aborted) return;
      if (performance.now() - beganAt >= SHORT_MS) pauseMs = PAUSE_MS;
      else if (error === undefined || isGone(error)) await this.pause(PAUSE_MS);
      if (error === undefined) continue;
      this.version = '';
      if (isGone(error)) continue;
      this.tell(error, pauseMs);
      await this.pause(pauseMs);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
    }
  }

  /** Until the watch ends. Undefined: as it should. */
  private async follow(): Promise<undefined> {
    if (this.version === '') await this.takeList();
    await this.takeChanges();
  }

  private async takeList(): Promise<void> {
    const { items, metadata } = await this.client.get<KubeList<Item>>(this.path, this.query);
    const before = new Map(this.objects);
    for (const item of items) {
      before.delete(keyOf(item));
      this.take(item);
    }
    for (const item of before.values()) this.drop(item);
    this.version = metadata.resourceVersion ?? '';
    this.complete();
  }

  private takeChanges(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const query = { ...this.query, resourceVersion: this.version, allowWatchBookmarks: 'true' };
    const change = (type: string, object: Item & { code?: number; message?: string }) => {
      if (type === 'ERROR')
        return reject(new KubeError(object.code ?? 0, 'WatchError', object.message ?? 'the watch failed'));
      if (type === 'DELETED') this.drop(object);
      else if (type !== 'BOOKMARK') this.take(object);
      this.version = object.metadata.resourceVersion;
    };
    // Silence for a while is no error: it is watched on from where it was.
    const done = (error: unknown) =>
      error === null || (error as Error)?.name === 'TimeoutError' ? resolve() : reject(error);
    new Watch(this.client.config).watch(this.path, query, change, done).then((watch) => {
      const { signal } = this.stopping;
      const abort = () => watch.abort();
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      promise.finally(() => signal.removeEventListener('abort', abort)).catch(() => {}); // whoever waits for it is told
    }, reject);
    return promise;
  }

  private take(item: Item): void {
    const key = keyOf(item);
    if (this.objects.get(key)?.metadata.resourceVersion === item.metadata.resourceVersion) return;
    this.objects.set(key, item);
    this.changed(item);
  }

  private drop(item: Item): void {
    if (this.objects.delete(keyOf(item))) this.changed(item);
  }

  private changed(item: Item): void {
    for (const handler of this.handlers) {
      try {
        handler(item);
      } catch (error) {
        log.error('a change was not understood', { path: this.path, error: (error as Error).stack });
      }
    }
  }

  private async pause(ms: number): Promise<void> {
    const { signal } = this.stopping;
    await sleep(ms * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {}); // it is stopped meanwhile
  }

  private tell(error: unknown, delayMs: number): void {
    const reason = error instanceof Error ? error.message : String(error);
    const status = error instanceof KubeError ? error.status : (error as { statusCode?: number }).statusCode;
    log.warn('watching is begun again', { path: this.path, delayMs, status, reason });
  }
}

const keyOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

const isGone = (error: unknown): boolean =>
  (error instanceof KubeError && error.status === GONE) ||
  (error as { statusCode?: number } | undefined)?.statusCode === GONE;
