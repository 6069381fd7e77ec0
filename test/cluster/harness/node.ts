/**
 * A node: processes in namespaces of their own, with kubelet, containerd and kube-proxy where they are on any node, and a
 * disk of its own for the pool, whose size is known. It can lose power, and be started again.
 */
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { makeCgroups, removeCgroups } from '../../docker/cgroups.ts';
import { untilEnded } from '../../docker/fuse-connections.ts';
import { attempt, type CommandOptions, type CommandResult, run, until } from '../../support/commands.ts';
import type { NodeSpec } from './node-files.ts';
import { ADDRESS, childOf, enginesWithin, nodeAddress, podNetwork, type Site } from './site.ts';

const script = path.join(import.meta.dirname, 'node.sh');
const START_MS = 180_000;

export class Node {
  readonly name: string;
  readonly #spec: NodeSpec;
  readonly #site: Site;
  readonly #binaries: string;

  constructor(spec: NodeSpec, site: Site, binaries: string) {
    this.name = spec.name;
    this.#spec = spec;
    this.#site = site;
    this.#binaries = binaries;
  }

  /** Kubelet waits; see `startKubelet`. */
  async start(): Promise<void> {
    const { directory } = this.#spec;
    const command = [script, 'enter', ...makeCgroups(this.#cgroup), '--', script];
    const outer = this.#site.start(
      [...command, this.name, directory, this.#binaries],
      path.join(directory, 'log', 'node.log'),
    );
    const init = await until(
      `${this.name} has namespaces`,
      () => {
        if (outer.exitCode !== null) throw new Error(`${this.name} has ended: ${this.#log('node')}`);
        const inner = childOf(outer.pid!);
        return inner === undefined ? undefined : childOf(inner);
      },
      START_MS,
    );
    fs.writeFileSync(this.#pidFile, String(init));
    await this.#connect(init);
    await until(
      `containerd of ${this.name} answers`,
      async () => (await this.attempt(['ctr', 'version'])).status === 0,
      START_MS,
      100,
    );
  }

  async importImages(tars: readonly string[]): Promise<void> {
    for (const tar of tars) await this.run(['ctr', '-n', 'k8s.io', 'images', 'import', tar]);
  }

  /** Once it has all that its pods start from. From then on it starts with the node. */
  startKubelet(): void {
    fs.writeFileSync(path.join(this.#spec.directory, 'kubelet-may-start'), '');
  }

  /** As when the power fails: no process of it does anything any more, and only its disk is left. */
  async losePower(): Promise<void> {
    const init = this.#init;
    const engines = { filesystems: await enginesWithin(init), directory: this.#spec.directory };
    process.kill(init, 'SIGKILL');
    const ended = () => !fs.existsSync(`/proc/${init}`);
    await untilEnded(`${this.name} is without power`, ended, engines, START_MS);
    fs.rmSync(this.#pidFile);
    await removeCgroups(this.#cgroup);
  }

  /** In its namespaces, to its end. */
  run(command: readonly string[], options: CommandOptions = {}): Promise<string> {
    return run('nsenter', this.#entering(command), this.#with(options));
  }

  attempt(command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt('nsenter', this.#entering(command), this.#with(options));
  }

  #entering(command: readonly string[]): string[] {
    return ['-t', String(this.#init), '-m', '-u', '-i', '-n', '-p', '-C', '--wd=/', '--', ...command];
  }

  #with(options: CommandOptions): CommandOptions {
    const env = { PATH: `${this.#binaries}:/usr/sbin:/usr/bin:/sbin:/bin` };
    return { ...options, env: { ...env, ...options.env } };
  }

  /** A cable from it to the bridge, which goes with either end. */
  async #connect(init: number): Promise<void> {
    const { number } = this.#spec;
    const ip = (...args: string[]) => this.#site.run(['ip', ...args]);
    const within = (...args: string[]) => run('nsenter', ['-t', String(init), '-n', 'ip', ...args]);
    await until(
      `the last cable to ${this.name} is gone`,
      async () => !(await ip('-br', 'link')).includes(this.name),
      START_MS,
    );
    await ip('link', 'add', this.name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(init));
    await ip('link', 'set', this.name, 'master', 'nodes', 'up');
    await ip('route', 'replace', podNetwork(number), 'via', nodeAddress(number));
    await within('link', 'set', 'lo', 'up');
    await within('address', 'add', `${nodeAddress(number)}/24`, 'dev', 'eth0');
    await within('link', 'set', 'eth0', 'up');
    await within('route', 'add', 'default', 'via', ADDRESS);
  }

  get #cgroup(): string {
    return `${this.#site.name}/${this.name}`;
  }

  get #pidFile(): string {
    return path.join(this.#spec.directory, 'init.pid');
  }

  get #init(): number {
    return Number(fs.readFileSync(this.#pidFile, 'utf8'));
  }

  #log(name: string): string {
    return fs.readFileSync(path.join(this.#spec.directory, 'log', `${name}.log`), 'utf8').slice(-4000);
  }
}
