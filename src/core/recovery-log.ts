/**
 * Applying the undo log when a pool is opened: which records there are, whether they are this pool's and all of them, and what
 * they say that volumes hold.
 */
import { FlashCopyError } from '../base/errors.ts';
import { VOLATILE_ID } from './arena.ts';
import { Bitmap } from './bitmap.ts';
import { loadBitmap } from './bitmap-file.ts';
import type { LogRecord } from './log-entry.ts';
import { COPY, headerAt, type RecordEntry, SET, SLOT } from './log-record.ts';
import { type LogScan, placesAt, scanLog, withoutTornEnd } from './log-scan.ts';
import { op, type Plan } from './ops.ts';
import type { Damage } from './recovery-damage.ts';
import type { LogTail } from './rows.ts';
import type { State } from './state.ts';
import type { Volume } from './volume.ts';

/** Of the log's last record, written again at once. */
const REWRITE_SLOTS = 256;

/**
 * `row`: of the tail `seq`, for the catalog, when the bits that were set for a log that `isLost` are durable. `isWhole`: what the
 * catalog knows of the log is there.
 */
export type TailFound = { isLost: boolean; isWhole: boolean; seq: number; row: Partial<LogTail> };

export function* replayLog(state: State, warm: boolean, damage: Damage): Plan<TailFound> {
  const log = logOf(state);
  let scan = yield* scanLog(log, state.engine, warm);
  if (warm) scan = yield* withoutTornEnd(log, scan, (slot) => state.arena.slotLive(slot));
  state.log.head = scan.head;
  state.log.seq = scan.seq;
  refuseOtherLog(state, scan);
  refuseOlderCatalog(state, scan);
  // What the dead engine had not come to flush must not be missing later, where a later record is not.
  yield* settleLast(state, scan);
  if (scan.missing.length > 0) damage.unknownRecords(scan, warm);
  applyRecords(state, scan, warm, damage);
  if (warm)
    for (const v of state.volumes.values()) if (v.badFile !== '') yield* pendUndurable(state, v, scan);
  return tailOf(state, scan);
}

/** Its own log may still be somewhere, and somebody may be looking for this one. */
function refuseOtherLog(state: State, { foreign }: LogScan): void {
  if (foreign === null) return;
  throw new FlashCopyError(
    'Damaged',
    `The undo log log is of another pool (${foreign}), and not of this one (${state.log.pool}). Nothing was changed. Put this ` +
      "pool's own log back, or its own catalog.db.",
  );
}

/** What the next engine may rely on. Of a log that is lost that is nothing: who is concerned has been told. */
function tailOf({ engine }: State, scan: LogScan): TailFound {
  const seq = engine.tailSeq;
  const isLost = scan.missing.length > 0;
  const isWhole = !isLost && !scan.markLost;
  const [first] = scan.records;
  if (first !== undefined)
    return { isLost, isWhole, seq, row: first.header.seq === seq ? { tailWritten: true } : {} };
  return { isLost, isWhole, seq, row: { tailWritten: false, ...(scan.markLost && { mark: undefined }) } };
}

export const PUT_CATALOG_BACK =
  'Put catalog.db back as it was with the rest of the pool, with the catalog.db-wal of the same moment; if there was none, ' +
  'one that lies there now must go: keep a copy of both first.';

/** An id is in the log only after the commit that gave it out. */
function refuseOlderCatalog(state: State, scan: LogScan): void {
  const refuse = (slot: number, seq: number, what: string): never => {
    throw new FlashCopyError(
      'Damaged',
      `The catalog is older than the undo log: log at byte ${slot * SLOT} (record ${seq}) ${what}. Nothing was changed. ` +
        PUT_CATALOG_BACK,
    );
  };
  if (scan.newer !== null)
    refuse(scan.newer.slot, scan.newer.seq, 'came after all that the catalog knows, which is gone');
  for (const { header, slot } of scan.records) {
    const last = Math.max(...header.entries.flatMap((e) => [e.volume, e.bitmap]));
    if (last >= state.engine.nextId)
      refuse(slot, header.seq, `names id ${last}, which the catalog has not given out yet`);
  }
}

/**
 * What a power cut left of a record is wiped. The last record may be one whose flush failed before the process died: a flush
 * alone would prove nothing (B3), one after it was written once more does. All earlier ones were durable before it was begun.
 */
function* settleLast(state: State, scan: LogScan): Plan<void> {
  const { file } = state.log;
  yield* wipeTorn(state, scan);
  const last = scan.records.at(-1);
  if (last !== undefined)
    yield* writeAgain(state, last.slot, last.header.headerBlocks + last.header.payloadSlots);
  yield op.flush(file);
}

function* writeAgain({ log, memory }: State, slot: number, slots: number): Plan<void> {
  const block = memory.take(REWRITE_SLOTS * SLOT);
  try {
    for (let at = 0; at < slots; at += REWRITE_SLOTS) {
      const bytes = Math.min(REWRITE_SLOTS, slots - at) * SLOT;
      yield op.read(log.file, (slot + at) * SLOT, bytes, block);
      yield op.write(log.file, (slot + at) * SLOT, bytes, block);
    }
  } finally {
    memory.give(block);
  }
}

/**
 * The header of a record that was torn, and did not count. Left there, it could become whole by the next record of that number
 * being torn too, where that one's grains are the same: and would give a target grains that it has newer.
 */
