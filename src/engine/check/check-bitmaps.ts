/**
 * The bitmap files that the rows name: whole, and of that bitmap and generation; and the volumes' data files beside
 * their FC bitmaps: where a file was a hole when it was last closed, no volume may have data that it does not hold.
 */
import fs from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../../base/errors.ts';
import { PAGE_BITS } from '../../core/arena.ts';
import { bitmapFile, readBitmap } from '../../core/bitmap-file.ts';
import type { BitmapRow, VolumeRow } from '../../core/rows.ts';
import { dataFile } from '../../core/volume.ts';
import { SEEK_DATA, SEEK_HOLE, seek } from '../../sys/libc.ts';
import { everythingChanged } from './change-records.ts';
import { LOST } from './damaged-rows.ts';
import { type Finding, finding, offsetIn, type Progress } from './findings.ts';
import type { OfflineReader } from './offline.ts';
import type { PoolImage } from './pool-image.ts';

/** Of data that nobody should have, at most so much is looked at together. */
const LOOK_BYTES = 1024 * 1024;

/** A bitmap as it is used: pages by index, null for a full one. */
class Bits {
  private readonly pages = new Map<number, Uint32Array | null>();

  page(index: number, words: Uint32Array | null): void {
    this.pages.set(index, words);
  }

  get(bit: number): boolean {
    const words = this.pages.get(Math.floor(bit / PAGE_BITS));
    if (words === undefined) return false;
    const at = bit % PAGE_BITS;
    return words === null || (words[at >>> 5]! & (1 << (at & 31))) !== 0;
  }

  set(first: number, count: number, on: boolean): void {
    for (let bit = first; bit < first + count; bit++) {
      const index = Math.floor(bit / PAGE_BITS);
      let words = this.pages.get(index);
      if (on && bit % PAGE_BITS === 0 && first + count - bit >= PAGE_BITS) {
        this.pages.set(index, null);
        bit += PAGE_BITS - 1;
        continue;
      }
      if (words === null && on) continue;
      if (words === undefined || words === null) {
        words = new Uint32Array(PAGE_BITS / 32).fill(words === null ? 0xffffffff : 0);
        this.pages.set(index, words);
      }
      const at = bit % PAGE_BITS;
      const mask = 1 << (at & 31);
      words[at >>> 5] = on ? words[at >>> 5]! | mask : words[at >>> 5]! & ~mask;
    }
  }

  isFull(bits: number): boolean {
    for (let bit = 0; bit < bits; ) {
      const words = this.pages.get(Math.floor(bit / PAGE_BITS));
      if (words === null) bit += PAGE_BITS;
      else if (words !== undefined && this.get(bit)) bit++;
      else return false;
    }
    return true;
  }

  /** The first set bit from there on, or -1. */
  setFrom(bit: number): number {
    for (const [index, words] of this.pages) {
      const start = index * PAGE_BITS;
      if (start + PAGE_BITS <= bit) continue;
      if (words === null) return Math.max(bit, start);
      for (let at = Math.max(bit, start); at < start + PAGE_BITS; at++) if (this.get(at)) return at;
    }
    return -1;
  }
}

/** Also finds out who holds everything, and notes which files are bad. */
export function bitmapFileFindings(image: PoolImage, reader: OfflineReader, progress: Progress): Finding[] {
  const found: Finding[] = [];
  const errors: { row: BitmapRow; error: FlashCopyError }[] = [];
  const rows = [...image.bitmaps.values()];
  for (const [i, row] of rows.entries()) {
    progress('bitmaps', i, rows.length);
    const holder = image.holderOf(row.id);
    try {
      const bits = load(reader, row);
      if (holder === undefined) continue;
      if (bits.isFull(row.bits)) image.full.add(holder.id);
      found.push(...holeFindings(image, holder, bits));
    } catch (error) {
      if (!(error instanceof FlashCopyError)) throw error;
      errors.push({ row, error });
    }
  }
  progress('bitmaps', rows.length, rows.length);
  return [...errors.map(({ row, error }) => fileFinding(image, row, error)), ...found];
}

function load(reader: OfflineReader, row: BitmapRow): Bits {
  const bits = new Bits();
  const file = bitmapFile(row.id, row.gen).path;
  try {
    reader.run(readBitmap(reader.memory, row, (index, words) => bits.page(index, words)));
  } finally {
    reader.forget(file);
  }
  const beyond = bits.setFrom(row.bits);
  if (beyond >= 0)
    throw new FlashCopyError(
      'Damaged',
      `${file} has a bit for grain ${beyond}, and ${row.bits} grains there are`,
    );
  for (const [first, count] of row.patch) bits.set(first, count, false);
  for (const [first, count] of row.preset) bits.set(first, count, true);
  return bits;
}

function fileFinding(image: PoolImage, row: BitmapRow, error: FlashCopyError): Finding {
  const file = bitmapFile(row.id, row.gen).path;
  const offset = offsetIn(error.message);
  const holder = image.holderOf(row.id);
  const epoch = image.epochWith(row.id);
  image.badBitmaps.add(file);
  if (error.code === 'PoolTooNew')
    return finding(file, error.message, { offset, remedy: 'Use the release that wrote it, or a later one.' });
  if (holder !== undefined)
    return finding(file, `the FC bitmap of ${holder.name} cannot be read: ${error.message}`, {
      offset,
      volumes: image.withReaders(holder),
      remedy: LOST,
    });
  const volume = epoch === undefined ? undefined : image.volumes.get(epoch.volume);
  const whose = volume === undefined ? '' : ` of ${volume.name}`;
  return finding(file, `a record of changes${whose} cannot be read: ${error.message}`, {
    offset,
    volumes: volume === undefined ? [] : [volume.name],
    ...(epoch !== undefined && everythingChanged(image, epoch)),
  });
}

/** An engine that closed its pool has left holes wherever a volume does not hold the grain. */
function holeFindings(image: PoolImage, v: VolumeRow, held: Bits): Finding[] {
  if (image.engine?.clean !== true || !v.sparse || v.retired || v.offline !== '') return [];
  const file = dataFile(v.file).path;
  if (!fs.existsSync(path.join(image.dir, file))) return [];
  const fd = fs.openSync(path.join(image.dir, file), 'r');
  try {
    const grain = strayGrain(fd, file, v.grain, image.grains(v), held);
    if (grain < 0) return [];
    return [
      finding(file, `${v.name} has data at grain ${grain}, which it does not hold`, {
        offset: grain * v.grain,
        volumes: [v.name],
        remedy:
          'The file is marked as one that is not a hole there: the data is wiped before the grain is used.',
        repair: ({ rows }) => void rows.push({ table: 'volume', key: v.id, row: { ...v, sparse: false } }),
      }),
    ];
  } finally {
    fs.closeSync(fd);
  }
}

/** The first grain with something other than zeros that is not held, or -1. */
function strayGrain(fd: number, file: string, grain: number, grains: number, held: Bits): number {
  const end = grains * grain;
  const buffer = Buffer.alloc(Math.max(grain, LOOK_BYTES));
  for (let at = seek(fd, 0, SEEK_DATA, file); at >= 0 && at < end; at = seek(fd, at, SEEK_DATA, file)) {
    const stop = Math.min(end, seek(fd, at, SEEK_HOLE, file));
    for (let g = Math.floor(at / grain); g * grain < stop; g++) {
      if (held.get(g)) continue;
      const length = fs.readSync(fd, buffer, 0, grain, g * grain);
      if (buffer.subarray(0, length).some((byte) => byte !== 0)) return g;
    }
    at = stop;
    if (at >= end) break;
  }
  return -1;
}
