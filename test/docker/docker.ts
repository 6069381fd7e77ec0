/**
 * A Docker daemon of our own: Debian's, in namespaces of its own, so that nothing of it (bridges, firewall rules, mounts,
 * processes, control groups) is in the machine's and all of it ends at once.
 *
 * Containers reach the network through slirp4netns, an ordinary process of this machine. Should this process die, by
 * whatever, the daemon dies with it; what is then left of it in files the next one removes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import type { Cleanup } from '../support/cleanup.ts';
import { attempt, type CommandOptions, type CommandResult, run, until } from '../support/commands.ts';
import { cgroupsNamed, makeCgroups, removeCgroups } from './cgroups.ts';
import { enginesIn, untilEnded } from './fuse-connections.ts';
import { attachedOf, detachRecorded, recordLoopDevices } from './loop-devices.ts';
import { keepSettings, restoreSettings } from './settings.ts';

const here = import.meta.dirname;
/** Of this process's daemons; those of others that have ended are removed by it. */
const NAME = /^flashcopy-docker-(?<pid>\d+)-\d+$/;
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
/** Linux's numbers of the capabilities that a machine's root may lack. */
const CAPABILITIES = { CAP_SYS_RESOURCE: 24 };
const START_MS = 60_000;
const STOP_MS = 60_000;

let started = 0;

export class Docker {
  /** Where to put files for it; goes with it. */
  readonly directory: string;
  readonly #unshare: ChildProcess;
  readonly #init: number;
  readonly #helpers: ChildProcess[] = [];
  readonly #path: string;
  readonly #keepsData: boolean;

  private constructor(directory: string, unshare: ChildProcess, init: number, keepsData: boolean) {
    this.directory = directory;
    this.#keepsData = keepsData;
    this.#unshare = unshare;
    this.#init = init;
    this.#path = `${this.bin}:${PATH}`;
  }

