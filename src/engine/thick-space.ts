/**
 * Whether what a thick file is to have fits into the pool. It is asked before anything is taken: a filesystem that has too
 * little takes all of it, finds that out, and gives it back; meanwhile writes of thin neighbours would meet a full disk.
 *
 * So a thick file leaves something free, and what allocations under way have still to take counts as taken.
 */
import { fstatSync } from 'node:fs';
import { THICK_LEAVES_BYTES } from '../base/fullness.ts';
import { allocatedBytes } from '../sys/extents.ts';
import { freeBytes } from './space.ts';

type Allocation = { fd: number; allocatedAtEnd: number };

export class ThickSpace {
  private readonly poolDir: string;
  private readonly underWay = new Set<Allocation>();

  constructor(poolDir: string) {
    this.poolDir = poolDir;
  }

  /** The file, which stays open until `end`, is about to take so many bytes more. Null: they are not there. */
  begin(fd: number, bytes: number): Allocation | null {
    let free = freeBytes(this.poolDir) - THICK_LEAVES_BYTES;
    for (const other of this.underWay)
      free -= Math.max(0, other.allocatedAtEnd - allocatedBytes(fstatSync(other.fd)));
    if (bytes > free) return null;
    const allocation = { fd, allocatedAtEnd: allocatedBytes(fstatSync(fd)) + bytes };
    this.underWay.add(allocation);
    return allocation;
  }

  end(allocation: Allocation): void {
    this.underWay.delete(allocation);
  }
}
