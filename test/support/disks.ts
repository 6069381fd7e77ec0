/**
 * Directories on a real filesystem, and reading and writing devices past the page cache.
 *
 * Direct I/O is not for speed here. A sync changes a target's content beneath its device, so pages that the kernel
 * cached before would show the old one; and a write is at the engine when it returns, not some seconds later.
 */
import { createHash } from 'node:crypto';
import { constants, existsSync, mkdtempSync, statfsSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import koffi from 'koffi';
import type { Cleanup } from './cleanup.ts';

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

export const SECTOR = 4096;

/** In memory or stacked: measurements there would say nothing, and pools may be refused. */
const unrealFilesystems = new Set([0x01021994, 0x858458f6, 0x794c7630]); // tmpfs, ramfs, overlayfs

/** A new directory on a disk's filesystem with that much space: the system's place for temporary files, or here. */
export function temporaryDirectory(cleanup: Cleanup, spaceBytes = GiB): string {
  const places = [os.tmpdir(), '/var/tmp', process.cwd()];
  const place = places.find((candidate) => {
    if (!existsSync(candidate)) return false;
    const { type, bavail, bsize } = statfsSync(candidate);
    return !unrealFilesystems.has(type) && bavail * bsize >= spaceBytes;
  });
  if (place === undefined) {
    const needed = `${Math.ceil(spaceBytes / MiB)} MiB free`;
    throw new Error(
      `none of ${places.join(', ')} is on a disk's filesystem with ${needed}; set TMPDIR to one`,
    );
  }
  const directory = mkdtempSync(path.join(place, 'flashcopy-'));
  cleanup.defer(`remove ${directory}`, () => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Memory that direct I/O takes: it begins on a sector. */
function alignedBuffer(bytes: number): Buffer {
  const whole = Buffer.alloc(bytes + SECTOR);
  const address = Number(BigInt(koffi.address(whole)) % BigInt(SECTOR));
  const skip = (SECTOR - address) % SECTOR;
  return whole.subarray(skip, skip + bytes);
}

/** `write`: acknowledged, perhaps not durable. `durable`: each write is flushed before it is acknowledged. */
export type AccessMode = 'read' | 'write' | 'durable';

const accessFlags: Readonly<Record<AccessMode, number>> = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  durable: constants.O_RDWR | constants.O_DSYNC,
};

/** A device or file, read and written directly. Offsets and lengths are multiples of SECTOR. */
export class DirectFile {
  readonly path: string;
  readonly #handle: FileHandle;

  private constructor(name: string, handle: FileHandle) {
    this.path = name;
    this.#handle = handle;
  }

  static async open(name: string, mode: AccessMode = 'read'): Promise<DirectFile> {
    return new DirectFile(name, await open(name, accessFlags[mode] | constants.O_DIRECT));
  }

  async read(offset: number, length: number, buffer = alignedBuffer(length)): Promise<Buffer> {
    const { bytesRead } = await this.#handle.read(buffer, 0, length, offset);
    if (bytesRead !== length) throw new Error(`${this.path}: ${bytesRead} of ${length} bytes at ${offset}`);
    return buffer.subarray(0, length);
  }

  /** `data` may lie anywhere. */
  async write(offset: number, data: Buffer): Promise<void> {
    const buffer = alignedBuffer(data.length);
    data.copy(buffer);
    const { bytesWritten } = await this.#handle.write(buffer, 0, buffer.length, offset);
    if (bytesWritten !== data.length) throw new Error(`${this.path}: wrote ${bytesWritten} at ${offset}`);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Opens, uses, closes: a device that stays open cannot be detached. */
export async function withDirectFile<T>(
  name: string,
  mode: AccessMode,
  use: (file: DirectFile) => Promise<T>,
): Promise<T> {
  const file = await DirectFile.open(name, mode);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** Of the first `bytes` of a device. */
export async function checksum(device: string, bytes: number): Promise<string> {
  return withDirectFile(device, 'read', async (file) => {
    const hash = createHash('sha256');
    const buffers = [alignedBuffer(MiB), alignedBuffer(MiB)] as const;
    // One part is read while the one before it is hashed.
    let next = file.read(0, Math.min(MiB, bytes), buffers[0]);
    for (let offset = 0, turn = 1; offset < bytes; offset += MiB, turn++) {
      const part = await next;
      const rest = bytes - offset - MiB;
      if (rest > 0) next = file.read(offset + MiB, Math.min(MiB, rest), buffers[turn % 2]!);
      hash.update(part);
    }
    return hash.digest('hex');
  });
}

/** One sector that says `text`, and says it in every word, so that a torn one shows. */
export function tagSector(text: string): Buffer {
  const sector = Buffer.alloc(SECTOR);
  sector.fill(`${text}\n`);
  return sector;
}

/** The text of a sector made by tagSector; throws for a torn one. '' for zeros. */
export function readTag(sector: Buffer): string {
  const text = sector.toString('latin1').split('\n')[0]!;
  if (text.startsWith('\0')) {
    if (sector.some((byte) => byte !== 0)) throw new Error('a sector is neither zeros nor a tag');
    return '';
  }
  if (!tagSector(text).equals(sector)) throw new Error(`a sector that begins with ${text} is torn`);
  return text;
}
