/**
 * A whole flashcopy on this machine: `flashcopy standalone` on a pool, and the engine's interface to it.
 *
 * After `stop` nothing of it is left: no process, no mount, no loop device, no run directory. That is checked every
 * time, so every test that uses an engine also tests that it goes away cleanly.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { RemoteEngine } from '../../src/api/client.ts';
import type { EngineApi } from '../../src/api/engine-api.ts';
import type { MappingInfo } from '../../src/base/model.ts';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import type { Cleanup } from './cleanup.ts';
import { attempt, type CommandResult, run, until } from './commands.ts';
import { loopDevicesBelow, mountsBelow } from './filesystems.ts';

const program = path.resolve(import.meta.dirname, '../../bin/flashcopy.js');

/** Runs the CLI to its end. */
export function flashcopy(...args: string[]): Promise<CommandResult> {
  return attempt(process.execPath, [program, ...args], { timeoutMs: 30_000 });
}

/** How to start an engine from a shell, for tests that start it in strange surroundings. */
export function standaloneCommand(pool: string, endpoint: string, role = 'standalone'): string[] {
  return [process.execPath, program, role, '--pool', pool, '--endpoint', `unix://${endpoint}`];
}

/** Node.js' own options for it, and its environment beside the test's. */
export type Surroundings = { nodeOptions?: string[]; environment?: NodeJS.ProcessEnv };

/** Where an engine keeps what must not outlive the boot. The pool itself need not exist. */
export function runDirectoryOf(pool: string): string {
  const real = path.join(realpathSync(path.dirname(pool)), path.basename(pool));
  return `/run/flashcopy/${createHash('sha256').update(real).digest('hex').slice(0, 12)}`;
}

export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => {
      try {
        // After the name, which is in parentheses and may hold anything: the state, then the parent.
        const status = readFileSync(`/proc/${candidate}/stat`, 'utf8');
        const [state, parent] = status.slice(status.lastIndexOf(')') + 2).split(' ');
        return Number(parent) === pid && state !== 'Z';
      } catch {
        return false; // It has ended meanwhile.
      }
    });
}

/** Making a pool writes its whole log, which takes a busy machine its time. */
const START_MS = 60_000;
/** With hundreds of volumes, on a busy machine. */
const STOP_MS = 120_000;

type Child = 'engine' | 'csi';

/** Undefined: it has ended meanwhile. */
function kindOf(pid: number): Child | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
    return words.includes('csi') ? 'csi' : 'engine';
  } catch {
    return undefined;
  }
}

export class Standalone {
  readonly pool: string;
  readonly endpoint: string;
  readonly runDirectory: string;
  readonly engine: RemoteEngine;
  /** Set by a test whose pool has to be: it is checked after the stop. */
  sound = false;
  readonly #supervisor: ChildProcess;
  readonly #output: () => string;
  readonly #undo: () => Promise<void>;

  private constructor(
    cleanup: Cleanup,
    pool: string,
    endpoint: string,
    supervisor: ChildProcess,
    output: () => string,
  ) {
    this.pool = pool;
    this.endpoint = endpoint;
    this.runDirectory = runDirectoryOf(pool);
    this.#supervisor = supervisor;
    this.#output = output;
    this.engine = new RemoteEngine(`unix://${endpoint}`);
    this.#undo = cleanup.defer(`stop the engine on ${pool}`, () => this.#stop(cleanup.interrupted));
  }

