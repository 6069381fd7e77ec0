/**
 * The undo log's records on disk.
 *
 *   | header: 1 to 8 blocks of 4096 bytes | payload: the old grains, in the order of the entries |
 *
 *   header  u32 magic, version, crc32 of the header (this field 0), header blocks; f64 seq; u32 payload slots, entries;
 *           the pool's UUID (version 1 has none)
 *   entry   u32 kind, bitmap, volume, count; f64 first; u32 payload crc32, slot offset in the payload
 *
 * COPY: the volume holds `count` grains from `first` on, and their content is here.
 * SET:  the bitmap's bits are set; of an FC bitmap: the data file has the grains, whatever earlier records say.
 * A record counts only if its header and payload are whole; it is the last one that may be torn.
 *
 * Whose it is: what lies in a ring may be another pool's log, put there by mistake, or a copy of one among a volume's old grains.
 */
import { crc32 } from 'node:zlib';
import { assert, FlashCopyError } from '../base/errors.ts';

export const SLOT = 4096;
const MAGIC = 0x46434c47; // 'FCLG'
const VERSION = 2;
const VERSION_UNNAMED = 1;
const HEAD_UNNAMED = 32;
const POOL_AT = 32;
const POOL_BYTES = 16;
const HEAD = POOL_AT + POOL_BYTES;
const ENTRY = 32;
const HEADER_BLOCKS_MAX = 8;
export const entriesIn = (headerBlocks: number): number => Math.floor((headerBlocks * SLOT - HEAD) / ENTRY);
export const ENTRIES_MAX = entriesIn(HEADER_BLOCKS_MAX);
const ENTRIES_UNNAMED_MAX = Math.floor((HEADER_BLOCKS_MAX * SLOT - HEAD_UNNAMED) / ENTRY);
/** Payload of one record; with headers, several records fit into the smallest ring. */
export const PAYLOAD_SLOTS_MAX = 520;
export const RECORD_SLOTS_MAX = HEADER_BLOCKS_MAX + PAYLOAD_SLOTS_MAX;

export const COPY = 1;
export const SET = 2;

export type RecordEntry = {
  kind: typeof COPY | typeof SET;
  bitmap: number;
  volume: number;
  first: number;
  count: number;
  crc: number;
  /** Slots from the start of the payload. */
  slot: number;
};

export type RecordHeader = {
  seq: number;
  headerBlocks: number;
  payloadSlots: number;
  entries: RecordEntry[];
};

/** As it is found. `pool`: whose it is; null: it does not say. */
export type FoundHeader = RecordHeader & { pool: PoolKey | null };

/** A pool's id as headers have it. */
export type PoolKey = string & { readonly __poolKey: true };

export function poolKey(id: string): PoolKey {
  const key = id.replaceAll('-', '').toLowerCase();
  assert(/^[0-9a-f]{32}$/.test(key), 'the id of a pool is a UUID');
  return key as PoolKey;
}

const keyAt = (header: Uint8Array): PoolKey =>
  Buffer.from(header.subarray(POOL_AT, POOL_AT + POOL_BYTES)).toString('hex') as PoolKey;

export const headerBlocksFor = (entries: number): number => Math.ceil((HEAD + entries * ENTRY) / SLOT);

export function encodeHeader(header: RecordHeader, pool: PoolKey, out: Uint8Array): void {
  const bytes = header.headerBlocks * SLOT;
  const v = new DataView(out.buffer, out.byteOffset, bytes);
  out.fill(0, 0, bytes);
  v.setUint32(0, MAGIC, true);
  v.setUint32(4, VERSION, true);
  v.setUint32(12, header.headerBlocks, true);
  v.setFloat64(16, header.seq, true);
  v.setUint32(24, header.payloadSlots, true);
  v.setUint32(28, header.entries.length, true);
  out.set(Buffer.from(pool, 'hex'), POOL_AT);
  let o = HEAD;
  for (const e of header.entries) {
    v.setUint32(o, e.kind, true);
    v.setUint32(o + 4, e.bitmap, true);
    v.setUint32(o + 8, e.volume, true);
    v.setUint32(o + 12, e.count, true);
    v.setFloat64(o + 16, e.first, true);
    v.setUint32(o + 24, e.crc, true);
    v.setUint32(o + 28, e.slot, true);
    o += ENTRY;
  }
  v.setUint32(8, crc32(out.subarray(0, bytes)), true);
}

/** What the first block of a header says before its checksum was looked at; null: none begins here. */
export function headerAt(block: Uint8Array): { seq: number; blocks: number; pool: PoolKey | null } | null {
  const v = new DataView(block.buffer, block.byteOffset, SLOT);
  const blocks = v.getUint32(12, true);
  if (v.getUint32(0, true) !== MAGIC || blocks < 1 || blocks > HEADER_BLOCKS_MAX) return null;
  const pool = v.getUint32(4, true) === VERSION ? keyAt(block) : null;
  return { seq: v.getFloat64(16, true), blocks, pool };
}

/** The header if it is whole, else null. `header` is overwritten where its checksum lies. */
export function decodeHeader(header: Uint8Array, headerBlocks: number): FoundHeader | null {
  const bytes = headerBlocks * SLOT;
  const v = new DataView(header.buffer, header.byteOffset, bytes);
  const sum = v.getUint32(8, true);
  v.setUint32(8, 0, true);
  if (crc32(header.subarray(0, bytes)) !== sum) return null;
  const version = v.getUint32(4, true);
  if (version !== VERSION && version !== VERSION_UNNAMED)
    throw new FlashCopyError(
      'PoolTooNew',
      `The undo log has a record of format version ${version}, and this program knows those up to ${VERSION}. The pool was left as ` +
        'it is. Use the release that wrote it, or a later one.',
    );
  const entries: RecordEntry[] = [];
  const n = v.getUint32(28, true);
  assert(n <= ENTRIES_UNNAMED_MAX, 'an undo log record with a good checksum has too many entries');
  const isNamed = version === VERSION;
  for (let i = 0, o = isNamed ? HEAD : HEAD_UNNAMED; i < n; i++, o += ENTRY) {
    const kind = v.getUint32(o, true);
    assert(kind === COPY || kind === SET, 'an undo log entry of unknown kind');
    entries.push({
      kind,
      bitmap: v.getUint32(o + 4, true),
      volume: v.getUint32(o + 8, true),
      count: v.getUint32(o + 12, true),
      first: v.getFloat64(o + 16, true),
      crc: v.getUint32(o + 24, true),
      slot: v.getUint32(o + 28, true),
    });
  }
  const pool = isNamed ? keyAt(header) : null;
  return { seq: v.getFloat64(16, true), headerBlocks, payloadSlots: v.getUint32(24, true), entries, pool };
}
