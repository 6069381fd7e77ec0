/**
 * Keeps an engine running, and everything alive that must outlive it.
 *
 * B5: it holds the descriptor of /dev/fuse, so that host I/O waits instead of failing while there is no engine, and
 * B6: that of the shared memory, whose content is the truth after the death of an engine process. It does nothing that
 * could fail or block: no I/O on the mount, no catalog, no calls.
 *
 *   supervisor (pool lock, /dev/fuse, memfd, mount)
 *     `- engine process (inherits 3 = /dev/fuse, 4 = memfd, 5 = pool lock), started again whenever it dies
 *
 * An engine that cannot start the first time is not started again: what is wrong is told, and nothing is left behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import process from 'node:process';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { mountFuse, openFuseDevice } from '../sys/mount.ts';
import { createSharedMemory } from '../sys/shm.ts';
import { Backoff } from './backoff.ts';
import type { EngineStart, Lives, RemoteAccess, ToEngine, ToSupervisor } from './child-messages.ts';
import { openPool, type Pool } from './pool.ts';
import { makeRunDir, type RunDir, removeRunDir, runDirOf, unmountLazily } from './run-dir.ts';
import { clearStale } from './stale.ts';

/** Within this time of the first, a second request to stop is meant to force it. */
const FORCE_WITHIN_MS = 60_000;
/** How many engines may die before one has ever served. */
const FIRST_TRIES = 5;
/** A forced stop that takes longer is ended by SIGKILL. */
const FORCED_STOP_MS = 10_000;

export type SuperviseOptions = {
  poolDir: string;
  endpoint: string;
  remote?: RemoteAccess;
  /** Where CSI is served by another process of this machine. */
  csiEndpoint?: string;
  /** "host:port" where the engine serves metrics and health. */
  metricsAddress?: string;
  /** Of a new pool. */
  logBytes?: number;
  /** The command that runs an engine process. */
  child: string[];
  /** Where run directories are; /run/flashcopy. */
  runBase?: string;
};

/** Runs until it is told to stop, or cannot start. Returns the exit code. */
export async function supervise(options: SuperviseOptions): Promise<number> {
  const pool = openPool(options.poolDir, options.logBytes);
  try {
    const run = runDirOf(pool.dir, options.runBase);
    await clearStale(run);
    makeRunDir(run);
    try {
      return await new Supervisor(pool, run, options).run();
    } finally {
      removeRunDir(run);
    }
  } finally {
    pool.lock.release();
  }
}

/** How an engine process ended. */
type Ended = {
  served: boolean;
  code: number | null;
  signal: NodeJS.Signals | null;
  failed: FlashCopyError | undefined;
};

class Supervisor {
  private readonly pool: Pool;
  private readonly mountDir: string;
  private readonly pidFile: string;
  private readonly cacheDir: string;
  private readonly options: SuperviseOptions;
  private readonly fuseFd: number;
  private readonly shmFd: number;
  private child: ChildProcess | undefined;
  private lives: Lives = { restarts: 0 };
  private ready = false;
  private everReady = false;
  private stopAsked = false;
  private forced = false;
  private askedAt = Number.NEGATIVE_INFINITY;
  private endPause: () => void = () => undefined;

  constructor(pool: Pool, run: RunDir, options: SuperviseOptions) {
    this.pool = pool;
    this.mountDir = run.mountDir;
    this.pidFile = run.pidFile;
    this.cacheDir = run.cacheDir;
    this.options = options;
    this.shmFd = createSharedMemory('flashcopy');
    this.fuseFd = openFuseDevice();
    mountFuse(this.fuseFd, run.mountDir, pool.dir);
  }

  async run(): Promise<number> {
    const onSignal = (signal: NodeJS.Signals) => this.askToStop(signal);
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    try {
      return await this.keepRunning();
    } finally {
      // Closed first: with nobody left to answer, the kernel ends the connection and unmounting waits for nothing.
      fs.closeSync(this.fuseFd);
      fs.closeSync(this.shmFd);
      await unmountLazily(this.mountDir);
      // Last: a signal that comes late must not leave a mount behind.
      process.removeListener('SIGTERM', onSignal).removeListener('SIGINT', onSignal);
    }
  }

