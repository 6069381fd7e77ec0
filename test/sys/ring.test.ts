/** The ring against real files: every submission ends once, with what the system call would have returned. */
import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createEventFd, ring as wake } from '../../src/sys/bell.ts';
import { mapPrivate } from '../../src/sys/libc.ts';
import { Ring, TIMED_OUT, type Token } from '../../src/sys/ring.ts';

const ECANCELED = 125;
const EBADF = 9;

describe('The ring', () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'flashcopy-ring-'));
  const file = path.join(dir, 'file');
  const memory = mapPrivate(1 << 20);
  const bytes = Buffer.from(memory.buffer);
  let ring: Ring;
  let fd: number;
  let results: number[];

  beforeEach(() => {
    ring = new Ring();
    results = [];
    writeFileSync(file, 'the content of a file');
    fd = openSync(file, 'r+');
  });
  afterEach(() => {
    ring.close();
    closeSync(fd);
  });
  after(() => rmSync(dir, { recursive: true }));

  const token = (): Token => ring.adopt({ complete: (result) => results.push(result) });
  const until = (count: number): number[] => {
    while (results.length < count) {
      ring.enter();
      ring.dispatch();
    }
    return results;
  };

  it('reads and writes at an offset', () => {
    bytes.write('CONTENT');
    ring.write(fd, memory.address, 7, 4, token());
    assert.deepEqual(until(1), [7]);
    ring.read(fd, memory.address + 4096, 100, 4, token());
    assert.deepEqual(until(2), [7, 17]);
    assert.equal(bytes.toString('latin1', 4096, 4096 + 17), 'CONTENT of a file');
  });

  it('gathers what it writes, beyond 4 GiB too', () => {
    const at = 5 * 2 ** 32 + 12345;
    bytes.write('xxabcxxxdexx');
    ring.writev(fd, [memory.address + 2, 3, memory.address + 8, 2], at, token());
    assert.deepEqual(until(1), [5]);
    assert.equal(fstatSync(fd).size, at + 5);
    ring.read(fd, memory.address, 5, at, token());
    until(2);
    assert.equal(bytes.toString('latin1', 0, 5), 'abcde');
  });

  it('allocates, punches holes, flushes and removes', () => {
    ring.fallocate(fd, 0, 0, 1 << 20, token());
    assert.deepEqual(until(1), [0]);
    assert.ok(fstatSync(fd).blocks * 512 >= 1 << 20);
    ring.fallocate(fd, 3, 0, 1 << 20, token());
    ring.fsync(fd, token());
    ring.fdatasync(fd, token());
    assert.deepEqual(until(4), [0, 0, 0, 0]);
    assert.equal(fstatSync(fd).blocks, 0);
    ring.unlink(file, token());
    ring.unlink(path.join(dir, 'absent'), token());
    assert.deepEqual(until(6).slice(4).sort(), [-2, 0]);
    assert.ok(!existsSync(file));
  });

  it('tells a failure as -errno', () => {
    ring.read(9999, memory.address, 1, 0, token());
    assert.deepEqual(until(1), [-EBADF]);
  });

  it('takes more submissions than it has places, and ends each once', () => {
    const count = 5000;
    const ends = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      bytes[i] = i;
      const once = ring.adopt({
        complete: (result) => {
          ends[i]!++;
          results.push(result);
        },
      });
      if (i % 2 === 0) ring.write(fd, memory.address + i, 1, i, once);
      else ring.writev(fd, [memory.address + i, 1], i, once);
    }
    until(count);
    assert.ok(ends.every((n) => n === 1));
    assert.ok(results.every((result) => result === 1));
    assert.ok(readFileSync(file).subarray(0, count).equals(bytes.subarray(0, count)));
  });

  it('sleeps, and can be told to end early', () => {
    const start = performance.now();
    const long = token();
    ring.timeout(60_000, long);
    ring.timeout(30, token());
    assert.deepEqual(until(1), [TIMED_OUT]);
    assert.ok(performance.now() - start >= 29);
    const counter = createEventFd();
    const waiting = token();
    ring.read(counter, memory.address, 8, 0, waiting);
    ring.cancel(waiting, token());
    assert.deepEqual(until(3).slice(1).sort(), [-ECANCELED, 0]);
    closeSync(counter);
  });

  it('is woken by a counter that is written elsewhere', () => {
    const counter = createEventFd();
    ring.read(counter, memory.address, 8, 0, token());
    wake(counter);
    wake(counter);
    assert.deepEqual(until(1), [8]);
    assert.ok([1n, 2n].includes(bytes.readBigUInt64LE()));
    closeSync(counter);
  });

  it('says nothing of a quiet write that went well', () => {
    // A counter, not a file: the kernel may hand a write to a file over to a thread, and then it ends when it ends.
    const counter = createEventFd();
    bytes.writeBigUInt64LE(5n);
    ring.writeQuietly(counter, memory.address, 8, token());
    ring.writeQuietly(9999, memory.address, 5, token());
    assert.deepEqual(until(1), [-EBADF]);
    bytes.writeBigUInt64LE(0n);
    ring.read(counter, memory.address, 8, 0, token());
    assert.deepEqual(until(2), [-EBADF, 8]);
    assert.equal(bytes.readBigUInt64LE(), 5n);
    closeSync(counter);
  });
});
