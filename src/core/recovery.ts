/**
 * Opening a pool: from the catalog, the bitmap files or the shared memory, and the undo log, to volumes that serve.
 *
 * Two kinds of death (B6):
 *   - the process died: the shared words are the truth for every bit, and for which log slots still count. Bits that
 *     were not durable are made so before anything is served.
 *   - the machine went down: the catalog names the bitmap files; the log's records since the last checkpoint are
 *     applied on top, the last one for a grain wins. No data is copied: grains that the log has are read from there
 *     until the next checkpoint.
 *
 * B1: what is damaged takes its volume (and those that read through it) offline, with the file and the place named.
 */
import { crc32 } from 'node:zlib';
import type { EpochSeq, VolumeId } from '../base/brands.ts';
import { FlashCopyError } from '../base/errors.ts';
import { Bitmap } from './bitmap.ts';
import { loadBitmap } from './bitmap-file.ts';
import { COPY, decodeHeader, headerBlocksAt, type RecordHeader, SLOT } from './log-record.ts';
import { op, type Plan, Signal } from './ops.ts';
import type { BitmapRow, EngineRow, EpochRow, MappingRow, VolumeRow } from './rows.ts';
import { type State, together } from './state.ts';
import type { LogRecord } from './undo-log.ts';
import { Volume } from './volume.ts';

type CatalogRow = { table: string; key: number; row: object };
export type OpenInput = {
  rows: CatalogRow[];
  damaged: { table: string; key: number; error: string }[];
  shmSurvived: boolean;
};

/** Bitmap files read at the same time. */
const LOADERS = 32;

export function* recover(state: State, input: OpenInput): Plan<{ warm: boolean }> {
  const warm = input.shmSurvived && state.arena.ready;
  if (!warm) state.arena.reset();
  const bad = buildTree(state, input);
  yield* loadBits(state, warm, bad);
  yield* replayLog(state, warm);
  if (!state.engine.clean) for (const v of state.volumes.values()) v.sparse = false;
  for (const [volume, reason] of bad) suspend(state, volume, reason);
  return { warm };
}

/** Volumes, mappings and epochs as the rows say. Which volumes cannot be served, and why. */
function buildTree(state: State, input: OpenInput): Map<Volume, string> {
  const bad = new Map<Volume, string>();
  const epochs: EpochRow[] = [];
  for (const { table, key, row } of input.rows) {
    if (table === 'engine') state.engine = row as EngineRow;
    else if (table === 'bitmap') state.bitmaps.set(key, row as BitmapRow);
    else if (table === 'epoch') epochs.push(row as EpochRow);
    else if (table === 'mapping')
      state.mappings.set(key, { row: row as MappingRow, wake: new Signal(), cursor: 0, running: false });
    else if (table === 'volume') {
      const volume = new Volume(row as VolumeRow, state.runner, state.arena);
      state.volumes.set(key, volume);
      if (!volume.row.retired) state.names.set(volume.name, volume);
    }
  }
  standIns(state, input.damaged, bad);
  for (const volume of state.volumes.values()) {
    if (volume.row.parent === null) continue;
    const parent = state.volumes.get(volume.row.parent);
    if (parent === undefined)
      bad.set(volume, `the catalog has no volume ${volume.row.parent}, which it reads from`);
    else {
      volume.parent = parent;
      parent.children.push(volume);
    }
  }
  buildEpochs(state, epochs, bad);
  spreadDamage(state, input.damaged, bad);
  return bad;
}

/** A volume whose own row is damaged is listed all the same, offline, under a name made from its id. */
function standIns(state: State, damaged: OpenInput['damaged'], bad: Map<Volume, string>): void {
  for (const d of damaged) {
    if (d.table === 'engine')
      throw new FlashCopyError('Damaged', `${d.error}: without it no pool can be opened`);
    if (d.table !== 'volume') continue;
    const id = d.key as VolumeId;
    const row: VolumeRow = {
      id,
      name: `damaged-${id}`,
      kind: 'volume',
      size: SLOT,
      grain: SLOT,
      provisioning: 'thin',
      cowFailure: 'breakSnapshot',
      file: id,
      held: null,
      parent: null,
      source: null,
      since: 0 as EpochSeq,
      epoch: 0 as EpochSeq,
      sparse: false,
      retired: false,
      offline: d.error,
      createdAt: 0,
    };
    const volume = new Volume(row, state.runner, state.arena);
    state.volumes.set(id, volume);
    state.names.set(row.name, volume);
    bad.set(volume, d.error);
  }
}

