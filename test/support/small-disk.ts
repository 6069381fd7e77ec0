/**
 * A small filesystem of its own for a pool, which can be filled to the last block and relieved again.
 */
import assert from 'node:assert/strict';
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Cleanup } from './cleanup.ts';
import { attempt, run } from './commands.ts';
import { MiB } from './disks.ts';
import { type FilesystemKind, makeFilesystem } from './filesystems.ts';

export class SmallDisk {
  readonly place: string;
  #ballast = 0;

  private constructor(place: string) {
    this.place = place;
  }

  static async make(
    cleanup: Cleanup,
    directory: string,
    kind: FilesystemKind,
    sizeBytes: number,
  ): Promise<SmallDisk> {
    const image = path.join(directory, `${kind}.img`);
    await writeFile(image, '');
    await truncate(image, sizeBytes);
    await makeFilesystem(kind, image);
    const place = path.join(directory, kind);
    await mkdir(place);
    await run('mount', ['-o', 'loop', image, place]);
    cleanup.defer(`unmount ${place}`, () => run('umount', [place]));
    return new SmallDisk(place);
  }

  get pool(): string {
    return path.join(this.place, 'pool');
  }

  /** With what root alone may have. */
  get freeBytes(): number {
    const { bfree, bsize } = statfsSync(this.place);
    return bfree * bsize;
  }

  /** Somebody else's files take everything, down to what no file of one block gets. */
  async fillUp(): Promise<void> {
    for (let step = this.freeBytes; step >= MiB; step = Math.floor(step / 2)) {
      const name = this.#nextBallast();
      const { status } = await attempt('fallocate', ['--length', `${step}`, name]);
      if (status !== 0) rmSync(name, { force: true });
    }
    const zeros = Buffer.alloc(4096);
    let fd = -1;
    try {
      fd = openSync(this.#nextBallast(), 'a');
      for (;;) writeSync(fd, zeros);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    } finally {
      if (fd >= 0) {
        fsyncSync(fd);
        closeSync(fd);
      }
    }
  }

  /** Somebody else's file takes all but this. */
  async leave(bytes: number): Promise<void> {
    const { bavail, bsize } = statfsSync(this.place);
    await run('fallocate', ['--length', `${bavail * bsize - bytes}`, this.#nextBallast()]);
  }

  relieve(): void {
    for (; this.#ballast > 0; this.#ballast--)
      rmSync(path.join(this.place, `ballast-${this.#ballast}`), { force: true });
  }

  #nextBallast(): string {
    return path.join(this.place, `ballast-${++this.#ballast}`);
  }
}
