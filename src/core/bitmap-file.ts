/**
 * A bitmap on disk: one file for each generation, written whole and flushed before the catalog names it, never
 * changed afterwards. So nothing can be torn, and any difference is damage (B1).
 *
 *   block 0      u32 magic, version, crc32 of the directory blocks (this field 0); f64 bitmap id, gen, bits; u32 pages, directory blocks
 *   directory    from byte 64: 12 bytes a page: u32 page index, kind (1 bits, 2 full), crc32 of the page
 *   pages        4096 bytes for each page of kind 1, in directory order
 */
import { crc32 } from 'node:zlib';
import { FlashCopyError } from '../base/errors.ts';
import { PAGE_BITS, PAGE_WORDS } from './arena.ts';
import type { Bitmap, Page } from './bitmap.ts';
import { type Block, op, type Plan, PoolFile } from './ops.ts';
import type { Memory } from './ports.ts';
import type { BitmapRow } from './rows.ts';
import type { State } from './state.ts';

const MAGIC = 0x4643424d; // 'FCBM'
const VERSION = 1;
const BLOCK = 4096;
const HEAD = 64;
const ENTRY = 12;
const BITS = 1;
const FULL = 2;
/** Blocks written or read at once. */
const CHUNK = 256;
/** Pages taken at once to be written. */
const PIECE = 32;

const directoryBlocks = (pages: number): number => Math.ceil((HEAD + pages * ENTRY) / BLOCK);

export const bitmapFile = (id: number, gen: number): PoolFile => new PoolFile(`bitmaps/${id}.${gen}`);

/** What is written of a bitmap: these pages, in order. `take` gives some of them as they are at that moment. */
export type Pages = {
  id: number;
  bits: number;
  indexes: number[];
  take: (indexes: number[]) => Iterable<Page>;
};

/** All of a bitmap that nobody changes until it is written. */
export const freeze = (bitmap: Bitmap): Pages => ({
  id: bitmap.id,
  bits: bitmap.bits,
  indexes: bitmap.pages(),
  take: (indexes) => bitmap.content(indexes),
});

/**
 * Write generation `gen` durably. Not valid before the catalog says so. Of a large bitmap all pages at once would keep host I/O
 * waiting: each is taken when its turn comes, and what is set in others meanwhile may be in the file or not.
 */
export function* writeBitmap(state: State, pages: Pages, gen: number): Plan<void> {
  const { indexes } = pages;
  const dirBlocks = directoryBlocks(indexes.length);
  const directory = beginDirectory(pages, gen, dirBlocks);
  const file = bitmapFile(pages.id, gen);
  yield op.create(file, dirBlocks * BLOCK);
  const block = state.memory.take(CHUNK * BLOCK);
  try {
    let place = dirBlocks;
    for (let at = 0; at < indexes.length; at += PIECE) {
      const count = takePiece(pages, at, directory, block);
      if (count > 0) yield op.write(file, place * BLOCK, count * BLOCK, block);
      place += count;
    }
    const head = new Uint8Array(directory.buffer);
    directory.setUint32(8, crc32(head), true);
    for (let at = 0; at < dirBlocks; at += CHUNK) {
      const n = Math.min(CHUNK, dirBlocks - at) * BLOCK;
      block.bytes.set(head.subarray(at * BLOCK, at * BLOCK + n));
      yield op.write(file, at * BLOCK, n, block);
    }
    yield op.flush(file);
  } finally {
    state.memory.give(block);
  }
}

function beginDirectory({ id, bits, indexes }: Pages, gen: number, dirBlocks: number): DataView {
  const v = new DataView(new ArrayBuffer(dirBlocks * BLOCK));
  v.setUint32(0, MAGIC, true);
  v.setUint32(4, VERSION, true);
  v.setFloat64(16, id, true);
  v.setFloat64(24, gen, true);
  v.setFloat64(32, bits, true);
  v.setUint32(40, indexes.length, true);
  v.setUint32(44, dirBlocks, true);
  return v;
}

/** The pages from `at` on, as they are now, into directory and block; how many of them have words. */
function takePiece(pages: Pages, at: number, directory: DataView, block: Block): number {
  let o = HEAD + at * ENTRY;
  let count = 0;
  for (const { index, words } of pages.take(pages.indexes.slice(at, at + PIECE))) {
    directory.setUint32(o, index, true);
    directory.setUint32(o + 4, words === null ? FULL : BITS, true);
    if (words !== null) {
      const bytes = block.bytes.subarray(count * BLOCK, ++count * BLOCK);
      bytes.set(new Uint8Array(words.buffer, words.byteOffset, BLOCK));
      directory.setUint32(o + 8, crc32(bytes), true);
    }
    o += ENTRY;
  }
  return count;
}

