/**
 * A process that serves until it is told to stop, and one that keeps another such process running.
 *
 * A kept process that dies is started again, at once unless it dies again and again. It ends with the one that keeps
 * it: by SIGTERM, or because the channel between the two breaks.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';
import type { Listening } from '../api/unix-listener.ts';
import { log } from '../base/log.ts';
import { Backoff } from '../engine/backoff.ts';

/** One that takes longer to end is ended by SIGKILL. */
const STOP_MS = 10_000;

/** Resolves when a signal came and everything under way has ended. */
export async function serveUntilStopped(...servers: Listening[]): Promise<void> {
  const reason = await new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
    process.once('disconnect', () => resolve('the process that started this one is gone'));
    if (process.send !== undefined && !process.connected)
      resolve('the process that started this one is gone');
  });
  log.info('asked to stop', { reason });
  await Promise.all(servers.map((server) => server.stop()));
  if (process.connected) process.disconnect();
}

export class KeptProcess {
  private readonly what: string;
  private readonly args: string[];
  private child: ChildProcess | undefined;
  private pause: NodeJS.Timeout | undefined;
  private stopping = false;
  private readonly backoff = new Backoff();

  /** `args`: of a program of this Node.js, with the same options as this process. */
  constructor(what: string, args: string[]) {
    this.what = what;
    this.args = args;
    this.start();
  }

  private start(): void {
    const bornAt = Date.now();
    // A Ctrl-C in the terminal is for the process that keeps it.
    const child = spawn(process.execPath, [...process.execArgv, ...this.args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    });
    this.child = child;
    child.once('error', (error) => {
      throw error; // Node.js itself cannot be started: nothing will get better.
    });
    child.once('exit', (code, signal) => {
      this.child = undefined;
      if (this.stopping) return;
      const delayMs = this.backoff.next(Date.now() - bornAt);
      log.error(`${this.what} ended and is started again`, { code, signal, delayMs });
      this.pause = setTimeout(() => this.start(), delayMs);
    });
  }

  async stop(): Promise<void> {
    this.stopping = true;
    clearTimeout(this.pause);
    const { child } = this;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
  }
}