  /** Starts it on the pool, which is made if there is none, and returns when it answers. */
  static async start(
    cleanup: Cleanup,
    pool: string,
    more: string[] = [],
    role = 'standalone',
    { nodeOptions = [], environment = {} }: Surroundings = {},
  ): Promise<Standalone> {
    mkdirSync(pool, { recursive: true });
    const endpoint = `${pool}.sock`;
    const [command, ...args] = standaloneCommand(pool, endpoint, role);
    // In a process group of its own: a Ctrl-C in the terminal must not end it before what is mounted on it.
    const supervisor = spawn(command!, [...nodeOptions, ...args, ...more], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
      detached: true,
    });
    let output = '';
    for (const stream of [supervisor.stdout!, supervisor.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-20_000);
      });
    }
    const self = new Standalone(cleanup, pool, endpoint, supervisor, () => output);
    await self.#untilItAnswers();
    return self;
  }

  async #untilItAnswers(): Promise<void> {
    const answers = async (): Promise<boolean> => {
      if (this.#supervisor.exitCode !== null || this.#supervisor.signalCode !== null) {
        throw new Error(`the engine on ${this.pool} ended while starting:\n${this.#output()}`);
      }
      if (!existsSync(this.endpoint)) return false;
      return this.engine.pool().then(
        () => true,
        () => false,
      );
    };
    await until(`the engine on ${this.pool} answers`, answers, START_MS);
  }

  get output(): string {
    return this.#output();
  }

  get supervisorPid(): number {
    return this.#supervisor.pid!;
  }

  /** The process that holds FlashCopy, or the one that serves CSI: not the one that starts them again. */
  childPid(what: Child = 'engine'): number | undefined {
    return childrenOf(this.#supervisor.pid!).find((pid) => kindOf(pid) === what);
  }

  /** Kills the child at once and returns its pid; another will be started. */
  async killChild(what: Child = 'engine'): Promise<number> {
    const pid = await until(`there is a process: ${what}`, () => this.childPid(what));
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  /** Stops it in the orderly way, and checks that nothing is left. */
  async stop(): Promise<void> {
    await this.#undo();
  }

  async #stop(interrupted: boolean): Promise<void> {
    this.engine.close();
    const pids = [this.#supervisor.pid!, ...childrenOf(this.#supervisor.pid!)];
    const ended = () => this.#supervisor.exitCode !== null || this.#supervisor.signalCode !== null;
    if (!ended()) this.#supervisor.kill('SIGTERM');
    const left: string[] = [];
    if (interrupted) {
      // What was interrupted may have a device open for ever. A second SIGTERM stops the engine nevertheless.
      await until('it ends after SIGTERM', ended, 2000).catch(() => this.#supervisor.kill('SIGTERM'));
    }
    await until('it ends after SIGTERM', ended, STOP_MS).catch((error: Error) => left.push(error.message));
    const status = this.#supervisor.exitCode ?? this.#supervisor.signalCode;
    if (left.length === 0 && status !== 0) left.push(`it ended with ${status}`);
    left.push(...(await this.#removeLeftovers(pids)));
    if (left.length === 0 && this.sound) left.push(...this.#findings());
    if (left.length > 0) {
      throw new Error(
        `the engine on ${this.pool} left:\n  ${left.join('\n  ')}\nIts log:\n${this.#output()}`,
      );
    }
  }

  /** What a check finds in the pool that it has closed. */
  #findings(): string[] {
    return checkPool(this.pool).findings.map((f) => `in the pool ${f.file} at ${f.offset}: ${f.what}`);
  }

  /** What is left, and is removed by force now so that one failure stays one. */
  async #removeLeftovers(pids: number[]): Promise<string[]> {
    const left: string[] = [];
    for (const pid of pids.filter((candidate) => existsSync(`/proc/${candidate}`))) {
      left.push(`process ${pid}`);
      process.kill(pid, 'SIGKILL');
    }
    for (const mount of mountsBelow(this.runDirectory)) {
      left.push(`mount ${mount}`);
      await run('umount', ['--lazy', mount]);
    }
    for (const device of await loopDevicesBelow(this.runDirectory)) {
      left.push(`loop device ${device}`);
      await run('losetup', ['--detach', device]);
    }
    if (existsSync(this.runDirectory)) left.push(`run directory ${this.runDirectory}`);
    for (const socket of [this.endpoint, `${this.endpoint}.csi`])
      if (existsSync(socket)) left.push(`socket ${socket}`);
    return left;
  }
}

/** Returns when the mapping's target holds everything. */
export async function untilCopied(
  engine: EngineApi,
  mapping: string,
  timeoutMs = 60_000,
): Promise<MappingInfo> {
  const timeout = AbortSignal.timeout(timeoutMs);
  for await (const info of engine.watchMapping(mapping, timeout)) {
    if (info.state === 'copied') return info;
    if (info.state !== 'copying') throw new Error(`mapping ${mapping} became ${info.state}: ${info.error}`);
  }
  throw new Error(`mapping ${mapping} was not copied within ${timeoutMs} ms`);
}
