/**
 * What of a file has no space of its own: holes, and extents that it shares with a copy (a reflink), which an overwrite does
 * not take.
 */
import { fstatSync } from 'node:fs';
import { IoError } from '../base/errors.ts';
import { ioctl } from './libc.ts';

/** stat counts space in these, whatever the filesystem's blocks are. */
const BLOCK_BYTES = 512;
/** FS_IOC_FIEMAP; its head and its extents, as linux/fiemap.h has them. */
const FIEMAP = 0xc020660b;
const HEAD_BYTES = 32;
const EXTENT_BYTES = 56;
const EXTENTS_MAX = 256;
const SHARED = 0x2000;
/** ENOTTY and EOPNOTSUPP: filesystems in memory have no map. */
const NO_MAP = [25, 95];

/** What a file takes of its filesystem, by its stat. */
export const allocatedBytes = ({ blocks }: { blocks: number }): number => blocks * BLOCK_BYTES;

export type Range = { offset: number; length: number };

/** Of its first `size` bytes. Without a map of the file: how much less it has than it should. */
export function bytesWithoutSpace(fd: number, size: number, file: string): number {
  const counting = countWithoutSpace(fd, size, file);
  for (;;) {
    const step = counting.next();
    if (step.done) return step.value;
  }
}

/** The same, one look at the map at a time. */
export function* countWithoutSpace(fd: number, size: number, file: string): Generator<null, number> {
  if (!hasMap(fd, file)) return Math.max(0, size - allocatedBytes(fstatSync(fd)));
  let bytes = 0;
  for (const range of rangesWithoutSpace(fd, size, file)) {
    if (range === null) yield null;
    else bytes += range.length;
  }
  return bytes;
}

/** In order; null behind each look at the map: there may be very many. Without a map of the file: all of it. */
export function* rangesWithoutSpace(fd: number, size: number, file: string): Generator<Range | null> {
  if (!hasMap(fd, file)) {
    yield { offset: 0, length: size };
    return;
  }
  for (let at = 0; at < size; yield null) {
    const extents = extentsOf(fd, at, size - at, file)!;
    for (const { from, to, shared } of extents) {
      if (from > at) yield { offset: at, length: from - at };
      const begin = Math.max(from, at);
      if (shared && to > begin) yield { offset: begin, length: to - begin };
      at = Math.max(at, to);
    }
    if (extents.length > 0) continue;
    yield { offset: at, length: size - at };
    return;
  }
}

const hasMap = (fd: number, file: string): boolean => extentsOf(fd, 0, 1, file) !== null;

type Extent = { from: number; to: number; shared: boolean };

/** The first of them in that range; null: the filesystem does not tell. */
function extentsOf(fd: number, offset: number, length: number, file: string): Extent[] | null {
  const map = Buffer.alloc(HEAD_BYTES + EXTENTS_MAX * EXTENT_BYTES);
  map.writeBigUInt64LE(BigInt(offset), 0);
  map.writeBigUInt64LE(BigInt(length), 8);
  map.writeUInt32LE(EXTENTS_MAX, 24);
  try {
    ioctl(fd, FIEMAP, map, file);
  } catch (error) {
    if (error instanceof IoError && NO_MAP.includes(error.errno)) return null;
    throw error;
  }
  return Array.from({ length: map.readUInt32LE(20) }, (_, i) => {
    const at = HEAD_BYTES + i * EXTENT_BYTES;
    const from = Number(map.readBigUInt64LE(at));
    const to = Math.min(offset + length, from + Number(map.readBigUInt64LE(at + 16)));
    return { from, to, shared: (map.readUInt32LE(at + 40) & SHARED) !== 0 };
  });
}
