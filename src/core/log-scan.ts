/**
 * Reading the undo log: the records from its tail on, and where one of them is damaged.
 *
 * The log ends at the first record that is not whole: a write that the end of the machine tore. But a record is written
 * only after all earlier ones are durable. So where a later one is there, all before it were whole once, and what is not whole
 * of them is damaged. It is never taken for the end: what it held is lost, and whose that was has to be known (B1).
 *
 *   the next record    is looked for as far behind as it can be
 *   any later one      after a power loss: in all of the ring (log-ring.ts)
 *   none at all        then the catalog tells whether there must be one (rows.ts): the tail itself, or what was cut off last
 *
 * The last record of all cannot be told from one that was torn.
 *
 * No record is longer than RECORD_SLOTS_MAX. What a volume's old grains in the log look like is not ours to say: so a
 * record counts if it says that it is this pool's and has its number. Those that format 1 wrote do not say whose they are;
 * they count by the very next number, until the log has been cut once.
 */
import { crc32 } from 'node:zlib';
import { type HeaderPlace, readableHeadersIn, readHeader } from './log-header.ts';
import {
  COPY,
  type FoundHeader,
  type PoolKey,
  RECORD_SLOTS_MAX,
  type RecordEntry,
  SLOT,
} from './log-record.ts';
import { laterRecord, lookThrough, type Ring } from './log-ring.ts';
import { type Block, op, type Plan, type PoolFile } from './ops.ts';
import type { Memory } from './ports.ts';
import type { EngineRow } from './rows.ts';

/** Where a log is read from. `named`: records that do not say whose they are do not count. */
export type LogSource = { file: PoolFile; slots: number; memory: Memory; pool: PoolKey; named: boolean };

/** What the catalog knows of it. */
type Known = Pick<EngineRow, 'tailSlot' | 'tailSeq' | 'tailWritten' | 'mark' | 'clean'>;

/** `lost`: entries whose grains do not have their checksum. */
type FoundRecord = { header: FoundHeader; slot: number; lost: RecordEntry[] };

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
  /** What was cut off last is not where it was. */
  markLost: boolean;
  /** None is where the catalog says, but there is one that came after: the catalog is older than the log. */
  newer: HeaderPlace | null;
  /** There is no record of this pool, but one of that. */
  foreign: PoolKey | null;
};

/** `trusted`: the process died, and not the machine. Payloads are not looked at. */
export function* scanLog(log: LogSource, known: Known, trusted: boolean): Plan<LogScan> {
  const { tailSlot: head, tailSeq: seq } = known;
  const scan: LogScan = {
    records: [],
    missing: [],
    head,
    seq,
    torn: false,
    markLost: false,
    newer: null,
    foreign: null,
  };
  let ring: Ring | undefined;
  for (;;) {
    const found = yield* recordAt(log, scan.head, scan.seq, trusted);
    const isWhole = found !== null && found.lost.length === 0;
    if (isWhole || (found !== null && known.tailWritten === true && scan.records.length === 0)) {
      goOn(log, scan, found!);
      continue;
    }
    let next = yield* nextRecord(log, scan.head, scan.seq + 1, found);
    if (next === null && !trusted && !known.clean) {
      ring ??= yield* lookThrough(log);
      next = yield* laterRecord(log, ring, scan.seq);
    }
    scan.torn = found !== null && next === null;
    if (next === null) break;
    if (found !== null) scan.records.push(found);
    const missing: MissingRecord =
      found === null ? { seq: scan.seq, slot: scan.head } : { seq: scan.seq + 1, slot: endOf(log, found) };
    if (missing.seq < next.seq) scan.missing.push(missing);
    Object.assign(scan, { head: next.slot, seq: next.seq });
  }
  if (scan.records.length === 0) yield* missTail(log, known, scan, ring);
  return scan;
}

function goOn(log: LogSource, scan: LogScan, found: FoundRecord): void {
  scan.records.push(found);
  scan.head = endOf(log, found);
  scan.seq++;
}

const endOf = (log: LogSource, { slot, header }: FoundRecord): number =>
  (slot + header.headerBlocks + header.payloadSlots) % log.slots;

