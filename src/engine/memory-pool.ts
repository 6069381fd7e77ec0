/**
 * Memory for I/O: 4096-aligned blocks of the powers of two from 4 KiB to 16 MiB, taken and given back, never freed.
 *
 * Address space is taken in slabs and kept; memory is taken by touching it. Of blocks that are not in use, at most
 * WARM_BYTES_MAX keep their pages: what a burst needed beyond that goes back to the kernel as it is given back.
 * Belongs to one thread.
 */
import { assert } from '../base/errors.ts';
import type { Block } from '../core/ops.ts';
import type { Memory } from '../core/ports.ts';
import { dropPages, type Mapped, mapPrivate } from '../sys/libc.ts';

const SMALLEST = 4096;
const LARGEST = 16 * 1024 * 1024;
const SLAB_BYTES = 64 * 1024 * 1024;
const WARM_BYTES_MAX = 64 * 1024 * 1024;

class PoolBlock implements Block {
  readonly bytes: Uint8Array;
  readonly address: number;
  readonly size: SizeClass;
  inUse = true;
  constructor(bytes: Uint8Array, address: number, size: SizeClass) {
    this.bytes = bytes;
    this.address = address;
    this.size = size;
  }
}

/** Blocks of one size that are not in use: with pages, and without. */
type SizeClass = { readonly bytes: number; readonly warm: PoolBlock[]; readonly cold: PoolBlock[] };

export class MemoryPool implements Memory {
  private readonly classes: SizeClass[] = [];
  private warmBytes = 0;
  private slab: Mapped | null = null;
  private slabUsed = 0;

  constructor() {
    for (let bytes = SMALLEST; bytes <= LARGEST; bytes *= 2) this.classes.push({ bytes, warm: [], cold: [] });
  }

  take(bytes: number): Block {
    assert(bytes > 0 && bytes <= LARGEST, `a block of ${bytes} bytes`);
    const size = this.classes[bytes <= SMALLEST ? 0 : 20 - Math.clz32(bytes - 1)]!;
    let block = size.warm.pop();
    if (block !== undefined) this.warmBytes -= size.bytes;
    else block = size.cold.pop() ?? this.carve(size);
    block.inUse = true;
    return block;
  }

  give(block: Block): void {
    assert(block instanceof PoolBlock && block.inUse, 'a block is given back once, to the pool it came from');
    block.inUse = false;
    const size = block.size;
    if (this.warmBytes + size.bytes <= WARM_BYTES_MAX) {
      this.warmBytes += size.bytes;
      size.warm.push(block);
    } else {
      dropPages(block.address, size.bytes);
      size.cold.push(block);
    }
  }

  private carve(size: SizeClass): PoolBlock {
    // What is left of a slab that is too short is given up: address space, not memory.
    if (this.slab === null || this.slabUsed + size.bytes > SLAB_BYTES) {
      this.slab = mapPrivate(SLAB_BYTES);
      this.slabUsed = 0;
    }
    const at = this.slabUsed;
    this.slabUsed += size.bytes;
    return new PoolBlock(new Uint8Array(this.slab.buffer, at, size.bytes), this.slab.address + at, size);
  }
}
