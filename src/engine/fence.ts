/**
 * Waits until everything that a dead process was writing to a file has come to it.
 *
 * A write that the kernel has accepted is carried out though its process is killed, and a bad disk may take seconds for it.
 * It must not land on a newer one that was flushed since (B2, B5). So whoever opens a file passes here first, whatever is
 * to be done with it: nothing is read from it, written to it or flushed before it has all that was under way. At every start,
 * because none can know how the last engine ended: it may have been killed with its supervisor.
 *
 * At the first opening is early enough, because nothing can be overtaken in a file that nobody uses, and it costs a start
 * nothing: a file takes some 20 microseconds.
 *
 * What needs no fence:
 *   bitmaps        are written before the commit that names them, and never again; one that was begun is made anew
 *   created files  are nobody else's; writes to a removed one go where it was, and its space is free when they have ended
 *   the catalog    and all else that does not go past the page cache: such calls end before their process does
 *   other calls    flushes, allocations, holes, removals: a process is gone, for who waits for it and for who waits for
 *                  the pool's lock, when the kernel's threads that carry them out are
 *
 * What the kernel lets wait for direct I/O: taking space away, or giving it. Setting a file's size to what it is waits on XFS
 * and btrfs, not on ext4. So
 *   a data file is made a byte longer, and that byte shorter again. Who dies in between leaves a file that is longer than its
 *   volume, which is no damage; when it grows, space is allocated from that byte's block on.
 *   the log, whose size says how many slots it has, is given the space of its first block, which it has, and its own size.
 * Where one way is refused (there is no larger file; the filesystem does not allocate) the other is taken.
 */
import { fstatSync, ftruncateSync } from 'node:fs';
import { fallocate } from '../sys/libc.ts';

const BITMAPS = 'bitmaps/';
const LOG = 'log';
const KEEP_SIZE = 1;
const BLOCK = 4096;

export class Fence {
  /** Paths of files in which nobody else has anything under way. */
  private readonly passed = new Set<string>();

  /** Before the first use of an open file. Blocks as long as the disk takes for what is under way. */
  pass(fd: number, path: string): void {
    if (path.startsWith(BITMAPS) || this.passed.has(path)) return;
    const [way, otherWay] = path === LOG ? [allocateFirst, growAndBack] : [growAndBack, allocateFirst];
    const { size } = fstatSync(fd);
    try {
      way(fd, size, path);
    } catch {
      otherWay(fd, size, path);
    }
    this.passed.add(path);
  }

  created(path: string): void {
    if (!path.startsWith(BITMAPS)) this.passed.add(path);
  }

  removed(path: string): void {
    this.passed.delete(path);
  }
}

function growAndBack(fd: number, size: number): void {
  ftruncateSync(fd, size + 1);
  ftruncateSync(fd, size);
}

function allocateFirst(fd: number, size: number, path: string): void {
  fallocate(fd, KEEP_SIZE, 0, BLOCK, path);
  ftruncateSync(fd, size);
}