/** Other damaged rows take along whatever cannot be trusted without them. */
function spreadDamage(state: State, damaged: OpenInput['damaged'], bad: Map<Volume, string>): void {
  for (const d of damaged) {
    if (d.table === 'bitmap')
      for (const v of state.volumes.values())
        if (v.row.held === d.key || v.epochs.some((e) => e.row.bitmap === d.key)) bad.set(v, d.error);
    if (d.table === 'mapping')
      for (const v of state.volumes.values())
        if (v.row.held !== null && !v.row.retired && state.mappingOf(v) === undefined) bad.set(v, d.error);
    // Whose epoch it was cannot be known: no sync can be sure of what changed.
    if (d.table === 'epoch')
      for (const m of state.mappings.values())
        if (m.row.incremental && m.row.cut > 0) m.row = { ...m.row, state: 'suspended', error: d.error };
  }
}

function buildEpochs(state: State, rows: EpochRow[], bad: Map<Volume, string>): void {
  rows.sort((a, b) => a.seq - b.seq);
  for (const row of rows) {
    const volume = state.volumes.get(row.volume);
    if (volume === undefined) continue;
    const bits = state.bitmaps.get(row.bitmap)?.bits ?? volume.grains;
    const marks = row.seq === volume.row.epoch ? new Set<number>() : null;
    volume.epochs.push({ row, bitmap: new Bitmap(state.arena, row.bitmap, bits), marks });
  }
  for (const volume of state.volumes.values()) {
    const id = volume.row.held;
    if (id === null) continue;
    const bitmapRow = state.bitmaps.get(id);
    if (bitmapRow === undefined) bad.set(volume, `the catalog has no bitmap ${id}, which says what it holds`);
    volume.held = new Bitmap(state.arena, id, bitmapRow?.bits ?? volume.grains);
  }
}

function* loadBits(state: State, warm: boolean, bad: Map<Volume, string>): Plan<void> {
  const all: { volume: Volume; bitmap: Bitmap }[] = [];
  for (const volume of state.volumes.values()) {
    if (volume.held !== null) all.push({ volume, bitmap: volume.held });
    for (const e of volume.epochs) all.push({ volume, bitmap: e.bitmap });
  }
  if (warm) {
    const byId = new Map(all.map(({ bitmap }) => [bitmap.id, bitmap]));
    state.arena.sweep((id, index, page, full, dirty) => {
      const bitmap = byId.get(id);
      if (bitmap === undefined) return false;
      bitmap.adopt(index, page, full);
      if (dirty) bitmap.dirty = true;
      return true;
    });
    return;
  }
  let next = 0;
  const loader = function* (): Plan<void> {
    while (next < all.length) {
      const { volume, bitmap } = all[next++]!;
      const row = state.bitmaps.get(bitmap.id);
      if (row === undefined) continue;
      try {
        yield* loadBitmap(state, row, bitmap);
      } catch (error) {
        bad.set(volume, `its metadata is damaged: ${(error as Error).message}`);
      }
    }
  };
  yield* together(
    state,
    Array.from({ length: LOADERS }, () => loader()),
  );
}

/** Damage spreads to those that read through the volume. Their bitmaps stay as they are; nobody touches them. */
function suspend(state: State, volume: Volume, reason: string): void {
  if (volume.row.offline === '') volume.row = { ...volume.row, offline: reason };
  state.listener.log('error', 'volume is suspended', { volume: volume.name, reason });
  for (const m of state.mappings.values())
    if (m.row.target === volume.row.id && m.row.state !== 'suspended')
      m.row = { ...m.row, state: 'suspended', error: reason };
  for (const child of volume.children) suspend(state, child, `it reads through ${volume.name}: ${reason}`);
}

type Found = { header: RecordHeader; slot: number };

