/**
 * Volumes as the data path sees them.
 *
 *   content(V, g) = V's own data            if V holds g
 *                   content(parent(V), g)   otherwise
 *
 * A volume without FC bitmap (`held` null) holds everything. A volume's children are its newest target and its older
 * neighbour in the chain that it is a target of; and any number of those that read through volumes which have left between.
 *
 * Who may change what (all of it in the data thread):
 *   children          only while the volume's gate is closed and drained, or when the child holds all its grains
 *   held, a set bit   under the volume's lock over those grains
 *   held, exchanged   gate of the source closed and drained, then the volume's lock over all grains
 *   open epoch        gate closed and drained
 */
import { FlashCopyError } from '../base/errors.ts';
import { type Arena, VOLATILE_ID } from './arena.ts';
import { unreadable } from './bad-file.ts';
import { Bitmap } from './bitmap.ts';
import { RangeLocks } from './locks.ts';
import { type IoOp, op, type Plan, PoolFile, type Runner, Signal } from './ops.ts';
import type { EpochRow, MappingRow, VolumeRow } from './rows.ts';

/** Grains one after the other. */
export type Run = { first: number; count: number };

/** What was written in a volume between two of its cuts. */
export type Epoch = {
  row: EpochRow;
  bitmap: Bitmap;
  /** Regions durably marked "may have been written" in this epoch (C2); null once the epoch is closed. */
  marks: Set<number> | null;
  /** Its bitmap was found damaged. In memory it says that everything changed; on the disk it stays as it was found. */
  damaged?: boolean;
};

/** Grains that one durable mark speaks for. */
export const REGION_GRAINS = 1024;

/**
 * The log has a record that marks the region of this grain. The bitmap's file has to say so before that record is cut off, also
 * where the write that the mark is for has not begun yet.
 */
export function noteMarked(epoch: Epoch, grain: number): void {
  epoch.marks!.add(Math.floor(grain / REGION_GRAINS));
  epoch.bitmap.dirty = true;
}

export type Mapping = {
  row: MappingRow;
  /** Wakes the background copy: state or rate changed. */
  wake: Signal;
  /** Where the background copy goes on. */
  cursor: number;
  running: boolean;
  /** What the catalog says of one that is suspended for what was found at the start: when that is mended, it goes on. */
  said?: Pick<MappingRow, 'state' | 'error'> | undefined;
};

export const dataFile = (file: number): PoolFile => new PoolFile(`volumes/${file}.data`);

/** Of a data file: whole grains. */
export const fileSize = ({ size, grain }: Pick<VolumeRow, 'size' | 'grain'>): number =>
  Math.ceil(size / grain) * grain;

export class Volume {
  row: VolumeRow;
  file: PoolFile;
  readonly grain: number;
  parent: Volume | null = null;
  children: Volume[] = [];
  held: Bitmap | null = null;
  /** Of `held`: bits that are not durable yet (H2), and those for which a flush is under way. Newest last. */
  pending: Bitmap[] = [];
  /** After a death of the process, until its bits are durable: any of `held` may not be, whatever is pending. */
  doubtful = false;
  /** Grains with a record in the undo log that is not cut yet: slot * 2, + 1 when the data file has the grain too. */
  readonly logged = new Map<number, number>();
  /** Of `logged`: the host has written them since, and the log's copies never count again. */
  readonly newer = new Set<number>();
  /** How many of them live in the log only. */
  unfilled = 0;
  /** Oldest first; the last one may be open. */
  epochs: Epoch[] = [];
  readonly locks: RangeLocks;
  readonly gate: Gate;
  /**
   * The data file is a hole wherever the volume does not hold a grain: what is a hole can be given without I/O. Not
   * after an end without `close`: a write may have come to the file and its bit not to the disk. Nor after a write that
   * failed: some of it may have come to the file.
   */
  sparse: boolean;
  /** Gone from the catalog; nothing may start on it any more. */
  removed = false;
  /** Why this engine does not serve it, though nothing of it is lost: damage found at the start. Never in the catalog. */
  suspended = '';
  /**
   * Why it was broken or taken offline, from that moment on: the catalog follows. Apart from the row, because other
   * changes of the row may be under way.
   */
  broken = '';
  /** A flush of its data has failed in this engine; the row follows. */
  flushFailed = false;
  /** Flushes of its data that are under way. */
  readonly flushes = new Set<{ file: PoolFile }>();
  readonly flushEnded = new Signal();
  /** Of a target: which cut it shows, until the source was flushed after it: the power may take that away. 0: durable. */
  unflushedCut = 0;
  /** It is leaving the tree. */
  leaving: Leaving | null = null;
  /** How many are about to hang volumes on it, which may need what its present children do not: nothing is punched out of it. */
  adopting = 0;
  private readonly arena: Arena;

