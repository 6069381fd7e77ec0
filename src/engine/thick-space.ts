/**
 * Whether what a thick file is to have fits into the pool. It is asked before anything is taken: a filesystem that has too
 * little takes all of it, finds that out, and gives it back; meanwhile writes of thin neighbours would meet a full disk.
 *
 * So a thick file leaves something free, and what allocations under way have still to take counts as taken.
 */
import { fstatSync, statfsSync } from 'node:fs';
import { THICK_LEAVES_BYTES } from '../base/fullness.ts';

/** stat counts space in these, whatever the filesystem's blocks are. */
const BLOCK_BYTES = 512;

type Allocation = { fd: number; allocatedAtEnd: number };

export class ThickSpace {
  private readonly poolDir: string;
  private readonly underWay = new Set<Allocation>();

  constructor(poolDir: string) {
    this.poolDir = poolDir;
  }

  /** The file, which stays open until `end`, is about to take so many bytes more. Null: they are not there. */
  begin(fd: number, bytes: number): Allocation | null {
    const { bavail, bsize } = statfsSync(this.poolDir);
    let free = bavail * bsize - THICK_LEAVES_BYTES;
    for (const other of this.underWay) free -= Math.max(0, other.allocatedAtEnd - allocatedBytes(other.fd));
    if (bytes > free) return null;
    const allocation = { fd, allocatedAtEnd: allocatedBytes(fd) + bytes };
    this.underWay.add(allocation);
    return allocation;
  }

  end(allocation: Allocation): void {
    this.underWay.delete(allocation);
  }
}

const allocatedBytes = (fd: number): number => fstatSync(fd).blocks * BLOCK_BYTES;