function* replayLog(state: State, warm: boolean): Plan<void> {
  const records = yield* scanLog(state, warm);
  const bitmaps = new Map<number, Bitmap>();
  for (const v of state.volumes.values()) {
    if (v.held !== null) bitmaps.set(v.held.id, v.held);
    for (const e of v.epochs) bitmaps.set(e.bitmap.id, e.bitmap);
  }
  for (const { header, slot } of records) {
    const payload = slot + header.headerBlocks;
    const record = {
      seq: header.seq,
      slot,
      slots: header.headerBlocks + header.payloadSlots,
      copies: [] as LogRecord['copies'],
    };
    state.log.records.push(record);
    for (const e of header.entries) {
      const bitmap = bitmaps.get(e.bitmap);
      const volume = state.volumes.get(e.volume);
      if (bitmap === undefined || volume === undefined || e.first + e.count > bitmap.bits) continue;
      if (!warm) bitmap.setRange(e.first, e.count);
      if (volume.held !== bitmap) continue;
      if (e.kind === COPY) {
        const copy = { volume, bitmap, first: e.first, count: e.count, slot: payload + e.slot };
        record.copies.push(copy);
        adoptCopy(state, copy, warm);
      } else if (!warm) state.log.noteFilled(volume, e.first, e.count);
    }
  }
}

function adoptCopy(state: State, copy: LogRecord['copies'][number], warm: boolean): void {
  if (!warm) {
    state.log.noteFilled(copy.volume, copy.first, copy.count); // an older record of the same grain, if any
    state.log.noteLogged(copy);
    return;
  }
  const per = copy.volume.grain / SLOT;
  for (let i = 0; i < copy.count; i++) {
    const slot = copy.slot + i * per;
    const live = state.arena.slotLive(slot);
    copy.volume.logged.set(copy.first + i, slot * 2 + (live ? 0 : 1));
    if (live) copy.volume.unfilled++;
    // The file is newer, and the log may not say so yet.
    else if (copy.volume.held!.get(copy.first + i)) copy.volume.addPending(copy.first + i, 1);
  }
}

/** The records from the tail on, up to the first that is not whole. Leaves the log ready to go on behind them. */
function* scanLog(state: State, warm: boolean): Plan<Found[]> {
  const log = state.log;
  const found: Found[] = [];
  let slot = state.engine.tailSlot;
  let seq = state.engine.tailSeq;
  for (;;) {
    let header = yield* readRecord(state, slot, seq, warm);
    if (header === null && slot !== 0) {
      header = yield* readRecord(state, 0, seq, warm);
      if (header !== null) slot = 0;
    }
    if (header === null) break;
    found.push({ header, slot });
    slot = (slot + header.headerBlocks + header.payloadSlots) % log.slots;
    seq++;
  }
  log.head = slot;
  log.seq = seq;
  return found;
}

function* readRecord(state: State, slot: number, seq: number, warm: boolean): Plan<RecordHeader | null> {
  const log = state.log;
  const first = state.memory.take(SLOT);
  let blocks: number;
  let header: RecordHeader | null = null;
  try {
    yield op.read(log.file, slot * SLOT, SLOT, first);
    blocks = headerBlocksAt(first.bytes, seq);
    if (blocks === 0 || slot + blocks > log.slots) return null;
    if (blocks === 1) header = decodeHeader(first.bytes, 1);
  } finally {
    state.memory.give(first);
  }
  if (blocks > 1) header = yield* readLongHeader(state, slot, blocks);
  if (header === null || slot + blocks + header.payloadSlots > log.slots) return null;
  // After the death of the process only what was flushed counts as well, but then no write of ours can be torn.
  if (warm || (yield* payloadIsWhole(state, header, slot + blocks))) return header;
  return null;
}

function* readLongHeader(state: State, slot: number, blocks: number): Plan<RecordHeader | null> {
  const block = state.memory.take(blocks * SLOT);
  try {
    yield op.read(state.log.file, slot * SLOT, blocks * SLOT, block);
    return decodeHeader(block.bytes, blocks);
  } finally {
    state.memory.give(block);
  }
}

function* payloadIsWhole(state: State, header: RecordHeader, payload: number): Plan<boolean> {
  const copies = header.entries.filter((e) => e.kind === COPY);
  for (let i = 0; i < copies.length; i++) {
    const e = copies[i]!;
    const end = copies[i + 1]?.slot ?? header.payloadSlots;
    const length = (end - e.slot) * SLOT;
    const block = state.memory.take(length);
    try {
      yield op.read(state.log.file, (payload + e.slot) * SLOT, length, block);
      if (crc32(block.bytes.subarray(0, length)) !== e.crc) return false;
    } finally {
      state.memory.give(block);
    }
  }
  return true;
}