  constructor(row: VolumeRow, runner: Runner, arena: Arena) {
    this.row = row;
    this.grain = row.grain;
    this.file = dataFile(row.file);
    this.sparse = row.sparse;
    this.locks = new RangeLocks(runner);
    this.gate = new Gate(runner);
    this.arena = arena;
  }

  get id(): number {
    return this.row.id;
  }
  get name(): string {
    return this.row.name;
  }
  get sizeBytes(): number {
    return this.row.size;
  }
  get readOnly(): boolean {
    return this.row.kind === 'snapshot';
  }
  get grains(): number {
    return Math.ceil(this.row.size / this.grain);
  }
  /** Why there is no host I/O; '': there is. */
  get offline(): string {
    return this.row.offline || this.broken || this.suspended || unreadable(this);
  }
  /** What is wrong with its data file. */
  get badFile(): string {
    return this.file.damage;
  }
  get open(): Epoch | null {
    const last = this.epochs.at(-1);
    return last !== undefined && last.marks !== null ? last : null;
  }

  /** Who reads through it, at whatever distance. */
  readers(): Volume[] {
    return this.children.flatMap((child) => [child, ...child.readers()]);
  }

  /** B3: a flush of its data has failed. It is not flushed again, as if that could still mean anything. */
  get unflushed(): boolean {
    return this.flushFailed || this.row.unflushed === true;
  }

  /** Zeros from here on. A thin volume gives the space back, a thick one keeps it. */
  zero(offset: number, length: number): IoOp {
    return op.punch(this.file, offset, length, this.row.provisioning === 'thick');
  }

  holds(first: number, count: number): boolean {
    return this.held === null || this.held.allSet(first, count);
  }

  /** H2: whether all of these bits would survive a power loss now. */
  holdsDurably(first: number, count: number): boolean {
    if (this.held === null) return true;
    if (!this.held.allSet(first, count)) return false;
    return !this.pending.some((p) => p.anySet(first, count));
  }

  /** The first of grains [from, end) that it has in its file only and that a loss of power now could take, or end. */
  nextUnsure(from: number, end: number): number {
    const unsure = this.doubtful && this.held !== null ? [this.held] : this.pending;
    for (let g = from; ; g++) {
      g = Math.min(end, ...unsure.map((bits) => bits.nextSet(g, end)));
      if (g === end || !this.logged.has(g) || this.newer.has(g)) return g;
    }
  }

  /** The first of grains [from, end) that it would need of its parent after a loss of power now, or end. */
  nextNeeded(from: number, end: number): number {
    return this.held === null ? end : this.nextUnsure(from, this.held.nextClear(from, end));
  }

  /** Of grains [first, first + count) those that are in the undo log. The shorter one is looked through: a run may be all of a volume. */
  loggedIn(first: number, count: number): number[] {
    const found: number[] = [];
    const { logged } = this;
    if (count > logged.size) {
      for (const g of logged.keys()) if (g >= first && g < first + count) found.push(g);
    } else for (let g = first; g < first + count; g++) if (logged.has(g)) found.push(g);
    return found;
  }