/** By the beginning of a file: a bitmap that this program does not know. */
export function isLaterFormat(head: Uint8Array): boolean {
  const v = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return v.getUint32(0, true) === MAGIC && v.getUint32(4, true) > VERSION;
}

/** Load the generation that the row names into the empty bitmap; Damaged names the file and the place. */
export function* loadBitmap(memory: Memory, row: BitmapRow, bitmap: Bitmap): Plan<void> {
  yield* readBitmap(memory, row, (index, words) => bitmap.loadPage(index, words));
  for (const [first, count] of row.patch) bitmap.clearRange(first, count);
  for (const [first, count] of row.preset) bitmap.setRange(first, count);
  bitmap.markClean();
}

/** A page of a bitmap's file: 1024 words, null for a full one. */
type PageVisitor = (index: number, words: Uint32Array | null) => void;

/** The pages of the generation that the row names, as they are in its file; Damaged names the file and the place. */
export function* readBitmap(memory: Memory, row: BitmapRow, visit: PageVisitor): Plan<void> {
  if (row.gen === 0) return;
  const file = bitmapFile(row.id, row.gen);
  const block = memory.take(CHUNK * BLOCK);
  try {
    yield* readPages(yield* readDirectory(row, file, block), row, file, block, visit);
  } finally {
    memory.give(block);
  }
}

function* readDirectory(row: BitmapRow, file: PoolFile, block: Block): Plan<DataView> {
  yield op.read(file, 0, BLOCK, block);
  const first = new DataView(block.bytes.buffer, block.bytes.byteOffset, BLOCK);
  if (first.getUint32(0, true) !== MAGIC) throw damaged(file, 0, 'is not a bitmap');
  const version = first.getUint32(4, true);
  const dirBlocks = first.getUint32(44, true);
  const pages = first.getUint32(40, true);
  if (pages > Math.ceil(row.bits / PAGE_BITS) || dirBlocks !== directoryBlocks(pages))
    throw damaged(file, 40, 'has a wrong size of its directory');
  const head = new Uint8Array(dirBlocks * BLOCK);
  for (let at = 0; at < dirBlocks; at += CHUNK) {
    const n = Math.min(CHUNK, dirBlocks - at) * BLOCK;
    yield op.read(file, at * BLOCK, n, block);
    head.set(block.bytes.subarray(0, n), at * BLOCK);
  }
  const v = new DataView(head.buffer);
  const sum = v.getUint32(8, true);
  v.setUint32(8, 0, true);
  if (crc32(head) !== sum) throw damaged(file, 8, 'has a wrong checksum of its directory');
  if (version !== VERSION) throw tooNew(file, version);
  if (
    v.getFloat64(16, true) !== row.id ||
    v.getFloat64(24, true) !== row.gen ||
    v.getFloat64(32, true) > row.bits
  )
    throw damaged(file, 16, 'belongs to another bitmap');
  return v;
}

function* readPages(
  directory: DataView,
  row: BitmapRow,
  file: PoolFile,
  block: Block,
  visit: PageVisitor,
): Plan<void> {
  const pages = directory.getUint32(40, true);
  let place = directory.getUint32(44, true);
  for (let i = 0, o = HEAD; i < pages; i++, o += ENTRY) {
    const index = directory.getUint32(o, true);
    if (index * PAGE_BITS >= row.bits) throw damaged(file, o, `has a page ${index} behind the volume's end`);
    if (directory.getUint32(o + 4, true) === FULL) {
      visit(index, null);
      continue;
    }
    yield op.read(file, place * BLOCK, BLOCK, block);
    const bytes = block.bytes.slice(0, BLOCK);
    if (crc32(bytes) !== directory.getUint32(o + 8, true))
      throw damaged(file, place * BLOCK, 'has a wrong checksum of a page');
    visit(index, new Uint32Array(bytes.buffer, 0, PAGE_WORDS));
    place++;
  }
}

function damaged(file: PoolFile, offset: number, what: string): FlashCopyError {
  return new FlashCopyError('Damaged', `${file.path} at byte ${offset} ${what}`);
}

/** With a good checksum it is no damage. Nothing of the pool may be changed by a program that does not know it. */
function tooNew(file: PoolFile, version: number): FlashCopyError {
  return new FlashCopyError(
    'PoolTooNew',
    `${file.path} has format version ${version}, and this program knows ${VERSION}. It was left as it is. Use the ` +
      'release that wrote it, or a later one.',
  );
}
