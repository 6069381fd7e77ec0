/**
 * An engine without devices: the core, the catalog and io_uring on the real files of a pool, in this thread. For tests
 * that open a pool a thousand times, and that look at what a volume holds and not at how the host reaches it.
 *
 * Each opening is one after a power loss: nothing but the files is left of the engine before.
 */
import fs from 'node:fs';
import path from 'node:path';
import { EIO } from '../../src/base/errors.ts';
import { Core, type HostVolume } from '../../src/core/core.ts';
import { type IoOp, type Plan, Runner } from '../../src/core/ops.ts';
import { LOG_BYTES_MIN } from '../../src/core/undo-log.ts';
import { Catalog } from '../../src/engine/catalog.ts';
import { errnoOf } from '../../src/engine/file-table.ts';
import { MemoryPool } from '../../src/engine/memory-pool.ts';
import { MIGRATIONS } from '../../src/engine/migrations.ts';
import { lostLog } from '../../src/engine/pool.ts';
import { readPool } from '../../src/engine/pool-content.ts';
import { RingDriver } from '../../src/engine/ring-driver.ts';
import { Ring } from '../../src/sys/ring.ts';

/** Pages of bitmaps for pools of some MiB. */
const WORDS = 1024 * 1024;
const memory = new MemoryPool();
const words = new Uint32Array(WORDS);

export class PoolOnFiles {
  readonly dir: string;
  readonly core: Core;
  readonly catalog: Catalog;
  /** Bytes of a file that its disk cannot read any more. */
  unreadable: { file: string; offset: number; length: number } | null = null;
  /** Errors and warnings that the core has logged. */
  readonly told: string[] = [];
  readonly #ring = new Ring();
  readonly #driver: RingDriver;
  readonly #runner: Runner;

  /** Makes the pool where there is none. */
  static open(dir: string, migrations = MIGRATIONS): PoolOnFiles {
    for (const name of ['volumes', 'bitmaps']) fs.mkdirSync(path.join(dir, name), { recursive: true });
    if (!fs.existsSync(path.join(dir, 'catalog.db')) && !fs.existsSync(path.join(dir, 'log')))
      fs.writeFileSync(path.join(dir, 'log'), Buffer.alloc(LOG_BYTES_MIN));
    if (!fs.existsSync(path.join(dir, 'log'))) throw lostLog(path.join(dir, 'log'));
    const pool = new PoolOnFiles(dir, Catalog.open(dir, migrations));
    try {
      const { migrates } = pool.catalog;
      pool.run(pool.core.open({ ...readPool(dir, pool.catalog), migrates, shmSurvived: false }));
      return pool;
    } catch (error) {
      pool.abandon();
      throw error;
    }
  }

  private constructor(dir: string, catalog: Catalog) {
    this.dir = dir;
    this.catalog = catalog;
    this.#driver = new RingDriver(this.#ring, {
      poolDir: dir,
      commit: (io) => {
        let result = 0;
        try {
          catalog.commit(io.changes!);
        } catch (error) {
          result = -errnoOf(error);
        }
        this.#runner.complete(io, result);
      },
    });
    this.#runner = new Runner({ submit: (io) => this.#submit(io) });
    this.#driver.runner = this.#runner;
    this.core = new Core({
      runner: this.#runner,
      memory,
      space: { freeBytes: () => 2 ** 40, giveReserve: () => false, discards: true },
      clock: { now: () => Date.now(), micros: () => Math.floor(performance.now() * 1000) },
      listener: {
        mappingChanged: () => undefined,
        log: (level, message, fields) => {
          if (level !== 'info') this.told.push(`${message} ${JSON.stringify(fields)}`);
        },
      },
      words,
      logBytes: fs.statSync(path.join(dir, 'log')).size,
    });
  }

  #submit(io: IoOp): void {
    const bad = this.unreadable;
    const meets =
      bad !== null &&
      io.file?.path === bad.file &&
      io.offset < bad.offset + bad.length &&
      bad.offset < io.offset + io.length;
    if (io.kind === 'read' && meets) this.#runner.complete(io, -EIO);
    else this.#driver.submit(io);
  }

  /** Begins the plan: `run` carries it, beside what is run. */
  spawn<T>(plan: Plan<T>, done: (error: unknown, result: T) => void): void {
    this.#runner.spawn(plan, done);
  }

  /** Carries the plan, and what goes on beside it, until the plan has ended. */
  run<T>(plan: Plan<T>): T {
    let ended: { error: unknown; result: T } | undefined;
    this.#runner.spawn(plan, (error, result) => {
      ended = { error, result };
    });
    for (;;) {
      this.#runner.pump();
      if (ended !== undefined) break;
      this.#ring.enter();
      this.#ring.dispatch();
    }
    if (ended.error !== null) throw ended.error;
    return ended.result;
  }

  volume(name: string): HostVolume {
    const volume = this.core.volumeByName(name);
    if (volume === undefined) throw new Error(`the pool has no volume ${name}`);
    return volume;
  }

  write(name: string, offset: number, bytes: Uint8Array): void {
    const block = memory.take(bytes.length);
    try {
      block.bytes.set(bytes);
      this.run(this.core.write(this.volume(name), offset, bytes.length, block, 0));
    } finally {
      memory.give(block);
    }
  }

  read(name: string, offset: number, length: number): Buffer {
    const block = memory.take(length);
    try {
      this.run(this.core.read(this.volume(name), offset, length, block, 0));
      return Buffer.from(block.bytes.subarray(0, length));
    } finally {
      memory.give(block);
    }
  }

  flush(name: string): void {
    this.run(this.core.flush(this.volume(name)));
  }

  close(): void {
    this.run(this.core.close());
    this.abandon();
  }

  /** Ends without closing. What is on the disk stays, but for the catalog's WAL, which SQLite brings home. */
  abandon(): void {
    this.#driver.close();
    this.#ring.close();
    this.catalog.close();
  }
}
