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
import type { Bitmap } from './bitmap.ts';
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

const directoryBlocks = (pages: number): number => Math.ceil((HEAD + pages * ENTRY) / BLOCK);

export const bitmapFile = (id: number, gen: number): PoolFile => new PoolFile(`bitmaps/${id}.${gen}`);

type Frozen = { id: number; bits: number; pages: { index: number; words: Uint8Array | null }[] };

/** The bitmap's bits of this moment. */
export function freeze(bitmap: Bitmap): Frozen {
  const pages = [...bitmap.content()].map((p) => ({
    index: p.index,
    words: p.words === null ? null : new Uint8Array(p.words.slice().buffer),
  }));
  return { id: bitmap.id, bits: bitmap.bits, pages };
}

/** Write generation `gen` durably. Not valid before the catalog says so. */
export function* writeBitmap(state: State, frozen: Frozen, gen: number): Plan<void> {
  const dirBlocks = directoryBlocks(frozen.pages.length);
  const head = encodeDirectory(frozen, gen, dirBlocks);
  const data = frozen.pages.filter((p) => p.words !== null);
  const file = bitmapFile(frozen.id, gen);
  yield op.create(file, (dirBlocks + data.length) * BLOCK);
  const block = state.memory.take(CHUNK * BLOCK);
  try {
    for (let at = 0; at < dirBlocks; at += CHUNK) {
      const n = Math.min(CHUNK, dirBlocks - at) * BLOCK;
      block.bytes.set(head.subarray(at * BLOCK, at * BLOCK + n));
      yield op.write(file, at * BLOCK, n, block);
    }
    for (let at = 0; at < data.length; at += CHUNK) {
      const part = data.slice(at, at + CHUNK);
      part.forEach((p, i) => void block.bytes.set(p.words!, i * BLOCK));
      yield op.write(file, (dirBlocks + at) * BLOCK, part.length * BLOCK, block);
    }
    yield op.flush(file);
  } finally {
    state.memory.give(block);
  }
}

function encodeDirectory(frozen: Frozen, gen: number, dirBlocks: number): Uint8Array {
  const head = new Uint8Array(dirBlocks * BLOCK);
  const v = new DataView(head.buffer);
  v.setUint32(0, MAGIC, true);
  v.setUint32(4, VERSION, true);
  v.setFloat64(16, frozen.id, true);
  v.setFloat64(24, gen, true);
  v.setFloat64(32, frozen.bits, true);
  v.setUint32(40, frozen.pages.length, true);
  v.setUint32(44, dirBlocks, true);
  let o = HEAD;
  for (const p of frozen.pages) {
    v.setUint32(o, p.index, true);
    v.setUint32(o + 4, p.words === null ? FULL : BITS, true);
    v.setUint32(o + 8, p.words === null ? 0 : crc32(p.words), true);
    o += ENTRY;
  }
  v.setUint32(8, crc32(head), true);
  return head;
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
