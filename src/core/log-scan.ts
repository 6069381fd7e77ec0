/**
 * Reading the undo log: the records from its tail on, and where one of them is damaged.
 *
 * The log ends at the first record that is not whole: a write that the end of the machine tore. But a record is written
 * only after all earlier ones are durable. So where the next record is there, the one before it was whole once, and is
 * damaged now. It is never taken for the end: what it held is lost, and whose that was has to be known (B1).
 *
 * The last record of all cannot be told from one that was torn.
 *
 * No record is longer than RECORD_SLOTS_MAX, which is how far the next one is looked for behind a header that cannot be
 * read. It has to have the very next sequence number: what a volume's old grains in the log look like is not ours to say.
 */
import { crc32 } from 'node:zlib';
import {
  COPY,
  decodeHeader,
  headerBlocksAt,
  RECORD_SLOTS_MAX,
  type RecordEntry,
  type RecordHeader,
  SLOT,
} from './log-record.ts';
import { type Block, op, type Plan, type PoolFile } from './ops.ts';
import type { Memory } from './ports.ts';

/** Where a log is read from. */
export type LogSource = { file: PoolFile; slots: number; memory: Memory };

/** `lost`: entries whose grains do not have their checksum. */
type FoundRecord = { header: RecordHeader; slot: number; lost: RecordEntry[] };

/** A record that must have been there: at `slot`, or at 0 if it did not fit. What it held is unknown. */
type MissingRecord = { seq: number; slot: number };

export type LogScan = {
  records: FoundRecord[];
  missing: MissingRecord[];
  /** Where the log goes on, and with which number. */
  head: number;
  seq: number;
  /** There is something of a record with that number which is not whole. */
  torn: boolean;
};

const WINDOW_SLOTS = 256;

/** `trusted`: payloads are not looked at. */
export function* scanLog(log: LogSource, tailSlot: number, tailSeq: number, trusted: boolean): Plan<LogScan> {
  const records: FoundRecord[] = [];
  const missing: MissingRecord[] = [];
  let slot = tailSlot;
  let seq = tailSeq;
  for (;;) {
    const found = yield* recordAt(log, slot, seq, trusted);
    const torn = found !== null && found.lost.length > 0;
    if (found !== null && !torn) {
      records.push(found);
    } else {
      const next = yield* nextRecord(log, slot, seq + 1, found);
      if (next === null) return { records, missing, head: slot, seq, torn };
      if (found !== null) records.push(found);
      else missing.push({ seq, slot });
      slot = next;
      seq++;
      continue;
    }
    slot = (found.slot + found.header.headerBlocks + found.header.payloadSlots) % log.slots;
    seq++;
  }
}

/**
 * A trusted log without its last record, if a process died while it wrote that one. Nobody has acted on it (no slot of it is
 * live). Left there, and made durable, it would be taken for damage as soon as another record follows it.
 */
export function* withoutTornEnd(
  log: LogSource,
  scan: LogScan,
  isLive: (slot: number) => boolean,
): Plan<LogScan> {
  const last = scan.records.at(-1);
  if (last === undefined) return scan;
  const { header, slot } = last;
  const payload = slot + header.headerBlocks;
  for (let i = 0; i < header.payloadSlots; i++) if (isLive(payload + i)) return scan;
  if ((yield* lostEntries(log, header, payload)).length === 0) return scan;
  return { ...scan, records: scan.records.slice(0, -1), head: slot, seq: header.seq, torn: true };
}

/** The record with this number, which begins at `slot` or, if there was no room for it, at the ring's beginning. */
function* recordAt(log: LogSource, slot: number, seq: number, trusted: boolean): Plan<FoundRecord | null> {
  for (const at of slot === 0 ? [0] : [slot, 0]) {
    const header = yield* readHeader(log, at, seq);
    if (header === null) continue;
    const lost = trusted ? [] : yield* lostEntries(log, header, at + header.headerBlocks);
    return { header, slot: at, lost };
  }
  return null;
}

/** Where the record with this number begins, the one before it having begun at `slot` (as `found`, if that is known). */
function* nextRecord(
  log: LogSource,
  slot: number,
  seq: number,
  found: FoundRecord | null,
): Plan<number | null> {
  if (found !== null) {
    const end = (found.slot + found.header.headerBlocks + found.header.payloadSlots) % log.slots;
    const next = yield* recordAt(log, end, seq, true);
    return next === null ? null : next.slot;
  }
  const place = yield* search(log, slot, Math.min(log.slots, slot + RECORD_SLOTS_MAX + 1), seq);
  if (place !== null || slot + 2 * RECORD_SLOTS_MAX < log.slots) return place;
  // One of the two did not fit before the ring's end.
  return yield* search(log, 0, Math.min(slot, RECORD_SLOTS_MAX + 1), seq);
}

function* search(log: LogSource, from: number, to: number, seq: number): Plan<number | null> {
  for (let at = from; at < to; at += WINDOW_SLOTS) {
    const count = Math.min(WINDOW_SLOTS, to - at);
    const places: number[] = [];
    const block = log.memory.take(count * SLOT);
    try {
      yield op.read(log.file, at * SLOT, count * SLOT, block);
      const words = new Uint32Array(block.bytes.buffer, block.bytes.byteOffset, (count * SLOT) / 4);
      for (let i = 0; i < count; i++) {
        if (words[(i * SLOT) / 4] === 0) continue; // never written: nearly all
        if (headerBlocksAt(block.bytes.subarray(i * SLOT, (i + 1) * SLOT), seq) > 0) places.push(at + i);
      }
    } finally {
      log.memory.give(block);
    }
    for (const place of places) if ((yield* readHeader(log, place, seq)) !== null) return place;
  }
  return null;
}

function* readHeader(log: LogSource, slot: number, seq: number): Plan<RecordHeader | null> {
  const first = log.memory.take(SLOT);
  let blocks: number;
  let header: RecordHeader | null = null;
  try {
    yield op.read(log.file, slot * SLOT, SLOT, first);
    blocks = headerBlocksAt(first.bytes, seq);
    if (blocks === 0 || slot + blocks > log.slots) return null;
    if (blocks === 1) header = decodeHeader(first.bytes, 1);
  } finally {
    log.memory.give(first);
  }
  if (blocks > 1) header = yield* readLongHeader(log, slot, blocks);
  return header === null || slot + blocks + header.payloadSlots > log.slots ? null : header;
}

function* readLongHeader(log: LogSource, slot: number, blocks: number): Plan<RecordHeader | null> {
  const block = log.memory.take(blocks * SLOT);
  try {
    yield op.read(log.file, slot * SLOT, blocks * SLOT, block);
    return decodeHeader(block.bytes, blocks);
  } finally {
    log.memory.give(block);
  }
}

/** COPY entries whose grains do not have their checksum. */
function* lostEntries(log: LogSource, header: RecordHeader, payload: number): Plan<RecordEntry[]> {
  const copies = header.entries.filter((e) => e.kind === COPY);
  const lost: RecordEntry[] = [];
  for (let i = 0; i < copies.length; i++) {
    const e = copies[i]!;
    const length = ((copies[i + 1]?.slot ?? header.payloadSlots) - e.slot) * SLOT;
    const block: Block = log.memory.take(length);
    try {
      yield op.read(log.file, (payload + e.slot) * SLOT, length, block);
      if (crc32(block.bytes.subarray(0, length)) !== e.crc) lost.push(e);
    } finally {
      log.memory.give(block);
    }
  }
  return lost;
}
