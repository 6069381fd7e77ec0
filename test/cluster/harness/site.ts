/**
 * The namespaces that a whole cluster is in: processes, mounts and networks of it are nowhere else, and all of it ends
 * with their first process, which ends with the process that started it, whatever that one dies of.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { makeCgroups, removeCgroups } from '../../docker/cgroups.ts';
import { enginesIn, untilEnded } from '../../docker/fuse-connections.ts';
import { attachedOf } from '../../docker/loop-devices.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { attempt, type CommandOptions, run, until } from '../../support/commands.ts';

const script = path.join(import.meta.dirname, 'site.sh');

const START_MS = 60_000;

/** Where the control plane is, and the nodes' network. */
export const ADDRESS = '10.99.0.1';
export const nodeAddress = (number: number): string => `10.99.0.${10 + number}`;
export const POD_NETWORK = '10.244.0.0/16';
export const podNetwork = (number: number): string => `10.244.${number}.0/24`;

export class Site {
  /** The first process's number, on this machine. */
  readonly init: number;
  /** Of its control groups. */
  readonly name: string;

  constructor(name: string, init: number) {
    this.name = name;
    this.init = init;
  }

  static async start(cleanup: Cleanup, name: string, directory: string): Promise<Site> {
    cleanup.defer(`remove the cgroups ${name}`, () => removeCgroups(name));
    const log = path.join(directory, 'site.log');
    const output = openSync(log, 'a');
    const command = [
      '--pdeathsig',
      'KILL',
      script,
      'enter',
      ...makeCgroups(name),
      '--',
      script,
      `${ADDRESS}/24`,
    ];
    const child = spawn('setpriv', command, { stdio: ['ignore', output, output], detached: true });
    closeSync(output);
    cleanup.defer('end all processes of the cluster', () => end(child, directory));
    await until(
      'the namespaces of the cluster are there',
      () => {
        if (child.exitCode !== null) throw new Error(`no namespaces: ${readFileSync(log, 'utf8')}`);
        return readFileSync(log, 'utf8').includes('ready');
      },
      START_MS,
    );
    return new Site(name, childOf(child.pid!)!);
  }

  /** How a command is run in these namespaces; `mounts`: seeing its files too, and being one of its processes. */
  entering(command: readonly string[], inside: 'network' | 'all' = 'network'): string[] {
    const namespaces = inside === 'all' ? ['-n', '-m', '-i', '-p'] : ['-n'];
    return ['nsenter', '-t', String(this.init), ...namespaces, '--', ...command];
  }

  /** To its end, in the network of the cluster. */
  run(command: readonly string[], options: CommandOptions = {}): Promise<string> {
    const [program, ...args] = this.entering(command);
    return run(program!, args, options);
  }

  /** Something that goes on, until the site's end at the latest. Its output is in the file. */
  start(command: readonly string[], log: string): ChildProcess {
    const output = openSync(log, 'a');
    const [program, ...args] = this.entering(command, 'all');
    const child = spawn(program!, args, { stdio: ['ignore', output, output], detached: true });
    closeSync(output);
    child.unref();
    return child;
  }
}

async function end(child: ChildProcess, directory: string): Promise<void> {
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  if (ended()) return;
  // Its only child is the first process of the namespaces, whose end ends all that is in them.
  const init = childOf(child.pid!);
  const filesystems = attachedOf(directory).map(({ backing }) => backing);
  if (init !== undefined) process.kill(init, 'SIGKILL');
  const engines = { filesystems, directory };
  await untilEnded('the processes of the cluster have ended', ended, engines, START_MS);
}

/** The filesystems of the engines among the processes that this one is the first of. */
export async function enginesWithin(init: number): Promise<string[]> {
  const tables = ['sh', '-c', 'cat /proc/[0-9]*/mountinfo'];
  const { stdout } = await attempt('nsenter', ['-t', String(init), '-m', '-p', '--', ...tables]);
  return enginesIn(stdout);
}

/** The process that it has started, if any yet. */
export function childOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? undefined : Number(children.split(' ')[0]);
}
