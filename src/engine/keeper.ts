/**
 * The keeper as the node service has it: a thread (keeper-loop.ts), what it holds, and its end.
 *
 * A keeper that nobody but itself could replace does not end at once: while it alone holds an engine's descriptors (that
 * engine is being upgraded as well) it waits for the next engine for LAST_MS, since its end fails all host I/O.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { KeeperState } from './keeper-loop.ts';

/** keeper thread -> main */
export type FromKeeperThread =
  | { kind: 'listening' }
  | { kind: 'failed'; code: string; message: string }
  | { kind: 'state'; state: KeeperState }
  | { kind: 'log'; level: 'info' | 'warn'; message: string; fields: Record<string, unknown> };

/** Less than the time that a pod of the node service is given to end. */
const LAST_MS = 100_000;
const LOOK_MS = 100;

/** The thread's file has this file's ending: .ts in the sources, .js when compiled. */
const THREAD = new URL(`keeper-thread${path.extname(fileURLToPath(import.meta.url))}`, import.meta.url);

export class Keeper {
  private readonly worker: Worker;
  private state: KeeperState = [];
  private failure: string | undefined;
  private stopping = false;

  /** `thread` is another file than the keeper's own in tests. */
  static async start(socketPath: string, thread = THREAD): Promise<Keeper> {
    const keeper = new Keeper(socketPath, thread);
    await keeper.listening.promise;
    return keeper;
  }

  private readonly listening = Promise.withResolvers<void>();
  private readonly ended = Promise.withResolvers<void>();

  private constructor(socketPath: string, thread: URL) {
    this.worker = new Worker(thread, { workerData: { socketPath } });
    this.worker.on('message', (message: FromKeeperThread) => this.receive(message));
    this.worker.on('error', (error) => this.fail(String((error as Error).stack ?? error)));
    this.worker.on('exit', () => {
      if (!this.stopping) this.fail('its thread ended');
      this.ended.resolve();
    });
  }

  /** For each pool whose descriptors are held: whether its engine is there as well. */
  get held(): KeeperState {
    return this.state;
  }

  check(): void {
    if (this.failure !== undefined)
      throw new FlashCopyError('Internal', `The keeper has failed: ${this.failure}`);
  }

  async stop(): Promise<void> {
    await this.untilAttended();
    this.stopping = true;
    this.worker.postMessage('stop');
    await this.ended.promise;
  }

  private async untilAttended(): Promise<void> {
    const alone = () => this.state.filter(({ attended }) => !attended).map(({ poolDir }) => poolDir);
    if (alone().length === 0) return;
    log.warn('not stopped yet: only this process keeps host I/O from failing, it waits for the engine', {
      pools: alone(),
      waitMs: LAST_MS,
    });
    for (const until = Date.now() + LAST_MS; alone().length > 0 && Date.now() < until; ) await sleep(LOOK_MS);
    if (alone().length > 0) log.error('no engine came: host I/O fails from now on', { pools: alone() });
  }

  private receive(message: FromKeeperThread): void {
    switch (message.kind) {
      case 'listening':
        this.listening.resolve();
        break;
      case 'failed':
        this.listening.reject(new FlashCopyError(message.code as ErrorCode, message.message));
        this.fail(message.message);
        this.stopping = true; // its exit says no more than this
        break;
      case 'state':
        this.state = message.state;
        break;
      case 'log':
        log.log(message.level, message.message, message.fields);
        break;
    }
  }

  private fail(reason: string): void {
    this.failure = reason;
    this.state = []; // nobody can get them from it any more
    log.error('keeper failed', { reason });
    this.listening.reject(new FlashCopyError('Internal', `The keeper could not start: ${reason}`));
  }
}
