/** The driver against real files: what each kind of IoOp promises (core/ops.ts). */
import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ENOSPC, IoError } from '../../src/base/errors.ts';
import { type IoOp, op, type Plan, PoolFile, Runner, type Step } from '../../src/core/ops.ts';
import { MemoryPool } from '../../src/engine/memory-pool.ts';
import { RingDriver } from '../../src/engine/ring-driver.ts';
import { type Completion, Ring, type Token } from '../../src/sys/ring.ts';

const PAGE = 4096;
const MIB = 1 << 20;

/** A ring under which the disk is full once, for the next write or flush when it is told so. */
class FullRing extends Ring {
  #full: { kind: string; calls: number } | null = null;
  readonly #failing = new Set<Token>();

  fullOnce(kind: 'write' | 'flush'): { calls: number } {
    this.#full = { kind, calls: 0 };
    return this.#full;
  }

  override adopt(completion: Completion): Token {
    const token: Token = super.adopt({
      complete: (result) => completion.complete(this.#failing.delete(token) ? -ENOSPC : result),
    });
    return token;
  }

  override write(fd: number, address: number, length: number, offset: number, token: Token): void {
    this.#note('write', token);
    super.write(fd, address, length, offset, token);
  }

  override fdatasync(fd: number, token: Token): void {
    this.#note('flush', token);
    super.fdatasync(fd, token);
  }

  #note(kind: string, token: Token): void {
    if (this.#full?.kind === kind && this.#full.calls++ === 0) this.#failing.add(token);
  }
}

/** What a descriptor of this process is; one that was closed meanwhile is nothing. */
function linkOf(fd: string): string {
  const link = `/proc/self/fd/${fd}`;
  return lstatSync(link, { throwIfNoEntry: false }) ? readlinkSync(link) : '';
}

describe('The ring driver', () => {
  const memory = new MemoryPool();
  let dir = '';
  let ring: FullRing;
  let driver: RingDriver;
  let runner: Runner;
  let commits: IoOp[];

  const make = (options: { openMax?: number } = {}): void => {
    ring = new FullRing();
    commits = [];
    driver = new RingDriver(ring, {
      poolDir: dir,
      openMax: options.openMax ?? 4096,
      commit: (io) => commits.push(io),
    });
    runner = new Runner(driver);
    driver.runner = runner;
  };
  const makeIn = (base: string): void => {
    if (dir !== '') end();
    dir = mkdtempSync(path.join(base, 'flashcopy-driver-'));
    mkdirSync(path.join(dir, 'volumes'));
    make();
  };
  const end = (): void => {
    driver.close();
    ring.close();
    rmSync(dir, { recursive: true });
    dir = '';
  };
  beforeEach(() => makeIn(os.tmpdir()));
  afterEach(end);

  const run = <T>(plan: Plan<T>): T => {
    let ended: { error: unknown; result: T } | undefined;
    runner.spawn(plan, (error, result) => {
      ended = { error, result };
    });
    for (;;) {
      runner.pump();
      if (ended !== undefined) break;
      ring.enter();
      ring.dispatch();
    }
    if (ended.error !== null) throw ended.error;
    return ended.result;
  };
  const doIt = (step: Step): number =>
    run(
      (function* (): Plan<number> {
        return yield step;
      })(),
    );
  const named = (name: string): PoolFile => new PoolFile(`volumes/${name}`);
  const at = (file: PoolFile): string => path.join(dir, file.path);

  it('creates files of a size, thick ones with all their space, in place of old ones', () => {
    const file = named('a');
    doIt(op.create(file, 8 * MIB));
    assert.equal(statSync(at(file)).size, 8 * MIB);
    assert.equal(statSync(at(file)).blocks, 0);
    const old = openSync(at(file), 'r');
    doIt(op.create(file, 4 * MIB, true));
    assert.ok(statSync(at(file)).blocks * 512 >= 4 * MIB);
    assert.equal(statSync(at(file)).size, 4 * MIB);
    // Another file, not the old one truncated.
    assert.equal(fstatSync(old).nlink, 0);
    closeSync(old);
  });

  it('grows files; the new part of a thick one has its space, the old part keeps its holes', () => {
    const file = named('a');
    doIt(op.create(file, 4 * MIB));
    doIt(op.resize(file, 8 * MIB));
    assert.equal(statSync(at(file)).blocks, 0);
    doIt(op.resize(file, 12 * MIB, true));
    assert.equal(statSync(at(file)).size, 12 * MIB);
    const allocated = statSync(at(file)).blocks * 512;
    assert.ok(allocated >= 4 * MIB && allocated < 8 * MIB);
  });

  it('tells that there is no space for a thick file, and leaves nothing', () => {
    // In memory the kernel refuses at once. A disk would first be filled to the brim.
    makeIn('/dev/shm');
    const file = named('huge');
    assert.throws(() => doIt(op.create(file, 8 * 2 ** 40, true)), { code: 'OutOfSpace' });
    assert.deepEqual(readdirSync(path.join(dir, 'volumes')), []);
    assert.equal(file.fd, -1);
  });

  it('removes files, also absent ones', () => {
    const file = named('a');
    doIt(op.create(file, MIB));
    doIt(op.remove(file));
    assert.ok(!existsSync(at(file)));
    doIt(op.remove(file));
    assert.equal(file.fd, -1);
  });

  it('frees the space of a removed file: nothing of it stays open, whatever had it open', () => {
    const openAndRemoved = (): string[] =>
      readdirSync('/proc/self/fd').filter((fd) => {
        const target = linkOf(fd);
        return target.startsWith(dir) && target.endsWith('(deleted)');
      });
    const [first, second, third] = [named('a'), named('a'), named('a')];
    const block = memory.take(MIB);
    doIt(op.create(first, MIB));
    doIt(op.read(second, 0, MIB, block));
    doIt(op.remove(third));
    assert.deepEqual([first.fd, second.fd, openAndRemoved()], [-1, -1, []]);
    // Also while it is written: it goes when that has ended.
    doIt(op.create(first, MIB));
    doIt([op.write(first, 0, MIB, block), op.read(second, 0, PAGE, block), op.remove(third)]);
    assert.deepEqual([first.fd, second.fd, openAndRemoved()], [-1, -1, []]);
    assert.ok(!existsSync(at(first)));
  });

  it('reads past the end as zeros', () => {
    const file = named('a');
    doIt(op.create(file, 2 * PAGE));
    const block = memory.take(8 * PAGE);
    block.bytes.fill(7);
    doIt(op.write(file, 0, 2 * PAGE, block));
    assert.equal(doIt(op.read(file, PAGE, 4 * PAGE, block, PAGE)), 4 * PAGE);
    assert.ok(block.bytes.subarray(0, 2 * PAGE).every((byte) => byte === 7));
    assert.ok(block.bytes.subarray(2 * PAGE, 5 * PAGE).every((byte) => byte === 0));
    assert.ok(block.bytes.subarray(5 * PAGE, 8 * PAGE).every((byte) => byte === 7));
    // A size that is no multiple of a page, as a torn file may have.
    writeFileSync(at(named('torn')), Buffer.alloc(PAGE + 100, 5));
    assert.equal(doIt(op.read(named('torn'), 0, 2 * PAGE, block)), 2 * PAGE);
    assert.equal(block.bytes.subarray(0, 2 * PAGE).lastIndexOf(5), PAGE + 99);
  });

  it('gathers slices, more of them than one call takes', () => {
    const file = named('a');
    doIt(op.create(file, 0));
    const count = 2500;
    const block = memory.take(2 * MIB);
    const expected = Buffer.alloc(count * PAGE);
    const slices = Array.from({ length: count }, (_, i) => {
      // Every second page of the block, in a changing order, so that neighbours do not merge.
      const start = ((i * 2 + (i % 3)) % (block.bytes.length / PAGE)) * PAGE;
      block.bytes.fill(start / PAGE, start, start + PAGE);
      return { block, start, length: PAGE };
    });
    for (const [i, { start }] of slices.entries()) expected.fill(start / PAGE, i * PAGE, (i + 1) * PAGE);
    assert.equal(doIt(op.writev(file, 0, slices)), count * PAGE);
    assert.ok(readFileSync(at(file)).equals(expected));
  });

  it('punches holes and tells data from holes', () => {
    const file = named('a');
    doIt(op.create(file, 16 * MIB));
    const block = memory.take(MIB);
    doIt([op.write(file, 2 * MIB, MIB, block), op.write(file, 5 * MIB, MIB, block)]);
    doIt(op.punch(file, 5 * MIB + 64 * PAGE, 64 * PAGE));
    const ask = op.extents(file, 2 * MIB + PAGE, 20 * MIB);
    assert.equal(doIt(ask), 6);
    assert.deepEqual(ask.runs, [
      { offset: 2 * MIB + PAGE, length: MIB - PAGE, hole: false },
      { offset: 3 * MIB, length: 2 * MIB, hole: true },
      { offset: 5 * MIB, length: 64 * PAGE, hole: false },
      { offset: 5 * MIB + 64 * PAGE, length: 64 * PAGE, hole: true },
      { offset: 5 * MIB + 128 * PAGE, length: 128 * PAGE, hole: false },
      { offset: 6 * MIB, length: 16 * MIB + PAGE, hole: true },
    ]);
  });

  it('tells at most 64 runs at a time, without a gap', () => {
    const file = named('a');
    doIt(op.create(file, 16 * MIB));
    const block = memory.take(PAGE);
    doIt(Array.from({ length: 200 }, (_, i) => op.write(file, i * 16 * PAGE, PAGE, block)));
    let next = 0;
    while (next < 16 * MIB) {
      const ask = op.extents(file, next, 16 * MIB - next);
      const count = doIt(ask);
      assert.ok(count >= 1 && count <= 64);
      for (const { offset, length } of ask.runs!) {
        assert.equal(offset, next);
        next += length;
      }
    }
    assert.equal(next, 16 * MIB);
  });

  it('keeps no more files open than it may, and none of them closed under I/O', () => {
    driver.close();
    ring.close();
    make({ openMax: 8 });
    const files = Array.from({ length: 100 }, (_, i) => named(`f${i}`));
    const block = memory.take(PAGE);
    const openFiles = (): number => files.filter(({ fd }) => fd >= 0).length;
    for (const file of files) doIt(op.create(file, PAGE));
    assert.ok(openFiles() <= 8);
    doIt(files.map((file) => op.write(file, 0, PAGE, block)));
    for (const file of files) doIt(op.read(file, 0, PAGE, block));
    assert.ok(openFiles() <= 8);
    assert.ok(files.every(({ busy }) => busy === 0));
    doIt(files.map((file) => op.flush(file)));
  });

  // How it waits for what a former engine was writing: a byte more, and less again (fence.ts).
  it('opens files of any size, and leaves them as they are', () => {
    const block = memory.take(PAGE);
    // The last is the largest that ext4 has.
    for (const bytes of [0, PAGE, MIB, 2 ** 44 - PAGE]) {
      const file = named(`${bytes}`);
      writeFileSync(at(file), Buffer.alloc(Math.min(bytes, PAGE), 3));
      truncateSync(at(file), bytes);
      doIt(op.read(file, 0, PAGE, block));
      assert.ok(block.bytes.subarray(0, PAGE).every((byte) => byte === (bytes > 0 ? 3 : 0)));
      assert.equal(statSync(at(file)).size, bytes);
    }
  });

  it('grows a thick file that a death has left a byte longer: all of it has its space', () => {
    const file = named('a');
    doIt(op.create(file, MIB, true));
    truncateSync(at(file), MIB + 1);
    doIt(op.resize(file, 2 * MIB, true));
    assert.ok(statSync(at(file)).blocks * 512 >= 2 * MIB);
    assert.equal(statSync(at(file)).size, 2 * MIB);
  });

  it('sleeps, and hands commits to whoever makes them', () => {
    const start = performance.now();
    doIt(op.sleep(20));
    assert.ok(performance.now() - start >= 19);
    let ended = false;
    const commit = op.commit([{ table: 'volume', key: 1, row: {} }]);
    runner.spawn(
      (function* (): Plan<void> {
        yield commit;
      })(),
      () => {
        ended = true;
      },
    );
    runner.pump();
    assert.deepEqual(commits, [commit]);
    runner.complete(commit, 0);
    runner.pump();
    assert.ok(ended);
  });

  it('takes of the reserve for a write of a bitmap that has no space, and never repeats a failed flush', () => {
    mkdirSync(path.join(dir, 'bitmaps'));
    writeFileSync(path.join(dir, 'reserve'), Buffer.alloc(8 * MIB, 1));
    const reserveBytes = (): number => statSync(path.join(dir, 'reserve')).size;
    const file = new PoolFile('bitmaps/1.1');
    doIt(op.create(file, PAGE));
    const writes = ring.fullOnce('write');
    doIt(op.write(file, 0, PAGE, memory.take(PAGE)));
    assert.deepEqual([writes.calls, reserveBytes()], [2, 7 * MIB]);
    const flushes = ring.fullOnce('flush');
    assert.throws(() => doIt(op.flush(file)), { code: 'OutOfSpace' });
    assert.deepEqual([flushes.calls, reserveBytes()], [1, 7 * MIB]);
  });

  it('fails with the errno and the file', () => {
    const block = memory.take(PAGE);
    assert.throws(
      () => doIt(op.read(named('absent'), 0, PAGE, block)),
      (error) => error instanceof IoError && error.errno === 2 && error.message.includes('volumes/absent'),
    );
  });
});