/** Nothing was found. Whether there must have been something, and whose log it is. */
function* missTail(log: LogSource, known: Known, scan: LogScan, ring: Ring | undefined): Plan<void> {
  const { mark, clean, tailWritten, tailSeq: seq, tailSlot: slot } = known;
  if (mark !== undefined) scan.markLost = (yield* recordHeader(log, mark.slot, mark.seq)) === null;
  const isLost = !clean && (tailWritten === true || scan.markLost);
  if (isLost) scan.missing.push({ seq, slot });
  // Another pool's records may be among a volume's old grains: they mean something only where one of this pool must be.
  if (!log.named) return;
  // A closed one whose first mark is still there, because it lies where nothing fits: the others came around over the tail.
  if (clean && mark !== undefined && !scan.markLost)
    scan.newer = yield* laterRecord(log, yield* lookAtTail(log, slot), seq);
  if (!isLost && !scan.markLost) return;
  const all = ring ?? (yield* lookThrough(log));
  scan.foreign = all.foreign;
  // What was cut off last stays until others have come around the ring: those must be known.
  if (scan.markLost) scan.newer = yield* laterRecord(log, all, seq - 1);
}

/** What has begun where the record at the tail would be. */
function* lookAtTail(log: LogSource, slot: number): Plan<Pick<Ring, 'ours'>> {
  const found = yield* readableHeadersIn(log, slot, Math.min(log.slots, slot + RECORD_SLOTS_MAX + 1));
  return { ours: found.filter(({ pool }) => pool === log.pool) };
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

/**
 * The record with this number, which begins at `slot` or, if there was no room for it, at the ring's beginning. There may be
 * two where there could be too little room: of one at `slot` that a power loss tore the header may be left, and the next
 * engine's record of that number was longer.
 */
function* recordAt(log: LogSource, slot: number, seq: number, trusted: boolean): Plan<FoundRecord | null> {
  const found: FoundRecord[] = [];
  for (const at of placesAt(log, slot)) {
    const header = yield* recordHeader(log, at, seq);
    if (header !== null) found.push({ header, slot: at, lost: [] });
  }
  if (!trusted || found.length > 1)
    for (const each of found)
      each.lost = yield* lostEntries(log, each.header, each.slot + each.header.headerBlocks);
  return found.find(({ lost }) => lost.length === 0) ?? found[0] ?? null;
}

/** Where the record may begin that comes when the log has got to `slot`: there, or at the ring's beginning if it does not fit. */
export const placesAt = ({ slots }: { slots: number }, slot: number): number[] =>
  slot > 0 && slot + RECORD_SLOTS_MAX > slots ? [slot, 0] : [slot];

/** Of this pool, or of one that does not say where those count. */
function* recordHeader(log: LogSource, slot: number, seq: number): Plan<FoundHeader | null> {
  const header = yield* readHeader(log, slot, seq);
  if (header === null) return null;
  return header.pool === log.pool || (header.pool === null && !log.named) ? header : null;
}

/** Where the record with this number begins, the one before it having begun at `slot` (as `found`, if that is known). */
function* nextRecord(
  log: LogSource,
  slot: number,
  seq: number,
  found: FoundRecord | null,
): Plan<MissingRecord | null> {
  if (found !== null) {
    const next = yield* recordAt(log, endOf(log, found), seq, true);
    return next === null ? null : { seq, slot: next.slot };
  }
  const place = yield* search(log, slot, Math.min(log.slots, slot + RECORD_SLOTS_MAX + 1), seq);
  if (place !== null || slot + 2 * RECORD_SLOTS_MAX < log.slots) return place;
  // One of the two did not fit before the ring's end.
  return yield* search(log, 0, Math.min(slot, RECORD_SLOTS_MAX + 1), seq);
}

function* search(log: LogSource, from: number, to: number, seq: number): Plan<MissingRecord | null> {
  const places = yield* readableHeadersIn(log, from, to);
  for (const place of places)
    if (place.seq === seq && (yield* recordHeader(log, place.slot, seq)) !== null)
      return { seq, slot: place.slot };
  return null;
}

/** COPY entries whose grains do not have their checksum. */
function* lostEntries(log: LogSource, header: FoundHeader, payload: number): Plan<RecordEntry[]> {
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
