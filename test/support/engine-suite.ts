/**
 * For test suites on real devices: an engine on a fresh pool for the whole suite, and nothing left after it.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { ErrorCode } from '../../src/base/errors.ts';
import type { VolumeInfo } from '../../src/base/model.ts';
import { Cleanup } from './cleanup.ts';
import { GiB, temporaryDirectory } from './disks.ts';
import { Standalone, type Surroundings, untilCopied } from './standalone.ts';

export class EngineSuite {
  /** The pool is checked whenever its engine has stopped. */
  sound = false;
  /** Undone after the suite. */
  readonly cleanup: Cleanup;
  #standalone: Standalone | undefined;
  #directory = '';

  constructor(cleanup = new Cleanup()) {
    this.cleanup = cleanup;
  }

  /** A directory for whatever the tests need beside the pool. */
  get directory(): string {
    return this.#directory;
  }

  get standalone(): Standalone {
    if (!this.#standalone) throw new Error('the engine of this suite did not start');
    return this.#standalone;
  }

  get engine() {
    return this.standalone.engine;
  }

  /** The end of what the engine has logged. */
  get log(): string {
    return this.#standalone?.output ?? '';
  }

  begin(): void {
    this.#directory = temporaryDirectory(this.cleanup, 4 * GiB);
  }

  async start(
    pool = path.join(this.#directory, 'pool'),
    more: string[] = [],
    role = 'standalone',
    surroundings: Surroundings = {},
  ): Promise<Standalone> {
    this.#standalone = await Standalone.start(this.cleanup, pool, more, role, surroundings);
    this.#standalone.sound = this.sound;
    return this.#standalone;
  }

  /** A new volume, attached: its device. */
  async volume(name: string, sizeBytes: number): Promise<string> {
    await this.engine.createVolume({ name, sizeBytes });
    return this.engine.attachVolume(name);
  }

  /** A new incremental mapping of a new target, started and completely copied: the target's device. */
  async copy(mapping: string, source: string, target: string): Promise<string> {
    const { sizeBytes } = await this.engine.getVolume(source);
    await this.engine.createVolume({ name: target, sizeBytes });
    await this.engine.createMapping({ name: mapping, source, target, copyRate: 150, incremental: true });
    await this.engine.startMappings([mapping]);
    await untilCopied(this.engine, mapping);
    return this.engine.attachVolume(target);
  }

  async snapshot(source: string, name: string): Promise<VolumeInfo> {
    const [snapshot] = await this.engine.createSnapshots([{ name, source }]);
    return snapshot!;
  }

  /**
   * Where the engine serves a volume, below its device. Attaching some hundred snapshots one after the other takes the
   * kernel its time; for reading what a snapshot holds this file is as good.
   */
  async servedFile(name: string): Promise<string> {
    const { id } = await this.engine.getVolume(name);
    const [mount] = readdirSync(this.standalone.runDirectory).filter((entry) => entry.startsWith('mnt-'));
    return path.join(this.standalone.runDirectory, mount!, `${id}`);
  }

  /** Runs an engine on the suite's pool for as long as it is used. */
  async whileStarted<T>(use: () => Promise<T>): Promise<T> {
    const standalone = await this.start();
    try {
      return await use();
    } finally {
      await standalone.stop();
    }
  }

  /** Attaches for as long as it is used. */
  async whileAttached<T>(name: string, use: (device: string) => Promise<T>): Promise<T> {
    const device = await this.engine.attachVolume(name);
    try {
      return await use(device);
    } finally {
      await this.engine.detachVolume(name);
    }
  }
}

const endings = ['SIGTERM', 'SIGHUP'] as const;

/** Call it in a `describe`. The engine runs from before its first test until after its last. */
export function engineSuite({
  started = true,
  sound = false,
}: {
  started?: boolean;
  sound?: boolean;
} = {}): EngineSuite {
  const suite = new EngineSuite();
  suite.sound = sound;
  // Mocha runs its `after` on a SIGINT, and nothing on these.
  const ended = (): void => {
    suite.cleanup.all().finally(() => process.exit(1));
  };
  before(async () => {
    for (const signal of endings) process.on(signal, ended);
    suite.begin();
    if (started) await suite.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(suite.log);
  });
  after(async () => {
    for (const signal of endings) process.off(signal, ended);
    await suite.cleanup.all();
  });
  return suite;
}

/** The promise fails with this code, and with a message. The answer is the message. */
export async function refused(code: ErrorCode, promise: Promise<unknown>): Promise<string> {
  let message = '';
  await assert.rejects(promise, (error: Error & { code?: string }) => {
    assert.equal(error.code, code, `${error.code ?? error.name}: ${error.message}`);
    message = error.message;
    return message.length > 20;
  });
  return message;
}
