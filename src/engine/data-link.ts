/**
 * The main thread's end of the data thread: calls go there and are answered once; commits come from there and are
 * answered once. (messages.ts has the words.)
 *
 * When the data thread ends without having been asked to, every call under way fails with Unavailable and the owner
 * is told: without it the process has no purpose.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { EIO, type ErrorCode, FlashCopyError, IoError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { createEventFd, ring } from '../sys/bell.ts';
import type { Catalog } from './catalog.ts';
import type { DataThreadStart, ToData, ToMain } from './messages.ts';

type Waiting = { resolve: (result: unknown) => void; reject: (error: Error) => void };

export type DataLinkEvents = {
  /** A mapping changed. */
  changed(mapping: number): void;
  /** The thread ended by itself: why. */
  died(reason: string): void;
};

/** The thread's file has this file's ending: .ts in the sources, .js when compiled. */
const THREAD = new URL(`data-thread${path.extname(fileURLToPath(import.meta.url))}`, import.meta.url);

export class DataLink {
  private readonly worker: Worker;
  private readonly catalog: Catalog;
  private readonly events: DataLinkEvents;
  private readonly eventFd: number;
  private readonly calls = new Map<number, Waiting>();
  private readonly readiness = Promise.withResolvers<void>();
  private readonly end = Promise.withResolvers<void>();
  private nextCall = 1;
  private ended = false;
  private failure: FlashCopyError | undefined;

  /** `thread` is another file than the engine's own in tests. */
  constructor(
    start: Omit<DataThreadStart, 'eventFd'>,
    catalog: Catalog,
    events: DataLinkEvents,
    thread = THREAD,
  ) {
    this.catalog = catalog;
    this.events = events;
    this.eventFd = createEventFd();
    this.worker = new Worker(thread, {
      workerData: { ...start, eventFd: this.eventFd } satisfies DataThreadStart,
    });
    this.worker.on('message', (message: ToMain) => this.receive(message));
    this.worker.on('error', (error) => this.fail(String((error as Error).stack ?? error)));
    this.worker.on('exit', (code) => this.fail(`it ended with code ${code}`));
    // Who waits for it hears of a failure; when nobody does any more, events.died tells.
    this.readiness.promise.catch(() => undefined);
    this.end.promise.catch(() => undefined);
  }

  /** Recovery is over and host I/O is served. */
  ready(): Promise<void> {
    return this.readiness.promise;
  }

  call<Result>(method: string, ...args: unknown[]): Promise<Result> {
    if (this.ended) return Promise.reject(away());
    const id = this.nextCall;
    this.nextCall += 1;
    return new Promise<Result>((resolve, reject) => {
      this.calls.set(id, { resolve: resolve as Waiting['resolve'], reject });
      this.post({ kind: 'call', id, method, args });
    });
  }

  /** Ends all I/O, with a durable checkpoint. Asked for once. */
  stop(): Promise<void> {
    if (!this.ended) this.post({ kind: 'stop' });
    return this.end.promise;
  }

  private post(message: ToData): void {
    this.worker.postMessage(message);
    ring(this.eventFd);
  }

  private receive(message: ToMain): void {
    switch (message.kind) {
      case 'ready':
        this.readiness.resolve();
        break;
      case 'answer':
        this.take(message.id)?.resolve(message.result);
        break;
      case 'failed':
        this.failed(message.id, new FlashCopyError(message.code as ErrorCode, message.message));
        break;
      case 'commit':
        this.commit(message.id, message.changes);
        setImmediate(() => this.catalog.tidy());
        break;
      case 'changed':
        this.events.changed(message.mapping);
        break;
      case 'log':
        log.log(message.level, message.message, message.fields);
        break;
      case 'stopped':
        this.stopped();
        break;
    }
  }

  /** What is no call's failure is that of opening or of closing; the thread ends after it. */
  private failed(id: number, error: FlashCopyError): void {
    if (id === 0) this.failure = error;
    else this.take(id)?.reject(error);
  }

  private stopped(): void {
    this.ended = true;
    this.failCalls();
    this.readiness.reject(this.failure ?? away()); // nothing to a thread that was ready
    if (this.failure) this.end.reject(this.failure);
    else this.end.resolve();
  }

  private take(id: number): Waiting | undefined {
    const waiting = this.calls.get(id);
    this.calls.delete(id);
    return waiting;
  }

  /** A bug in here must not leave the plan waiting. */
  private commit(id: number, changes: Parameters<Catalog['commit']>[0]): void {
    let errno = 0;
    try {
      this.catalog.commit(changes);
    } catch (error) {
      log.error('commit failed', { error: String((error as Error).stack ?? error) });
      if (this.catalog.failure !== null) {
        // Nobody knows whether it is on the disk. Whatever went on from here might rest on the wrong answer, as a host's
        // write after a cut that is there or not: only who opens the catalog again can go on.
        this.fail(`a commit failed, and what the catalog has is not known: ${this.catalog.failure}`);
        return;
      }
      errno = error instanceof IoError ? error.errno : EIO;
    }
    this.post({ kind: 'committed', id, errno });
  }

  private fail(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    this.failCalls();
    this.readiness.reject(new FlashCopyError('Internal', `The data thread ended: ${reason}`));
    this.end.reject(away());
    this.events.died(reason);
  }

  private failCalls(): void {
    for (const { reject } of this.calls.values()) reject(away());
    this.calls.clear();
  }
}

function away(): FlashCopyError {
  return new FlashCopyError(
    'Unavailable',
    'The engine is stopping or starting again. Ask again in a moment.',
  );
}
