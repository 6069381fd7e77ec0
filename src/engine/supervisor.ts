/**
 * Keeps an engine running, and everything alive that must outlive it.
 *
 * B5: it holds the descriptor of /dev/fuse, so that host I/O waits instead of failing while there is no engine, and
 * B6: that of the shared memory, whose content is the truth after the death of an engine process. It does nothing that
 * could fail or block: no I/O on the mount, no catalog, no calls.
 *
 *   supervisor (pool lock, /dev/fuse, memfd, mount)
 *     `- engine process (inherits 3 = /dev/fuse, 4 = memfd, 5 and 6 = pool lock), started again whenever it dies
 *
 * An engine that cannot start the first time is not started again: what is wrong is told, and nothing is left behind. Once
 * one has served, whatever keeps the next from starting is tried again and again: host I/O waits for it.
 *
 * With a keeper (keeper-loop.ts) a copy of the descriptors is in a process outside. Then the supervisor itself may die: the
 * next one goes on with that copy. And it may stop while volumes are in use, for an upgrade: mount, devices and copy are
 * left as they are, and host I/O waits.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import process from 'node:process';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { closeDescriptor } from '../sys/libc.ts';
import { mountFuse, openFuseDevice } from '../sys/mount.ts';
import { createSharedMemory } from '../sys/shm.ts';
import { Backoff } from './backoff.ts';
import type { EngineStart, Lives, RemoteAccess, ToEngine, ToSupervisor } from './child-messages.ts';
import { type Descriptors, KeeperLink } from './keeper-link.ts';
import { openPool, type Pool } from './pool.ts';
import { makeRunDir, type RunDir, removeRunDir, runDirOf, unmountLazily } from './run-dir.ts';
import { clearStale } from './stale.ts';

/** Within this time of the first, a second request to stop is meant to force it. */
const FORCE_WITHIN_MS = 60_000;
/** How many engines may die before one has ever served. */
const FIRST_TRIES = 5;
/** A stop that was refused because there was no keeper happens when one comes within this time. */
const KEEPER_WITHIN_MS = 120_000;
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
  /** The keeper's socket. */
  keeperSocket?: string;
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
    const { keeperSocket } = options;
    const link = keeperSocket === undefined ? undefined : new KeeperLink(keeperSocket, pool);
    const adopted = await link?.adopt(run);
    if (adopted === undefined) {
      await clearStale(run);
      makeRunDir(run);
    }
    const supervisor = new Supervisor(pool, run, options, link, adopted);
    try {
      return await supervisor.run();
    } finally {
      if (!supervisor.handedOver) removeRunDir(run);
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
  /** It ended and left everything to the next one. */
  handedOver = false;
  private readonly pool: Pool;
  private readonly dirs: RunDir;
  private readonly options: SuperviseOptions;
  private readonly link: KeeperLink | undefined;
  private readonly adopted: boolean;
  private readonly descriptors: Descriptors;
  private child: ChildProcess | undefined;
  private lives: Lives = { restarts: 0 };
  private ready = false;
  private everReady = false;
  private stopAsked = false;
  private forced = false;
  private askedAt = Number.NEGATIVE_INFINITY;
  private endPause: () => void = () => undefined;

  constructor(pool: Pool, dirs: RunDir, options: SuperviseOptions, link?: KeeperLink, adopted?: Descriptors) {
    this.pool = pool;
    this.dirs = dirs;
    this.options = options;
    this.link = link;
    this.adopted = adopted !== undefined;
    this.descriptors = adopted ?? {
      shmFd: createSharedMemory('flashcopy'),
      fuseFd: openFuseDevice(),
    };
    if (!this.adopted) mountFuse(this.descriptors.fuseFd, dirs.mountDir, pool.dir);
  }

  async run(): Promise<number> {
    const onSignal = (signal: NodeJS.Signals) => this.askToStop(signal);
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    try {
      // Not waited for: host I/O may wait for the engine.
      const keeping = this.link?.keep(this.descriptors, this.dirs, (kept) => this.keptChanged(kept));
      const code = await this.keepRunning();
      await keeping;
      return code;
    } catch (error) {
      // Another engine, of another version say, may be able to go on with what this one was given.
      if (this.adopted && !this.everReady) this.handedOver = (await this.link?.confirm()) === true;
      throw error;
    } finally {
      await this.letGo();
      // Last: a signal that comes late must not leave a mount behind.
      process.removeListener('SIGTERM', onSignal).removeListener('SIGINT', onSignal);
    }
  }

  private async letGo(): Promise<void> {
    if (!this.handedOver) await this.link?.drop();
    this.link?.stop();
    // Closed first: with nobody left to answer, the kernel ends the connection and unmounting waits for nothing.
    closeDescriptor(this.descriptors.fuseFd);
    closeDescriptor(this.descriptors.shmFd);
    if (!this.handedOver) await unmountLazily(this.dirs.mountDir);
  }

  private async keepRunning(): Promise<number> {
    const backoff = new Backoff();
    for (let lives = 0; ; lives += 1) {
      const bornAt = Date.now();
      const { served, code, signal, failed } = await this.live(this.adopted || lives > 0).catch(unborn);
      if (this.handedOver && (await this.link?.confirm()) !== true) this.takeBack();
      else if (this.forced || (this.stopAsked && code === 0)) {
        const { forced, handedOver } = this;
        log.info('engine stopped', { pool: this.pool.dir, forced, handedOver });
        return 0;
      }
      // Killed while it served: that was somebody outside, and says nothing about the next one.
      const killed = failed === undefined && (served || this.everReady) && signal === 'SIGKILL';
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

  /** One life of an engine process, from its start to its end. Fails if there was none: nothing is left of it then. */
  private live(shmSurvived: boolean): Promise<Ended> {
    let failed: FlashCopyError | undefined;
    return new Promise((resolve, reject) => {
      const child = this.spawn();
      child.on('error', (error) => {
        if (child.pid === undefined) reject(error);
        else log.warn('engine process could not be signalled', { error: error.message });
      });
      if (child.pid === undefined) return; // 'error' tells why
      this.child = child;
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
      this.tell({ kind: 'start', start: this.startOf(shmSurvived) });
      this.pool.lock.name([process.pid, child.pid]);
      this.writePid(child.pid);
    });
  }

  private spawn(): ChildProcess {
    const [program, ...args] = this.options.child;
    const { fuseFd, shmFd } = this.descriptors;
    return spawn(program!, args, {
      stdio: ['ignore', 'inherit', 'inherit', fuseFd, shmFd, ...this.pool.lock.fds, 'ipc'],
      // A Ctrl-C in the terminal is for the supervisor, which asks the engine in its own way.
      detached: true,
      // Host I/O waits while an engine starts: it does not translate its sources anew each time.
      env: { NODE_COMPILE_CACHE: this.dirs.cacheDir, ...process.env },
    });
  }

  /** For people: an engine that lives without is as good. */
  private writePid(pid: number): void {
    try {
      fs.writeFileSync(this.dirs.pidFile, `${pid}\n`);
    } catch (error) {
      const { pidFile: file } = this.dirs;
      log.warn('the pid of the engine process could not be written', {
        file,
        error: (error as Error).message,
      });
    }
  }

  private startOf(shmSurvived: boolean): EngineStart {
    const { dir: poolDir, logBytes } = this.pool;
    const { endpoint, remote, csiEndpoint, metricsAddress } = this.options;
    return {
      poolDir,
      mountDir: this.dirs.mountDir,
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
      this.tell({ kind: 'kept', kept: this.link?.kept ?? false });
      if (this.stopAsked) this.tellToStop();
    } else if (message.kind === 'handedOver') {
      this.handedOver = true;
      log.info('stopping with volumes in use: host I/O waits for the next engine', { users: message.users });
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
    if (this.ready) this.tellToStop();
    else if (this.forced) this.child?.kill('SIGKILL');
    this.endPause();
  }

  private tellToStop(): void {
    this.tell({ kind: 'stop', forced: this.forced, handover: this.link?.kept ?? false });
  }

  private keptChanged(kept: boolean): void {
    if (!this.ready) return; // it is told when it is
    this.tell({ kind: 'kept', kept });
    if (!kept || this.stopAsked || Date.now() - this.askedAt > KEEPER_WITHIN_MS) return;
    log.info('the stop that was refused can be done now');
    this.stopAsked = true;
    this.tellToStop();
  }

  /** The keeper ended while the engine did: whoever is left must serve. */
  private takeBack(): void {
    this.handedOver = false;
    this.stopAsked = false;
    log.warn('not stopped: the keeper is gone, and volumes are in use');
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

/** A program that is not there, or no memory for a process: as an engine that could not start. */
function unborn(error: Error): Ended {
  const message = `The engine process could not be started: ${error.message}.`;
  return { served: false, code: null, signal: null, failed: new FlashCopyError('Internal', message) };
}

function cannotStart(reason: string): FlashCopyError {
  return new FlashCopyError(
    'Internal',
    `The engine process ended ${FIRST_TRIES} times before it served anything, last with ${reason}. Its log says more.`,
  );
}
