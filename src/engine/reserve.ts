/**
 * A file of zeros in the pool whose space is given up, piece by piece, for what must succeed when there is no other.
 *
 * A full pool must still be able to commit, because deleting a volume is a commit, and so is breaking a snapshot that has
 * no room left; to write bitmaps, because the undo log is not cut without them, and host writes would wait for that for
 * ever; and to move what others read out of a deleted volume. Whoever of these meets ENOSPC gives a piece back to the
 * filesystem and tries again. In pieces, because others, who fill the pool, may be faster and take it. The reserve is
 * made anew when the pool has several times its size free, so that it never takes the last space.
 *
 * Used by the main and the data thread: each call is complete in itself.
 */
import fs from 'node:fs';
import path from 'node:path';
import { allocatedBytes } from '../sys/extents.ts';
import { freeBytes } from './space.ts';

export const RESERVE_BYTES = 16 * 1024 * 1024;
const FREE_BYTES_MIN = 4 * RESERVE_BYTES;
const CHUNK_BYTES = 1024 * 1024;
/** Given back at a time. */
const PIECE_BYTES = 1024 * 1024;

export class Reserve {
  private readonly file: string;
  private readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    this.file = path.join(directory, 'reserve');
  }

  /** Whether all of its space is really there: a file cut short by a crash or by its own use is not. */
  present(): boolean {
    const stat = fs.statSync(this.file, { throwIfNoEntry: false });
    return stat !== undefined && stat.size === RESERVE_BYTES && allocatedBytes(stat) >= RESERVE_BYTES;
  }

  /** Whether it may take its space: never the last. */
  hasRoom(): boolean {
    return freeBytes(this.directory) >= FREE_BYTES_MIN;
  }

  /** Gives a piece back. False: there was none to give. */
  release(): boolean {
    const stat = fs.statSync(this.file, { throwIfNoEntry: false });
    if (stat === undefined || stat.blocks === 0) return false;
    fs.truncateSync(this.file, Math.max(0, Math.floor((stat.size - 1) / PIECE_BYTES) * PIECE_BYTES));
    return true;
  }

  /** Makes it anew when the pool has space for it; does nothing when it is there or space is short. */
  restore(): void {
    if (this.present() || !this.hasRoom()) return;
    try {
      this.fill();
    } catch (error) {
      // Others took the space meanwhile. What was written is given back, and a later call tries again.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      fs.truncateSync(this.file, 0);
    }
  }

  private fill(): void {
    const zeros = Buffer.alloc(CHUNK_BYTES);
    const fd = fs.openSync(this.file, 'w', 0o600);
    try {
      for (let at = 0; at < RESERVE_BYTES; at += CHUNK_BYTES) fs.writeSync(fd, zeros, 0, CHUNK_BYTES, at);
      fs.fsyncSync(fd); // until then the blocks are only promised
    } finally {
      fs.closeSync(fd);
    }
  }
}