  /** `dataDir`: to keep its images; only one daemon at a time may have it. */
  static async start(cleanup: Cleanup, options: { dataDir?: string } = {}): Promise<Docker> {
    await removeLeftOvers();
    started += 1;
    const name = `flashcopy-docker-${process.pid}-${started}`;
    const directory = path.join(os.tmpdir(), name);
    mkdirSync(path.join(directory, 'bin'), { recursive: true });
    cleanup.defer(`remove ${directory}`, () => remove(directory));
    cleanup.defer('detach what is left of loop devices', () => detachRecorded(directory));
    keepSettings(directory);
    cleanup.defer('set the machine back to what it was', () => restoreSettings(directory));
    cleanup.defer(`remove the cgroups ${name}`, () => removeCgroups(name));
    const data = options.dataDir ?? path.join(directory, 'data');
    mkdirSync(data, { recursive: true });
    writeFileSync(path.join(data, 'daemon.json'), JSON.stringify(daemonOptions(path.join(directory, 'bin'))));

    const log = path.join(directory, 'daemon.log');
    const output = openSync(log, 'w');
    const init = [path.join(here, 'init.sh'), data];
    const unshare = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', init[0]!, 'enter', ...makeCgroups(name), '--', ...init],
      {
        stdio: ['ignore', output, output],
        detached: true,
        env: { ...process.env, PATH: `${path.join(directory, 'bin')}:${PATH}` },
      },
    );
    closeSync(output);
    let docker: Docker | undefined;
    cleanup.defer('stop the Docker daemon', () =>
      docker === undefined ? unshare.kill('SIGKILL') : docker.#stop(),
    );
    const pid = await until(
      'the daemon has namespaces',
      () => {
        if (unshare.exitCode !== null) throw new Error(`no Docker daemon: ${readFileSync(log, 'utf8')}`);
        return childOf(unshare.pid!);
      },
      START_MS,
    );
    docker = new Docker(directory, unshare, pid, options.dataDir !== undefined);
    const { engines } = docker;
    recordLoopDevices(cleanup, directory, async ({ backing }) => (await engines()).includes(backing));
    await docker.#connect();
    await docker.#untilItAnswers();
    return docker;
  }

  /** Programs in it come before the machine's. */
  get bin(): string {
    return path.join(this.directory, 'bin');
  }

  /** Runs a program in the daemon's namespaces, `docker` or what uses it, to its end. */
  run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
    return run('nsenter', this.#entering(command, args, options), this.#with(options));
  }

  attempt(command: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt('nsenter', this.#entering(command, args, options), this.#with(options));
  }

  /** How to run a program there from a shell or a program of one's own. */
  entering(command: string, ...args: string[]): { words: string[]; env: NodeJS.ProcessEnv } {
    return { words: ['nsenter', ...this.#entering(command, args, {})], env: this.#with({}).env! };
  }

  #entering(command: string, args: readonly string[], { cwd = process.cwd() }: CommandOptions): string[] {
    const namespaces = ['-m', '-u', '-i', '-n', '-p', '-C'];
    return ['-t', String(this.#init), ...namespaces, `--wdns=${cwd}`, '--', command, ...args];
  }

  #with(options: CommandOptions): CommandOptions {
    const env = {
      PATH: this.#path,
      DOCKER_CONFIG: path.join(this.directory, 'config'),
      DOCKER_BUILDKIT: '1',
    };
    return { ...options, env: { ...env, ...options.env } };
  }

  get log(): string {
    return readFileSync(path.join(this.directory, 'daemon.log'), 'utf8').slice(-4000);
  }

  /** A user-mode network from the daemon's namespace to what this machine's own programs reach. */
  async #connect(): Promise<void> {
    const slirp = spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        'slirp4netns',
        '--configure',
        '--mtu=65520',
        '--disable-host-loopback',
        String(this.#init),
        'tap0',
      ],
      { stdio: 'ignore', detached: true },
    );
    this.#helpers.push(slirp);
    await until(
      'the daemon has a network',
      async () => {
        if (slirp.exitCode !== null) throw new Error(`slirp4netns ended with ${slirp.exitCode}`);
        return (await this.attempt('ip', ['route', 'show', 'default'])).stdout.includes('tap0');
      },
      START_MS,
    );
  }

  async #untilItAnswers(): Promise<void> {
    await until(
      'the Docker daemon answers',
      async () => {
        if (this.#unshare.exitCode !== null) throw new Error(`the Docker daemon ended:\n${this.log}`);
        return (await this.attempt('docker', ['version'])).status === 0;
      },
      START_MS,
      200,
    );
  }

  /** The filesystems of the engines in its containers. */
  readonly engines = async (): Promise<string[]> =>
    enginesIn((await this.attempt('sh', ['-c', 'cat /proc/[0-9]*/mountinfo'])).stdout);

  async #stop(): Promise<void> {
    const ended = () => this.#unshare.exitCode !== null || this.#unshare.signalCode !== null;
    const filesystems = attachedOf(this.directory).map(({ backing }) => backing);
    // In order only where what it has is used again: the other way is quicker, and nothing can delay it.
    if (!ended()) process.kill(this.#init, this.#keepsData ? 'SIGTERM' : 'SIGKILL');
    const engines = { filesystems, directory: this.directory };
    await untilEnded('the Docker daemon has stopped', ended, engines, STOP_MS).catch(() =>
      this.#unshare.kill('SIGKILL'),
    );
    await until('the Docker daemon has ended', ended, STOP_MS);
    for (const helper of this.#helpers) helper.kill('SIGKILL');
  }
}

function daemonOptions(bin: string): object {
  const options = {
    'storage-driver': 'overlay2',
    'oom-score-adjust': 0,
    'default-cgroupns-mode': 'private',
  };
  const lacking = lackingCapabilities();
  if (lacking.length === 0) return options;
  const shim = path.join(bin, 'runc-without');
  const words = [process.execPath, path.join(here, 'runc.ts'), '/usr/sbin/runc', lacking.join(',')];
  writeFileSync(shim, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`, {
    mode: 0o755,
  });
  return { ...options, runtimes: { without: { path: shim } }, 'default-runtime': 'without' };
}

function lackingCapabilities(): string[] {
  const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]!;
  return Object.entries(CAPABILITIES)
    .filter(([, bit]) => ((BigInt(`0x${bounding}`) >> BigInt(bit)) & 1n) === 0n)
    .map(([name]) => name);
}

/** The process that it has started, if any yet. */
function childOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? undefined : Number(children.split(' ')[0]);
}

/** Of daemons whose owner has died without undoing what it did: their processes have died with it. */
async function removeLeftOvers(): Promise<void> {
  const left = (name: string) => {
    const pid = NAME.exec(name)?.groups?.['pid'];
    return pid !== undefined && !isAlive(Number(pid));
  };
  const directories = readdirSync(os.tmpdir())
    .filter(left)
    .map((name) => path.join(os.tmpdir(), name));
  // What of them could not end, for want of an engine's answer, can then.
  for (const directory of directories) await detachRecorded(directory);
  for (const name of cgroupsNamed(NAME).filter(left)) await removeCgroups(name);
  for (const directory of directories) restoreSettings(directory);
  for (const directory of directories) await remove(directory);
}

/** Some hundred thousand files, as images have them. */
const remove = (directory: string): Promise<string> => run('rm', ['-rf', '--one-file-system', directory]);

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
