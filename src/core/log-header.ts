/** Headers of records where they lie in the undo log's file. */
import { IoError } from '../base/errors.ts';
import { decodeHeader, type FoundHeader, headerAt, type PoolKey, SLOT } from './log-record.ts';
import { type Block, op, type Plan, type PoolFile } from './ops.ts';
import type { Memory } from './ports.ts';

export type LogFile = { file: PoolFile; slots: number; memory: Memory };

/** Something that looks like a header; its checksum was not looked at. `pool`: null if it does not say whose it is. */
export type HeaderPlace = { slot: number; seq: number; pool: PoolKey | null };

const WINDOW_SLOTS = 256;
/** Read at the same time. */
const WINDOWS = 8;

type Window = { slot: number; slots: number; block: Block };

/** The record with that number that begins there, if its header is whole. */
export function* readHeader(log: LogFile, slot: number, seq: number): Plan<FoundHeader | null> {
  const first = log.memory.take(SLOT);
  let blocks: number;
  let header: FoundHeader | null = null;
  try {
    yield op.read(log.file, slot * SLOT, SLOT, first);
    const begun = headerAt(first.bytes);
    blocks = begun?.seq === seq ? begun.blocks : 0;
    if (blocks === 0 || slot + blocks > log.slots) return null;
    if (blocks === 1) header = decodeHeader(first.bytes, 1);
  } finally {
    log.memory.give(first);
  }
  if (blocks > 1) header = yield* readLongHeader(log, slot, blocks);
  return header === null || slot + blocks + header.payloadSlots > log.slots ? null : header;
}

function* readLongHeader(log: LogFile, slot: number, blocks: number): Plan<FoundHeader | null> {
  const block = log.memory.take(blocks * SLOT);
  try {
    yield op.read(log.file, slot * SLOT, blocks * SLOT, block);
    return decodeHeader(block.bytes, blocks);
  } finally {
    log.memory.give(block);
  }
}

/** In the order of their places. */
function* headersIn(log: LogFile, from: number, to: number): Plan<HeaderPlace[]> {
  const places: HeaderPlace[] = [];
  for (let at = from; at < to; at += WINDOW_SLOTS * WINDOWS) {
    const windows: Window[] = [];
    for (let slot = at; slot < Math.min(to, at + WINDOW_SLOTS * WINDOWS); slot += WINDOW_SLOTS) {
      const slots = Math.min(WINDOW_SLOTS, to - slot);
      windows.push({ slot, slots, block: log.memory.take(slots * SLOT) });
    }
    try {
      yield windows.map(({ slot, slots, block }) => op.read(log.file, slot * SLOT, slots * SLOT, block));
      for (const window of windows) places.push(...headersOf(window));
    } finally {
      for (const { block } of windows) log.memory.give(block);
    }
  }
  return places;
}

/** The same without those places that cannot be read. */
export function* readableHeadersIn(log: LogFile, from: number, to: number): Plan<HeaderPlace[]> {
  try {
    return yield* headersIn(log, from, to);
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    if (to - from === 1) return [];
    const middle = Math.ceil((from + to) / 2);
    return [...(yield* readableHeadersIn(log, from, middle)), ...(yield* readableHeadersIn(log, middle, to))];
  }
}

function headersOf({ slot, slots, block }: Window): HeaderPlace[] {
  const places: HeaderPlace[] = [];
  const words = new Uint32Array(block.bytes.buffer, block.bytes.byteOffset, (slots * SLOT) / 4);
  for (let i = 0; i < slots; i++) {
    if (words[(i * SLOT) / 4] === 0) continue; // never written: nearly all
    const header = headerAt(block.bytes.subarray(i * SLOT, (i + 1) * SLOT));
    if (header !== null) places.push({ slot: slot + i, seq: header.seq, pool: header.pool });
  }
  return places;
}