function* wipeTorn({ log, memory }: State, scan: LogScan): Plan<void> {
  const block = memory.take(SLOT);
  try {
    for (const slot of placesAt(log, scan.head)) {
      if (isInUse(scan, slot)) continue;
      yield op.read(log.file, slot * SLOT, SLOT, block);
      // Zeros may be those of an engine that died before it had flushed them, or that could not.
      const isZeros = block.bytes.subarray(0, SLOT).every((byte) => byte === 0);
      if (!isZeros && headerAt(block.bytes)?.seq !== scan.seq) continue;
      block.bytes.fill(0);
      yield op.write(log.file, slot * SLOT, SLOT, block);
    }
  } finally {
    memory.give(block);
  }
}

/** Whether a record lies there, or may lie there. */
const isInUse = (scan: LogScan, at: number): boolean =>
  scan.missing.length > 0 ||
  scan.records.some(
    ({ slot, header }) => at >= slot && at < slot + header.headerBlocks + header.payloadSlots,
  );

const logOf = ({ log, memory, engine }: State) => {
  const { file, slots, pool } = log;
  return { file, slots, memory, pool, named: engine.named === true };
};

function applyRecords(state: State, scan: LogScan, warm: boolean, damage: Damage): void {
  const bitmaps = new Map<number, Bitmap>();
  for (const v of state.volumes.values()) {
    if (v.held !== null) bitmaps.set(v.held.id, v.held);
    for (const e of v.epochs) bitmaps.set(e.bitmap.id, e.bitmap);
  }
  for (const { header, slot, lost } of scan.records) {
    const payload = slot + header.headerBlocks;
    const record = {
      seq: header.seq,
      slot,
      slots: header.headerBlocks + header.payloadSlots,
      named: header.pool !== null,
      copies: [] as LogRecord['copies'],
    };
    state.log.records.push(record);
    for (const e of header.entries) {
      const bitmap = bitmaps.get(e.bitmap);
      const volume = state.volumes.get(e.volume);
      if (volume !== undefined && volume.held === bitmap && lost.includes(e)) {
        damage.content(volume, lostText(slot, header.seq, payload + e.slot, e));
        continue;
      }
      if (bitmap === undefined || volume === undefined || e.first + e.count > bitmap.bits) continue;
      if (!warm) bitmap.setRange(e.first, e.count);
      if (volume.held !== bitmap) continue;
      if (e.kind === COPY) {
        const copy = { volume, bitmap, first: e.first, count: e.count, slot: payload + e.slot };
        record.copies.push(copy);
        adoptCopy(state, copy, warm);
      } else if (!warm) {
        state.log.noteFilled(volume, e.first, e.count);
        volume.noteNewer(e.first, e.count);
      }
    }
  }
  if (!warm) return;
  // When all are known: the last one for a grain counts.
  for (const volume of state.volumes.values()) pendNewer(volume);
  dropUnowned(state);
}

/** Slots of a volume that went, or of what it held before, when the process died before it said so. */
function dropUnowned({ volumes, arena, log }: State): void {
  const owned = new Set<number>();
  for (const { logged } of volumes.values())
    for (const at of logged.values()) if ((at & 1) === 0) owned.add(at / 2);
  for (let slot = 0; slot < log.slots; slot++)
    if (arena.slotLive(slot) && !owned.has(slot)) arena.setSlot(slot, false);
}

function lostText(slot: number, seq: number, at: number, e: RecordEntry): string {
  return `log at byte ${at * SLOT} (record ${seq} at byte ${slot * SLOT}) is damaged: grains ${e.first} to ${e.first + e.count - 1} are lost`;
}

function adoptCopy(state: State, copy: LogRecord['copies'][number], warm: boolean): void {
  if (!warm) {
    state.log.noteFilled(copy.volume, copy.first, copy.count); // an older record of the same grain, if any
    state.log.noteLogged(copy);
    return;
  }
  const { volume } = copy;
  const per = volume.grain / SLOT;
  for (let i = 0; i < copy.count; i++) {
    const g = copy.first + i;
    const slot = copy.slot + i * per;
    // The process died before the bit said so: nobody has acted on the record.
    if (!volume.held!.get(g)) state.arena.setSlot(slot, false);
    const live = state.arena.slotLive(slot);
    volume.logged.set(g, slot * 2 + (live ? 0 : 1));
    if (live) volume.unfilled++;
    if (live) volume.newer.delete(g);
    else volume.newer.add(g);
  }
}

/**
 * The bits of a process that died, where the file is not there to be flushed: those wait of which neither the bitmap's file nor the log
 * says that the data file has them.
 */
function* pendUndurable(state: State, volume: Volume, { records }: LogScan): Plan<void> {
  const { held } = volume;
  const row = held === null ? undefined : state.bitmaps.get(held.id);
  if (held === null || row === undefined) return;
  const durable = new Bitmap(state.arena, VOLATILE_ID, held.bits);
  try {
    yield* loadBitmap(state.memory, row, durable);
  } catch (error) {
    if (!(error instanceof FlashCopyError) || error.code === 'PoolTooNew') throw error;
    durable.clearRange(0, durable.bits);
  }
  // An older copy in the log would be taken for the newest.
  for (const g of volume.logged.keys()) durable.clearRange(g, 1);
  for (const { header } of records)
    for (const { kind, bitmap, first, count } of header.entries)
      if (kind === SET && bitmap === held.id && first + count <= held.bits) durable.setRange(first, count);
  volume.dropPending();
  volume.pendAll(durable);
  durable.release();
}

/** Grains that the file has newer than the log, which may not say so yet. */
function pendNewer(volume: Volume): void {
  for (const [g, at] of volume.logged) if ((at & 1) === 1 && volume.held!.get(g)) volume.addPending(g, 1);
}