  private async keepRunning(): Promise<number> {
    const backoff = new Backoff();
    for (let lives = 0; ; lives += 1) {
      const bornAt = Date.now();
      const { served, code, signal, failed } = await this.live(lives > 0);
      if (this.forced || (this.stopAsked && code === 0)) {
        log.info('engine stopped', { pool: this.pool.dir, forced: this.forced });
        return 0;
      }
      // Killed while it served: that was somebody outside, and says nothing about the next one.
      const killed = (served || this.everReady) && signal === 'SIGKILL';
      const delayMs = killed ? (served ? 0 : 100) : backoff.next(Date.now() - bornAt);
      const reason = failed?.message ?? (signal === null ? `exit code ${code}` : `signal ${signal}`);
      // While none has ever served, nobody is helped by trying on and on.
      if (!this.everReady && (failed || lives + 1 === FIRST_TRIES)) throw failed ?? cannotStart(reason);
      log.error('engine died and is started again', { pool: this.pool.dir, reason, delayMs });
      const kind = failed?.code ?? signal ?? `exit code ${code}`;
      this.lives = { restarts: lives + 1, last: { reason: kind, at: Date.now() } };
      await this.pause(delayMs);
    }
  }

  /** One life of an engine process, from its start to its end. */
  private live(shmSurvived: boolean): Promise<Ended> {
    const [program, ...args] = this.options.child;
    const child = spawn(program!, args, {
      stdio: ['ignore', 'inherit', 'inherit', this.fuseFd, this.shmFd, this.pool.lock.fd, 'ipc'],
      // A Ctrl-C in the terminal is for the supervisor, which asks the engine in its own way.
      detached: true,
      // Host I/O waits while an engine starts: it does not translate its sources anew each time.
      env: { NODE_COMPILE_CACHE: this.cacheDir, ...process.env },
    });
    this.child = child;
    let failed: FlashCopyError | undefined;
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        this.child = undefined;
        this.pool.lock.name([process.pid]);
        resolve({ served: this.ready, code, signal, failed });
        this.ready = false;
      });
      child.on('message', (message: ToSupervisor) => {
        if (message.kind === 'failed')
          failed = new FlashCopyError(message.code as 'Internal', message.message);
        else this.receive(message);
      });
      if (child.pid === undefined) return; // 'error' tells why
      this.pool.lock.name([process.pid, child.pid]);
      fs.writeFileSync(this.pidFile, `${child.pid}\n`);
      this.tell({ kind: 'start', start: this.startOf(shmSurvived) });
    });
  }

  private startOf(shmSurvived: boolean): EngineStart {
    const { dir: poolDir, logBytes } = this.pool;
    const { endpoint, remote, csiEndpoint, metricsAddress } = this.options;
    return {
      poolDir,
      mountDir: this.mountDir,
      endpoint,
      ...(remote && { remote }),
      ...(csiEndpoint !== undefined && { csiEndpoint }),
      ...(metricsAddress !== undefined && { metricsAddress }),
      lives: this.lives,
      logBytes,
      shmSurvived,
    };
  }

  private receive(message: ToSupervisor): void {
    if (message.kind === 'ready') {
      log.info('engine is ready', {
        pool: this.pool.dir,
        endpoint: this.options.endpoint,
        enginePid: this.child?.pid,
      });
      this.ready = true;
      this.everReady = true;
      if (this.stopAsked) this.tell({ kind: 'stop', forced: this.forced });
    } else if (message.kind === 'refused') {
      this.stopAsked = false;
      log.warn(
        'not stopped: volumes are in use. Unmount them, or ask again within a minute to stop nevertheless',
        {
          users: message.users,
        },
      );
    }
  }

  private askToStop(signal: NodeJS.Signals): void {
    this.forced ||= Date.now() - this.askedAt < FORCE_WITHIN_MS;
    this.askedAt = Date.now();
    this.stopAsked = true;
    log.info('asked to stop', { signal, forced: this.forced });
    if (this.forced) setTimeout(() => this.child?.kill('SIGKILL'), FORCED_STOP_MS).unref();
    // One that is not ready yet is told when it is, unless it is to end in any case.
    if (this.ready) this.tell({ kind: 'stop', forced: this.forced });
    else if (this.forced) this.child?.kill('SIGKILL');
    this.endPause();
  }

  private tell(message: ToEngine): void {
    // An engine that dies meanwhile cannot be told; its exit is what counts.
    this.child?.send(message, (error) => {
      if (error) log.warn('engine could not be told', { kind: message.kind, error: error.message });
    });
  }

  private pause(delayMs: number): Promise<void> {
    if (delayMs === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function cannotStart(reason: string): FlashCopyError {
  return new FlashCopyError(
    'Internal',
    `The engine process ended ${FIRST_TRIES} times before it served anything, last with ${reason}. Its log says more.`,
  );
}
