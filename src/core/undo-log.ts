/**
 * The undo log: old grains of many host writes, and bits, made durable in one write and one flush (H1).
 *
 * A ring of 4096-byte slots in one preallocated file. `append` returns when the entries are durable; what arrives
 * while a commit is under way goes into the next one together. One commit at a time, so that a record is never
 * durable without all earlier ones.
 *
 * After the flush each COPY entry's grains are `logged` in their volume (they live in the log), then its bits are set:
 * in this order, so that a process that dies between leaves a grain that is not held, whose source is not yet
 * overwritten.
 *
 * Room: all that is appended has its room reserved. Whoever waits for room holds nothing: no grain lock, no gate, not the turn to
 * change the tree, and no checkpoint waits for it. Else it could wait for room that only a checkpoint can make, which may wait
 * for those. Who holds such reserves before, or has bits only: they go to their bitmap's file where here is no room. Who
 * has waited longest comes first (log-line.ts).
 *
 * B3: after a failed write or flush the log takes nothing any more; the failure is told to all that come.
 */
import { crc32 } from 'node:zlib';
import { assert, FlashCopyError } from '../base/errors.ts';
import type { Arena } from './arena.ts';
import type { LogEntry, LogRecord } from './log-entry.ts';
import { Line, type Place } from './log-line.ts';
import {
  COPY,
  ENTRIES_MAX,
  encodeHeader,
  headerBlocksFor,
  PAYLOAD_SLOTS_MAX,
  type PoolKey,
  RECORD_SLOTS_MAX,
  type RecordEntry,
  SET,
  SLOT,
} from './log-record.ts';
import { op, type Plan, PoolFile, type Runner, Signal, type Slice } from './ops.ts';
import type { Memory } from './ports.ts';
import { noteMarked, type Volume } from './volume.ts';

type Ticket = {
  entries: LogEntry[];
  slots: number;
  done: boolean;
  error: FlashCopyError | null;
  signal: Signal;
};

/** Never given away: what a record may leave unused at the ring's end, and room for bits that must go through. */
const MARGIN_SLOTS = RECORD_SLOTS_MAX + 256;
/** What an append takes beside its payload: its header, and bits that have to be durable before. */
const OVERHEAD_SLOTS = 16;
const BITS_SLOTS = 8;

/** Of one host write: it touches 2 MiB of grains at the most (1 MiB, not aligned to grains of 1 MiB), for two children in a turn. */
export const WRITE_SLOTS_MAX = (2 * 2 * 1024 * 1024) / SLOT;
/** A smaller log could have a write wait for ever. */
export const LOG_BYTES_MIN = (MARGIN_SLOTS + OVERHEAD_SLOTS + WRITE_SLOTS_MAX) * SLOT;

export class UndoLog {
  readonly file = new PoolFile('log');
  readonly slots: number;
  /** Whose it is; set before the first record. */
  pool!: PoolKey;
  /** Oldest first. */
  records: LogRecord[] = [];
  seq = 1;
  head = 0;
  commits = 0;
  /** Those who wait for room. */
  readonly line: Line;
  /** Somebody should make room. Set by the owner. */
  onPressure: () => void = () => {};
  private readonly runner: Runner;
  private readonly memory: Memory;
  private readonly arena: Arena;
  private queue: Ticket[] = [];
  private busy = false;
  private failed: FlashCopyError | null = null;
  private readonly cutSignal = new Signal();
  private reserved = 0;

  constructor(runner: Runner, memory: Memory, arena: Arena) {
    this.runner = runner;
    this.line = new Line(runner);
    this.memory = memory;
    this.arena = arena;
    this.slots = arena.logSlots;
  }

  /** Why it takes no more records. */
  get failure(): string | null {
    return this.failed === null ? null : this.failed.message;
  }

  get usedSlots(): number {
    const oldest = this.records[0];
    if (oldest === undefined) return 0;
    return this.head > oldest.slot ? this.head - oldest.slot : this.slots - oldest.slot + this.head;
  }

  /** What keeps checkpoints from making room, since the last one that did. */
  get stalled(): FlashCopyError | null {
    return this.line.stalled;
  }

  /** Room for so much payload in so many records, to be given back with `unreserve`; 0: there is none now, see `room`. */
  tryReserve(payloadSlots: number, records: number, place: Place | null): number {
    const need = payloadSlots + Math.max(OVERHEAD_SLOTS, records + BITS_SLOTS);
    assert(need + MARGIN_SLOTS <= this.slots, 'more room was asked for than the undo log has');
    if (!this.line.hasTurn(place) || this.lacks(need + MARGIN_SLOTS)) return 0;
    this.reserved += need;
    return need;
  }

  private lacks(slots: number): boolean {
    return this.failed === null && this.slots - this.usedSlots - this.reserved < slots;
  }

