/**
 * Engines in several containers of one machine, as the nodes of a kind cluster are: loop devices belong to all of them,
 * each has its pool at the same path, and a container's /dev lacks the devices that the kernel has made since.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { RemoteEngine } from '../../src/api/client.ts';
import { loopDevices, sequenceOf } from '../../src/engine/loop-devices.ts';
import { Cleanup } from '../support/cleanup.ts';
import { attempt, run, until } from '../support/commands.ts';
import { MiB, temporaryDirectory } from '../support/disks.ts';
import { standaloneCommand } from '../support/standalone.ts';

/** What every container has: those devices that are not of the engine's making. */
const NODES = ['null c 1 3', 'zero c 1 5', 'urandom c 1 9', 'fuse c 10 229', 'loop-control c 10 237'];

/** One attachment of a device: another one, be it anybody's, is another. */
const attachment = (device: string): string => `${device} ${sequenceOf(device)}`;
const isAttached = (wanted: string): boolean =>
  loopDevices().some(({ device }) => attachment(device) === wanted);

/** A container's worth of namespaces, in which an engine runs and dies, and what is mounted stays. */
class Container {
  readonly engine: RemoteEngine;
  readonly #name: string;
  readonly #directory: string;
  readonly #init: ChildProcess;
  #supervisor: ChildProcess | undefined;
  #log = '';

  private constructor(directory: string, name: string, init: ChildProcess) {
    this.#directory = directory;
    this.#name = name;
    this.#init = init;
    this.engine = new RemoteEngine(`unix://${directory}/${name}.sock`);
  }

  static async create(cleanup: Cleanup, directory: string, name: string): Promise<Container> {
    const own = path.join(directory, name);
    for (const made of [own, path.join(directory, 'same')]) mkdirSync(made, { recursive: true });
    const script = [
      'mount --make-rprivate /',
      `mount --bind ${own} ${directory}/same`,
      'mount -t tmpfs tmpfs /run',
      'mount -t tmpfs tmpfs /dev',
      ...NODES.map((node) => `mknod -m 666 /dev/${node}`),
      'echo ready',
      'exec sleep infinity',
    ];
    const init = spawn('unshare', ['--mount', 'sh', '-e', '-c', script.join('\n')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const container = new Container(directory, name, init);
    cleanup.defer(`end container ${name}`, () => container.#end());
    await once(init.stdout!, 'data');
    return container;
  }

  async start(): Promise<void> {
    const endpoint = `${this.#directory}/${this.#name}.sock`;
    const command = standaloneCommand(`${this.#directory}/same/pool`, endpoint, 'engine');
    this.#supervisor = spawn('nsenter', ['-t', String(this.#init.pid), '-m', '--', ...command], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#supervisor.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
    });
    await until(`the engine of ${this.#name} answers`, () => {
      if (this.#supervisor!.exitCode !== null) throw new Error(`it ended: ${this.#log}`);
      return this.engine.pool().then(
        () => true,
        () => false,
      );
    });
  }

  /** All of it at once, as when a pod is killed. */
  async kill(): Promise<void> {
    const supervisor = this.#supervisor!;
    const children = (await attempt('pgrep', ['-P', String(supervisor.pid)])).stdout.trim().split('\n');
    supervisor.kill('SIGKILL');
    for (const child of children) process.kill(Number(child), 'SIGKILL');
    await until('the engine has ended', () => children.every((child) => !existsSync(`/proc/${child}/exe`)));
  }

  async stop(): Promise<void> {
    if (this.#supervisor?.exitCode !== null || this.#supervisor.signalCode !== null) return;
    this.#supervisor.kill('SIGTERM');
    if (this.#supervisor.exitCode === null) await once(this.#supervisor, 'exit');
    assert.equal(this.#supervisor.exitCode, 0, this.#log);
  }

  /** In its view of the machine. */
  inside(...command: string[]): Promise<string> {
    return run('nsenter', ['-t', String(this.#init.pid), '-m', '--', ...command]);
  }

  async #end(): Promise<void> {
    this.engine.close();
    await this.stop();
    // What a test that failed has left attached: without the container nobody could tell whose it was.
    const { dev, ino } = statSync(path.join(this.#directory, this.#name, 'pool'), { bigint: true });
    const mount = `/mnt-${dev.toString(16)}-${ino.toString(16)}/`;
    for (const { device, file } of loopDevices())
      if (file.includes(mount)) await run('losetup', ['--detach', device]);
    this.#init.kill('SIGKILL');
    if (this.#init.exitCode === null && this.#init.signalCode === null) await once(this.#init, 'exit');
  }
}

describe('Engines in containers of one machine', () => {
  const cleanup = new Cleanup();
  let first: Container;
  let second: Container;

  before(async () => {
    const directory = temporaryDirectory(cleanup);
    first = await Container.create(cleanup, directory, 'first');
    second = await Container.create(cleanup, directory, 'second');
    await first.start();
    await second.start();
  });
  after(() => cleanup.all());

  const attached = async (container: Container): Promise<string[]> =>
    (await container.engine.listVolumes()).map(({ device }) => device).filter(Boolean);
  const volume = async (container: Container, name: string): Promise<string> => {
    await container.engine.createVolume({ name, sizeBytes: MiB });
    return container.engine.attachVolume(name);
  };

  it('attach volumes of the same number, each on a device that was not in /dev', async () => {
    const ofFirst = await volume(first, 'data');
    const ofSecond = await volume(second, 'data');
    assert.notEqual(ofFirst, ofSecond);
    await first.inside('dd', 'if=/dev/urandom', `of=${ofFirst}`, 'bs=1M', 'count=1', 'conv=fsync');
    await second.inside('dd', 'if=/dev/zero', `of=${ofSecond}`, 'bs=1M', 'count=1', 'conv=fsync');
    assert.deepEqual(await attached(first), [ofFirst]);
    assert.deepEqual(await attached(second), [ofSecond]);
    await assert.rejects(first.inside('test', '-e', ofSecond), 'the other has no node for it');
  });

  it('clear away what is their own, and only that, after all of them were killed', async () => {
    const [ofFirst] = await attached(first);
    const [ofSecond] = await attached(second);
    const checksum = (container: Container, device: string) => container.inside('sha256sum', device);
    const before = await checksum(first, ofFirst!);
    const own = attachment(ofFirst!);
    const others = attachment(ofSecond!);
    await first.kill();
    await second.kill();

    await first.start();
    assert.ok(!isAttached(own), 'the one that started has cleared away its device');
    assert.ok(isAttached(others), 'the device of the other is left to the other');
    await second.start();
    assert.ok(!isAttached(others));

    const again = await first.engine.attachVolume('data');
    assert.equal((await checksum(first, again)).split(' ')[0], before.split(' ')[0]);
    await second.engine.attachVolume('data');
  });

  it('stop with nothing left of either', async () => {
    const attachments = [...(await attached(first)), ...(await attached(second))].map(attachment);
    await first.stop();
    await second.stop();
    assert.deepEqual(attachments.filter(isAttached), []);
    for (const container of [first, second])
      assert.equal(await container.inside('ls', '-A', '/run/flashcopy'), '');
  });
});