  hasLogged(first: number, count: number): boolean {
    return this.loggedIn(first, count).length > 0;
  }

  /** What the file has of these grains is newer than the undo log's copies. */
  noteNewer(first: number, count: number): void {
    for (const g of this.loggedIn(first, count)) this.newer.add(g);
  }

  /** Takes from `bits` the grains that are in the undo log only. */
  clearUnfilled(bits: Bitmap): void {
    for (const [g, at] of this.logged) if ((at & 1) === 0) bits.clearRange(g, 1);
  }

  /** Remember that these bits wait for a flush. */
  addPending(first: number, count: number): void {
    let newest = this.pending.at(-1);
    if (newest === undefined || flushing.has(newest)) {
      newest = new Bitmap(this.arena, VOLATILE_ID, this.grains);
      this.pending.push(newest);
    }
    newest.bits = this.grains;
    newest.setRange(first, count);
  }

  /**
   * All that it holds waits for a flush, but for what is known to be durable. Not what is in the undo log only: that is durable
   * there, and no flush brings it to the file.
   */
  pendAll(durable: Bitmap | null = null): void {
    if (this.held === null) return;
    const bits = new Bitmap(this.arena, VOLATILE_ID, this.held.bits);
    bits.or(this.held);
    if (durable !== null) bits.andNot(durable);
    this.clearUnfilled(bits);
    if (bits.count > 0) this.pending.push(bits);
    else bits.release();
  }

  /** Take all that is pending now for a flush; later additions are not part of it. */
  seal(): Bitmap[] {
    for (const p of this.pending) flushing.add(p);
    return [...this.pending];
  }

  unpend(sealed: Bitmap[]): void {
    for (const p of sealed) {
      const i = this.pending.indexOf(p);
      if (i < 0) continue;
      this.pending.splice(i, 1);
      p.release();
    }
  }

  /**
   * After a checkpoint: durable in the bitmap's file now. But where the log still has an older copy of a grain, recovery
   * would take that for the newest: until a flush has said in the log that the file is newer, the grain goes on waiting.
   */
  unpendChecked(sealed: Bitmap[]): void {
    const older: number[] = [];
    for (const [g, at] of this.logged) if ((at & 1) === 1 && sealed.some((p) => p.get(g))) older.push(g);
    this.unpend(sealed);
    for (const g of older) this.addPending(g, 1);
  }

  dropPending(): void {
    for (const p of this.pending) p.release();
    this.pending = [];
  }

  checkOnline(): void {
    if (this.offline !== '')
      throw new FlashCopyError('Suspended', `volume ${this.name} is offline: ${this.offline}`);
  }
}

/** A leave under way, and how it ended: `hasLeft` is false where the engine is being closed. */
export type Leaving = { over: Signal; isOver: boolean; hasLeft: boolean; error: unknown };

/** Pending bitmaps that a flush has taken. */
const flushing = new WeakSet<Bitmap>();

/** Holds back host writes: a cut closes it, waits until those inside have left, and opens it. */
export class Gate {
  private readonly runner: Runner;
  private closed = 0;
  private inside = 0;
  private readonly opened = new Signal();
  private readonly drained = new Signal();

  constructor(runner: Runner) {
    this.runner = runner;
  }

  *enter(): Plan<void> {
    while (this.closed > 0) yield this.opened;
    this.inside++;
  }

  leave(): void {
    if (--this.inside === 0) this.runner.fire(this.drained);
  }

  /** From here on nobody gets in. Call `drain` next, and `release` in any case. */
  close(): void {
    this.closed++;
  }

  *drain(): Plan<void> {
    while (this.inside > 0) yield this.drained;
  }

  release(): void {
    if (--this.closed === 0) this.runner.fire(this.opened);
  }
}