  /**
   * Wait until one has the turn and there may be more room. Not inside a gate, and without grain locks. `place`: what the wait before
   * has returned to the same request. Throws while nothing can make room: a host is told of a disk that fails, and not left to wait
   * for it.
   */
  *room(place: Place | null): Plan<Place> {
    // Without records all that is taken is reserved: whoever gives that back wakes them, and no checkpoint can.
    if (this.records.length > 0) this.onPressure();
    return yield* this.line.stand(place);
  }

  /** Wait until there is as much as a host's write needs at least. */
  *roomForBits(): Plan<void> {
    let place: Place | null = null;
    while (!this.line.hasTurn(place) || this.lacks(OVERHEAD_SLOTS + MARGIN_SLOTS))
      place = yield* this.room(place);
  }

  unreserve(slots: number): void {
    this.reserved -= slots;
    this.line.callFirst();
  }

  /** A checkpoint has failed, or has not. Those who wait for room look again. */
  stall(error: FlashCopyError | null): void {
    this.line.stall(error);
    this.runner.fire(this.cutSignal);
  }

  /** Make the entries durable, in order. One call's entries fit into one record. */
  *append(entries: LogEntry[]): Plan<void> {
    assert(entries.length <= ENTRIES_MAX, 'too many undo log entries in one call');
    if (this.failed !== null) throw this.failed;
    let slots = 0;
    for (const e of entries) if (e.block !== null) slots += (e.count * e.volume.grain) / SLOT;
    assert(slots <= PAYLOAD_SLOTS_MAX, 'too much undo log payload in one call');
    const ticket: Ticket = { entries, slots, done: false, error: null, signal: new Signal() };
    this.queue.push(ticket);
    if (!this.busy) {
      this.busy = true;
      this.runner.spawn(this.commitLoop(), (error) => {
        if (error !== null) throw error;
      });
    }
    while (!ticket.done) yield ticket.signal;
    if (ticket.error !== null) throw ticket.error;
  }

  /** Entries without grains, for which nobody has reserved room: at once, or not at all. True: there is no room for them. */
  *appendBits(entries: LogEntry[]): Plan<boolean> {
    const need = headerBlocksFor(entries.length);
    // Of the margin they leave what the ring's end may take.
    if (this.lacks(need + RECORD_SLOTS_MAX)) return true;
    this.reserved += need;
    try {
      yield* this.append(entries);
    } finally {
      this.unreserve(need);
    }
    return false;
  }

  private *commitLoop(): Plan<void> {
    while (this.queue.length > 0) {
      const batch = this.takeBatch();
      try {
        yield* this.commit(batch);
      } catch (error) {
        this.fail(error);
      }
      for (const t of batch) {
        t.done = true;
        t.error = this.failed;
        this.runner.fire(t.signal);
      }
    }
    this.busy = false;
  }

