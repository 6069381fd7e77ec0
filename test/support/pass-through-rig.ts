/**
 * A pool in a temporary directory, its mount, and an engine process with the pass-through core. This process plays the
 * supervisor: it holds the descriptors, so the engine can be killed and started again.
 *
 * Files of the mount may be used here by asynchronous calls only: a synchronous one would wait for an engine that
 * this thread could not start.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ToData, ToMain } from '../../src/engine/messages.ts';
import { mountFuse, openFuseDevice } from '../../src/sys/mount.ts';
import { createSharedMemory } from '../../src/sys/shm.ts';

const ENGINE = fileURLToPath(new URL('./pass-through-engine.ts', import.meta.url));
const execute = promisify(execFile);

/** Runs a program, fails with what it printed, returns what it printed. */
export async function sh(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(command, args, { maxBuffer: 1 << 26 });
  return stdout.trim();
}

export class PassThroughRig {
  readonly pool: string;
  readonly mnt: string;
  readonly logged: Extract<ToMain, { kind: 'log' }>[] = [];
  private readonly fuseFd = openFuseDevice();
  private readonly shmFd = createSharedMemory('rig');
  private readonly loops: string[] = [];
  private readonly mounted: string[] = [];
  private child: ChildProcess | null = null;
  private lives = 0;
  private calls = 0;

  private constructor(base: string) {
    this.pool = mkdtempSync(path.join(base, 'flashcopy-rig-'));
    this.mnt = path.join(this.pool, 'mnt');
    mkdirSync(this.mnt);
    mkdirSync(path.join(this.pool, 'volumes'));
    mountFuse(this.fuseFd, this.mnt, 'rig');
  }

  static async start(base = os.tmpdir()): Promise<PassThroughRig> {
    const rig = new PassThroughRig(base);
    await rig.startEngine();
    return rig;
  }

  get pid(): number {
    return this.child!.pid!;
  }

  async startEngine(): Promise<void> {
    const survived = String(this.lives++ > 0);
    const child = spawn(process.execPath, [ENGINE, this.pool, survived], {
      stdio: ['ignore', 'inherit', 'inherit', this.fuseFd, this.shmFd, 'ipc'],
    });
    this.child = child;
    child.on('message', (message: ToMain) => message.kind === 'log' && this.logged.push(message));
    await this.told(child, (message) => message.kind === 'ready');
  }

  async kill(): Promise<void> {
    const child = this.child!;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async call(method: string, ...args: unknown[]): Promise<unknown> {
    const id = ++this.calls;
    const answer = this.told(
      this.child!,
      (message) => 'id' in message && message.kind !== 'commit' && message.id === id,
    );
    this.send({ kind: 'call', id, method, args });
    const message = await answer;
    if (message.kind === 'failed') throw Object.assign(new Error(message.message), { code: message.code });
    return message.kind === 'answer' ? message.result : undefined;
  }

  /** A call, and stop right behind it. */
  send(message: ToData): void {
    this.child!.send(message);
  }

  async stop(): Promise<void> {
    const child = this.child!;
    const stopped = this.told(child, (message) => message.kind === 'stopped');
    const exit = once(child, 'exit');
    this.send({ kind: 'stop' });
    await stopped;
    await exit;
  }

  file(id: number): string {
    return path.join(this.mnt, String(id));
  }

  dataFile(id: number): string {
    return path.join(this.pool, 'volumes', `${id}.data`);
  }

  async attach(id: number): Promise<string> {
    const device = await sh(
      'losetup',
      '--find',
      '--show',
      '--direct-io=on',
      '--sector-size=4096',
      this.file(id),
    );
    this.loops.push(device);
    return device;
  }

  async mount(device: string): Promise<string> {
    const dir = path.join(this.pool, `fs${this.mounted.length}`);
    mkdirSync(dir);
    await sh('mount', device, dir);
    this.mounted.push(dir);
    return dir;
  }

  async unmount(dir: string): Promise<void> {
    this.mounted.splice(this.mounted.indexOf(dir), 1);
    await sh('umount', dir);
  }

  async end(): Promise<void> {
    for (const dir of this.mounted) await sh('umount', dir);
    for (const loop of this.loops) {
      await sh('losetup', '--detach', loop);
      while (existsSync(`/sys/block/${path.basename(loop)}/loop/backing_file`)) await sleep(20);
    }
    if (this.child?.exitCode === null && this.child.signalCode === null) await this.kill();
    // With nobody left to answer, the kernel ends the connection, and unmounting waits for nothing.
    closeSync(this.fuseFd);
    closeSync(this.shmFd);
    await sh('umount', this.mnt);
    rmSync(this.pool, { recursive: true });
  }

  private told(child: ChildProcess, wanted: (message: ToMain) => boolean): Promise<ToMain> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('the engine ended'));
      const onMessage = (message: ToMain): void => {
        if (!wanted(message)) return;
        child.off('message', onMessage).off('exit', onExit);
        resolve(message);
      };
      child.on('message', onMessage).once('exit', onExit);
    });
  }
}
