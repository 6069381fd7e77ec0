/** The pool of I/O memory: alignment, reuse, and that a burst's memory goes back. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { MemoryPool } from '../../src/engine/memory-pool.ts';

const MIB = 1 << 20;

const residentBytes = (): number => Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096;

describe('The memory pool', () => {
  it('gives blocks that are large enough and begin on a page, also for the kernel', () => {
    const pool = new MemoryPool();
    for (const bytes of [4096, 8192, 12288, 65536, 69632, MIB, MIB + 4096, 2 * MIB, 16 * MIB]) {
      const block = pool.take(bytes);
      assert.ok(block.bytes.length >= bytes && block.bytes.length < 2 * bytes, `${bytes}`);
      assert.equal(block.address % 4096, 0);
    }
  });

  it('gives a block to one at a time, and the one given back last first', () => {
    const pool = new MemoryPool();
    const blocks = Array.from({ length: 1000 }, () => pool.take(4096));
    for (const [i, block] of blocks.entries()) block.bytes.fill(i & 0xff);
    for (const [i, block] of blocks.entries()) assert.ok(block.bytes.every((byte) => byte === (i & 0xff)));
    assert.equal(new Set(blocks.map((block) => block.address)).size, 1000);
    pool.give(blocks[17]!);
    assert.equal(pool.take(4096), blocks[17]);
  });

  it('refuses a block that was given back before, or is not its own', () => {
    const pool = new MemoryPool();
    const block = pool.take(4096);
    pool.give(block);
    assert.throws(() => pool.give(block), /given back once/);
    assert.throws(() => pool.give({ bytes: new Uint8Array(4096), address: 0 }), /given back once/);
    assert.throws(() => pool.take(17 * MIB), /a block of/);
  });

  it('keeps no more than 64 MiB of what a burst needed', () => {
    const pool = new MemoryPool();
    const before = residentBytes();
    for (let burst = 0; burst < 3; burst++) {
      const blocks = Array.from({ length: 128 }, () => pool.take(2 * MIB));
      for (const block of blocks) block.bytes.fill(1);
      // Of 256; what the process has given back meanwhile of other things counts against it.
      assert.ok(residentBytes() - before >= 128 * MIB);
      for (const block of blocks) pool.give(block);
      assert.ok(residentBytes() - before <= 96 * MIB, `${(residentBytes() - before) / MIB} MiB`);
    }
  });
});