  private fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.failed = new FlashCopyError('IoError', `the undo log takes no more records: ${text}`, {
      cause: error,
    });
  }

  private takeBatch(): Ticket[] {
    const batch: Ticket[] = [];
    let slots = 0;
    let entries = 0;
    for (const t of this.queue) {
      if (
        batch.length > 0 &&
        (slots + t.slots > PAYLOAD_SLOTS_MAX || entries + t.entries.length > ENTRIES_MAX)
      )
        break;
      batch.push(t);
      slots += t.slots;
      entries += t.entries.length;
    }
    this.queue.splice(0, batch.length);
    return batch;
  }

  private *commit(batch: Ticket[]): Plan<void> {
    if (this.failed !== null) return;
    const entries = batch.flatMap((t) => t.entries);
    const headerBlocks = headerBlocksFor(entries.length);
    const payloadSlots = batch.reduce((n, t) => n + t.slots, 0);
    // 1. A place in the ring.
    const slot = yield* this.place(headerBlocks + payloadSlots);
    // 2. The record, in one write.
    const header = this.memory.take(headerBlocks * SLOT);
    const slots = headerBlocks + payloadSlots;
    const record: LogRecord = { seq: this.seq, slot, slots, named: true, copies: [] };
    const slices: Slice[] = [{ block: header, start: 0, length: headerBlocks * SLOT }];
    const rows = this.describe(entries, record, slot + headerBlocks, slices);
    encodeHeader({ seq: this.seq, headerBlocks, payloadSlots, entries: rows }, this.pool, header.bytes);
    try {
      yield op.writev(this.file, slot * SLOT, slices);
      // 3. Durable: only now may anybody act on it.
      yield op.flush(this.file);
    } catch (error) {
      this.noteFailed(record);
      throw error;
    } finally {
      this.memory.give(header);
    }
    this.commits++;
    this.push(record);
    // 4. The grains are found in the log before their bits say that they are held.
    for (const c of record.copies) this.noteLogged(c);
    for (const e of entries)
      if (e.marks === null) e.bitmap.setRange(e.first, e.count);
      else noteMarked(e.marks, e.first);
    if (this.usedSlots * 2 > this.slots) this.onPressure();
  }

  private push(record: LogRecord): void {
    this.seq++;
    this.head = (record.slot + record.slots) % this.slots;
    this.records.push(record);
  }

  /**
   * The next engine may find the record and take it for whole. So what the owners of its grains get that is newer waits to be durable
   * until a checkpoint has moved the tail behind it, and its number is not used again.
   */
  private noteFailed(record: LogRecord): void {
    this.push({ ...record, failed: true });
    for (const c of record.copies) {
      const per = c.volume.grain / SLOT;
      for (let i = 0; i < c.count; i++) c.volume.logged.set(c.first + i, (c.slot + i * per) * 2 + 1);
      c.volume.noteNewer(c.first, c.count);
    }
  }

  private describe(entries: LogEntry[], record: LogRecord, payload: number, slices: Slice[]): RecordEntry[] {
    let offset = 0;
    return entries.map((e) => {
      const row: RecordEntry = {
        kind: e.block === null ? SET : COPY,
        bitmap: e.bitmap.id,
        volume: e.volume.id,
        first: e.first,
        count: e.count,
        crc: 0,
        slot: offset,
      };
      if (e.block !== null) {
        const length = e.count * e.volume.grain;
        row.crc = crc32(e.block.bytes.subarray(e.start, e.start + length));
        slices.push({ block: e.block, start: e.start, length });
        record.copies.push({
          volume: e.volume,
          bitmap: e.bitmap,
          first: e.first,
          count: e.count,
          slot: payload + offset,
        });
        offset += length / SLOT;
      }
      return row;
    });
  }

  noteLogged(c: LogRecord['copies'][number]): void {
    const per = c.volume.grain / SLOT;
    for (let i = 0; i < c.count; i++) {
      const slot = c.slot + i * per;
      this.arena.setSlot(slot, true);
      c.volume.logged.set(c.first + i, slot * 2);
      c.volume.newer.delete(c.first + i);
      c.volume.unfilled++;
    }
  }

  /** The data file has these grains now, or something newer: the log's copies count no more. */
  noteFilled(volume: Volume, first: number, count: number): void {
    for (const g of volume.loggedIn(first, count)) {
      const at = volume.logged.get(g)!;
      if ((at & 1) === 1) continue;
      this.arena.setSlot(at / 2, false);
      volume.logged.set(g, at + 1);
      volume.unfilled--;
    }
  }

  /** The data file cannot be trusted to have what it was filled with: the log's copies count again. */
  unfill(volume: Volume): void {
    for (const [g, at] of volume.logged) {
      if ((at & 1) === 0 || volume.newer.has(g)) continue;
      this.arena.setSlot((at - 1) / 2, true);
      volume.logged.set(g, at - 1);
      volume.unfilled++;
    }
  }

  /** Forget everything about a volume: it is gone, or its grains mean nothing any more. */
  forget(volume: Volume): void {
    for (const [, at] of volume.logged) if ((at & 1) === 0) this.arena.setSlot(at / 2, false);
    volume.logged.clear();
    volume.newer.clear();
    volume.unfilled = 0;
  }

  /** Whether no grain of the records up to `seq` lives in the log only. */
  isFilled(seq: number): boolean {
    for (const r of this.records) {
      if (r.seq > seq) break;
      for (const c of r.copies) {
        if (c.volume.unfilled === 0) continue;
        const per = c.volume.grain / SLOT;
        for (let i = 0; i < c.count; i++)
          if (c.volume.logged.get(c.first + i) === (c.slot + i * per) * 2) return false;
      }
    }
    return true;
  }

  /** Cut off all records up to `seq`: their grains are durable elsewhere, and so is the new tail. */
  cut(seq: number): void {
    let n = 0;
    while (n < this.records.length && this.records[n]!.seq <= seq) {
      for (const c of this.records[n]!.copies) this.dropCopy(c);
      n++;
    }
    this.records.splice(0, n);
    this.line.callFirst();
    this.runner.fire(this.cutSignal);
  }

  private dropCopy(c: LogRecord['copies'][number]): void {
    const per = c.volume.grain / SLOT;
    for (let i = 0; i < c.count; i++) {
      const at = c.volume.logged.get(c.first + i);
      if (at !== undefined && at >> 1 === c.slot + i * per) {
        // Its flush has failed, or its file was found bad, while the cut was being committed: what this record had was durable before.
        if (c.volume.unflushed || c.volume.badFile !== '') this.noteFilled(c.volume, c.first + i, 1);
        else assert((at & 1) === 1, 'the log was cut before a grain was filled');
        c.volume.logged.delete(c.first + i);
        c.volume.newer.delete(c.first + i);
      }
    }
  }

  /** A run of `need` free slots. Where all have reserved what they append, there is one. */
  private *place(need: number): Plan<number> {
    for (;;) {
      if (this.failed !== null) throw this.failed;
      const tail = this.records[0]?.slot ?? null;
      if (tail === null) return this.head + need <= this.slots ? this.head : 0;
      if (this.head > tail) {
        if (this.head + need <= this.slots) return this.head;
        if (need < tail) return 0;
      } else if (this.head + need < tail) return this.head;
      this.onPressure();
      yield this.cutSignal;
    }
  }
}
