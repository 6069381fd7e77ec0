/**
 * An engine whose descriptors a node service holds too, for tests that kill, stop and replace either of them.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { RemoteEngine } from '../../src/api/client.ts';
import { until } from './commands.ts';
import { MiB } from './disks.ts';
import type { EngineSuite } from './engine-suite.ts';
import { loopDevicesBelow, makeFilesystem, mount, mountsBelow } from './filesystems.ts';
import { childrenOf, runDirectoryOf, standaloneCommand } from './standalone.ts';

/** `flashcopy engine` with a keeper: may be killed, stopped and started again, by this or another program. */
export class KeptEngine {
  readonly pool: string;
  readonly engine: RemoteEngine;
  readonly keeper: string;
  readonly #endpoint: string;
  readonly #suite: EngineSuite;
  #process: ChildProcess | undefined;
  output = '';

  constructor(suite: EngineSuite) {
    this.#suite = suite;
    this.pool = path.join(suite.directory, 'pool');
    this.keeper = path.join(suite.directory, 'keeper', 'keeper.sock');
    this.#endpoint = path.join(suite.directory, 'engine.sock');
    this.engine = new RemoteEngine(`unix://${this.#endpoint}`);
    suite.cleanup.defer('end the engine', () => this.#end());
  }

  get endpoint(): string {
    return `unix://${this.#endpoint}`;
  }

  /** Of the node service that keeps its descriptors. */
  get nodeArgs(): string[] {
    return ['--endpoint', this.endpoint, '--node-id', 'n1', '--keeper-endpoint', `unix://${this.keeper}`];
  }

  async start(program?: string): Promise<void> {
    this.spawn(program);
    await this.untilItAnswers();
  }

  spawn(program?: string): void {
    this.forget();
    const [command, ...args] = standaloneCommand(this.pool, this.#endpoint, 'engine');
    if (program !== undefined) args[0] = program;
    // As in a container, all of it can be killed at once: in a process group of its own, its engine process too.
    const child = spawn(command!, [...args, '--keeper-endpoint', `unix://${this.keeper}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    this.#process = child;
  }

  /** Start it where one was killed or stopped, until it has taken over and is kept. */
  async goOn(program?: string): Promise<void> {
    await this.start(program);
    await this.untilLogged(/going on with the descriptors/);
    await this.untilKept();
  }

  async stop(): Promise<void> {
    this.signal('SIGTERM');
    assert.equal(await this.ended(), 0);
  }

  /** Start a program that is not to take over, and that says why. */
  async refuses(program: string | undefined, why: RegExp): Promise<void> {
    this.spawn(program);
    assert.equal(await this.ended(), 1);
    assert.match(this.output, why);
  }

  /** A volume `data` with a filesystem, mounted at `place`. */
  async mountData(): Promise<{ device: string; place: string; unmount: () => Promise<void> }> {
    await this.engine.createVolume({ name: 'data', sizeBytes: 128 * MiB });
    const device = await this.engine.attachVolume('data');
    await makeFilesystem('ext4', device);
    const place = path.join(this.#suite.directory, 'mounted');
    return { device, place, unmount: await mount(this.#suite.cleanup, device, place, 'ext4') };
  }

  async untilItAnswers(): Promise<void> {
    const child = this.#process!;
    await until(
      'the engine answers',
      async () => {
        if (child.exitCode !== null)
          throw new Error(`the engine ended with ${child.exitCode}:\n${this.output}`);
        return existsSync(this.#endpoint) && this.engine.pool().catch(() => false as const);
      },
      30_000,
    );
  }

  async untilKept(): Promise<void> {
    await this.untilLogged(/the keeper holds a copy/);
  }

  /** In what it has logged since it was started, or since `forget`. */
  async untilLogged(message: RegExp): Promise<void> {
    await until(`it says ${message}`, () => message.test(this.output), 30_000);
  }

  forget(): void {
    this.output = '';
  }

  get pid(): number {
    return this.#process!.pid!;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process!.kill(signal);
  }

  /** Supervisor and engine process at the same instant, as the end of a container does. */
  async killAll(): Promise<void> {
    const pid = this.#process!.pid!;
    const children = await until('it has an engine process', () => {
      const found = childrenOf(pid);
      return found.length > 0 && found;
    });
    for (const each of [pid, ...children]) process.kill(each, 'SIGKILL');
    await this.ended();
    await until('its engine process is gone', () => children.every((each) => !existsSync(`/proc/${each}`)));
  }

  async ended(): Promise<number | null> {
    if (this.#process!.exitCode === null && this.#process!.signalCode === null)
      await once(this.#process!, 'exit');
    return this.#process!.exitCode;
  }

  async #end(): Promise<void> {
    this.engine.close();
    if (this.#process?.exitCode === null && this.#process.signalCode === null) this.signal('SIGTERM');
    assert.equal(await this.ended(), 0, this.output);
    const run = runDirectoryOf(this.pool);
    assert.deepEqual([mountsBelow(run), await loopDevicesBelow(run), existsSync(run)], [[], [], false]);
  }
}

/** What is different in another release: of each file, this text becomes that. */
type Changes = Record<string, [this_: RegExp, that: string]>;

const OTHER_LAYOUT: Changes = { 'src/core/arena.ts': [/^const VERSION = 1;$/m, 'const VERSION = 2;'] };
const LESS_MEMORY: Changes = { 'src/sys/shm.ts': [/= 64 \* 2 \*\* 30;/, '= 12 * 2 ** 30;'] };
const FURTHER_FORMAT: Changes = {
  'src/engine/migrations.ts': [/^\];$/m, "  { format: 99, what: 'nothing', run: () => undefined },\n];"],
};

/** This program with another layout of the shared memory, as a later release may have: its bin/flashcopy.js. */
export function otherRelease(directory: string): string {
  return changedProgram(directory, OTHER_LAYOUT);
}

/** The same with shared memory of another size, as former releases have it. */
export function smallerRelease(directory: string): string {
  return changedProgram(directory, LESS_MEMORY);
}

/** The same with a further on-disk format; with the same layout or another one. */
export function furtherRelease(directory: string, layout: 'same' | 'other'): string {
  return changedProgram(directory, { ...FURTHER_FORMAT, ...(layout === 'other' && OTHER_LAYOUT) });
}

function changedProgram(directory: string, changes: Changes): string {
  const root = path.resolve(import.meta.dirname, '../..');
  for (const part of ['bin', 'src', 'proto', 'package.json'])
    cpSync(path.join(root, part), path.join(directory, part), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(directory, 'node_modules'));
  for (const [name, [from, to]] of Object.entries(changes)) {
    const file = path.join(directory, name);
    const text = readFileSync(file, 'utf8');
    const changed = text.replace(from, to);
    assert.notEqual(changed, text, name);
    writeFileSync(file, changed);
  }
  return path.join(directory, 'bin/flashcopy.js');
}
