/**
 * The naive model: what every block of every volume must be, without grains, bitmaps, chains or logs.
 *
 * A volume is an array with one *cell* for each block of 4096 bytes. A cut or sync copies the whole array. While host
 * writes are under way the outcome is not one value: a cell may be Unknown, one of several values, until a read shows
 * which. Copies share the Unknown, so what one of them shows binds all.
 *
 * A cut is one instant: what it shows of the writes that were under way at the same time must fit to a moment that lies
 * after the submission of each write that it shows and before the end of each write that it does not (Instant). For a
 * consistency group that moment is the same for all.
 */

/** A tag (tags.ts), or one of several. */
export type Cell = number | Unknown;

/** A host write (or discard: tag 0) over one block; times count submissions and ends of everything. */
export type BlockWrite = {
  tag: number;
  submittedAt: number;
  endedAt: number;
  /** It ended, and left the old content or the new one. */
  unsure?: true;
};

export const PENDING = Number.POSITIVE_INFINITY;

/** The moment of a cut, as far as it is known: strictly between. */
export class Instant {
  private after: number;
  private before: number;
  private readonly what: string;

  constructor(what: string, after: number, before: number) {
    this.what = what;
    this.after = after;
    this.before = before;
  }

  narrow(after: number, before: number): void {
    const was = { after: this.after, before: this.before };
    journal?.push(() => {
      this.after = was.after;
      this.before = was.before;
    });
    this.after = Math.max(this.after, after);
    this.before = Math.min(this.before, before);
    if (this.after >= this.before)
      throw new Error(
        `${this.what} shows no single instant: it would be after ${this.after} and before ${this.before}`,
      );
  }
}

/** Undoes what was found out since it was begun (Model.rehearse). */
let journal: (() => void)[] | null = null;

/** Either `first` or what one of the writes, in order, left. */
export class Unknown {
  private readonly first: Cell;
  private readonly writes: readonly BlockWrite[];
  private readonly instant: Instant | null;
  private value: number | null = null;

  constructor(first: Cell, writes: readonly BlockWrite[], instant: Instant | null) {
    this.first = first;
    this.writes = writes;
    this.instant = instant;
  }

  get options(): number[] {
    if (this.value !== null) return [this.value];
    return [...optionsOf(this.first), ...this.writes.map((write) => write.tag)];
  }

  /** It was seen to be `tag`, one of the options. */
  settle(tag: number): void {
    if (this.value !== null) return;
    journal?.push(() => {
      this.value = null;
    });
    this.value = tag;
    const fits = this.writes.flatMap((write, i) => (write.tag === tag ? [i] : []));
    const firstFits = optionsOf(this.first).includes(tag);
    // The same value in two places (zeros) tells nothing about the moment.
    if (fits.length + (firstFits ? 1 : 0) !== 1) return;
    if (firstFits && this.first instanceof Unknown) this.first.settle(tag);
    const shown = firstFits ? -1 : fits[0]!;
    this.instant?.narrow(this.writes[shown]?.submittedAt ?? 0, this.writes[shown + 1]?.endedAt ?? PENDING);
  }
}

export function optionsOf(cell: Cell): number[] {
  return cell instanceof Unknown ? cell.options : [cell];
}

/** Watches what could be seen of some blocks while something is under way. */
export type Watch = { first: number; end: number; writes: Map<number, BlockWrite[]>; before: Cell[] };

export class ModelVolume {
  readonly name: string;
  readonly grain: number;
  readonly readOnly: boolean;
  cells: Cell[];
  /** Being deleted. */
  dying = false;
  growing = false;
  /** Cuts of it under way. */
  cutting = 0;
  /** Its copy was stopped half-way: no content, and no I/O. */
  offline = false;
  /** Its mapping was deleted before it was complete: its content is nobody's, until it is looked at. */
  unspecified = false;
  /** Cut when the power went and not reported: what was not flushed in its source may be missing. */
  loose = false;
  /** Counts beginnings and ends of what exchanges the content under the host's feet. */
  exchanges = 0;
  /** Of a snapshot: the volume it shows, when it was cut, and how often that volume's content had been exchanged. */
  cut: { of: ModelVolume; from: number; to: number; exchanges: number } | null = null;
  /** All host writes that ever were. */
  readonly touched: { first: number; end: number; write: BlockWrite }[] = [];
  /** Host writes under way, by block. */
  pending = new Map<number, BlockWrite>();
  /** What a block may fall back to when the power goes: its values since the last flush, the durable one first. */
  private unflushed = new Map<number, { cell: Cell; endedAt: number }[]>();
  private watches = new Set<Watch>();

  constructor(name: string, grain: number, readOnly: boolean, cells: Cell[]) {
    this.name = name;
    this.grain = grain;
    this.readOnly = readOnly;
    this.cells = cells;
  }

  get blocks(): number {
    return this.cells.length;
  }

  isFree(first: number, end: number): boolean {
    for (let b = first; b < end; b++) if (this.pending.has(b)) return false;
    return true;
  }

  beginWrite(first: number, tags: readonly number[], at: number): void {
    tags.forEach((tag, i) => {
      const write = { tag, submittedAt: at, endedAt: PENDING };
      this.pending.set(first + i, write);
      for (const watch of this.watches) note(watch, first + i, write);
    });
    this.touched.push({ first, end: first + tags.length, write: this.pending.get(first)! });
  }

  endWrite(first: number, count: number, at: number): void {
    for (let b = first; b < first + count; b++) {
      const write = this.pending.get(b)!;
      write.endedAt = at;
      this.pending.delete(b);
      this.remember(b, write.tag, at);
      this.cells[b] = write.tag;
    }
  }

  /** The write failed, or was split by an exchange: it left the old content or the new one. */
  failWrite(first: number, count: number, at: number): void {
    for (let b = first; b < first + count; b++) {
      const write = this.pending.get(b)!;
      write.unsure = true;
      this.pending.delete(b);
      this.remember(b, write.tag, at);
      this.cells[b] = new Unknown(this.cells[b]!, [write], null);
    }
  }

  private remember(block: number, tag: number, at: number): void {
    const values = this.unflushed.get(block);
    if (values !== undefined) values.push({ cell: tag, endedAt: at });
    else
      this.unflushed.set(block, [
        { cell: this.cells[block]!, endedAt: 0 },
        { cell: tag, endedAt: at },
      ]);
  }

  /** A flush that was submitted at `at` has ended. */
  flushed(at: number): void {
    for (const [block, values] of this.unflushed) {
      const last = values.findLastIndex((value) => value.endedAt < at);
      values.splice(0, last);
      if (values.length === 1) this.unflushed.delete(block);
    }
  }

  /** From here on until `unwatch`, note all that these blocks may be seen as; also such as are yet to come. */
  watch(first = 0, end = Number.POSITIVE_INFINITY): Watch {
    const watch: Watch = { first, end, writes: new Map(), before: this.cells.slice(first, end) };
    for (const [block, write] of this.pending) note(watch, block, write);
    this.watches.add(watch);
    return watch;
  }

  unwatch(watch: Watch): void {
    this.watches.delete(watch);
  }

  /** The content at some instant of the watch (which covers the whole volume), made `blocks` long. */
  static cellsAt(watch: Watch, blocks: number, instant: Instant): Cell[] {
    return Array.from({ length: blocks }, (_, b) => {
      const cell = watch.before[b] ?? 0;
      const writes = watch.writes.get(b);
      return writes === undefined ? cell : new Unknown(cell, writes, instant);
    });
  }

  /**
   * Everything up to `end` is exchanged; from there on the content stays, or is cleared. `own`: host writes of the volume
   * itself since the exchange began; they may come after it.
   */
  replace(cells: Cell[], own: Watch, end: number, at: number): void {
    this.cells = cells.map((cell, b) =>
      b < end ? this.replaced(b, cell, own) : this.keptOrCleared(b, cell, at),
    );
  }

  private replaced(b: number, cell: Cell, own: Watch): Cell {
    this.unflushed.delete(b);
    const writes = own.writes.get(b)?.filter((write) => write.endedAt !== PENDING || write.unsure) ?? [];
    if (writes.length === 0) return cell;
    // Each may have come after the exchange, and not be durable.
    const since = writes.map((write) => ({
      cell: new Unknown(cell, [write], null),
      endedAt: write.unsure ? 0 : write.endedAt,
    }));
    this.unflushed.set(b, [{ cell, endedAt: 0 }, ...since]);
    return since.at(-1)!.cell;
  }

  private keptOrCleared(b: number, cell: Cell, at: number): Cell {
    const others = [0, ...optionsOf(cell)].map((tag) => ({ tag, submittedAt: 0, endedAt: PENDING }));
    const either = new Unknown(this.cells[b]!, others, null);
    this.unflushed.get(b)?.push({ cell: either, endedAt: at });
    return either;
  }

  grow(blocks: number): void {
    while (this.cells.length < blocks) this.cells.push(0);
  }

  /** What was read of a volume that lost its content. It is durable, but for what the host wrote meanwhile over zeros. */
  specify(cells: Cell[], at: number): void {
    this.cells = cells;
    for (const [block, values] of this.unflushed) {
      values.push({ cell: 0, endedAt: 0 }, { cell: cells[block]!, endedAt: at });
    }
    this.unspecified = false;
  }

  /** Whether a loss of power now cannot change the block. */
  isDurable(block: number): boolean {
    return !this.loose && !this.pending.has(block) && !this.unflushed.has(block);
  }

  /** From here on everything happens to copies; the function that is returned puts back what there was. */
  setAside(): () => void {
    const { cells, dying, growing, cutting, offline, unspecified, loose, exchanges, cut } = this;
    const { pending, unflushed, watches } = this;
    this.cells = [...cells];
    this.pending = new Map(pending);
    this.unflushed = new Map();
    for (const [block, values] of unflushed) this.unflushed.set(block, [...values]);
    this.watches = new Set(watches);
    return () => {
      Object.assign(this, { cells, dying, growing, cutting, offline, unspecified, loose, exchanges, cut });
      Object.assign(this, { pending, unflushed, watches });
    };
  }

  /** The power went: what each block may be now. */
  afterPowerLoss(block: number): number[] {
    const pending = this.pending.get(block);
    const values = this.unflushed.get(block)?.map((value) => value.cell) ?? [this.cells[block]!];
    return [...values.flatMap(optionsOf), ...(pending === undefined ? [] : [pending.tag])];
  }

  /** After a loss of power: what was read is what is there. */
  adopt(cells: Cell[]): void {
    this.cells = cells;
    this.loose = false;
    this.unspecified = false;
    this.unflushed.clear();
    this.pending.clear();
    this.watches.clear();
  }

  /**
   * After a loss of the shared words only: what was read is what is there, and what was not flushed may still go with the power. Of
   * an untold cut all is durable.
   */
  adoptUnflushed(cells: Cell[], at: number): void {
    for (const block of new Set([...this.unflushed.keys(), ...this.pending.keys()])) {
      const before = this.unspecified ? [0, ...this.afterPowerLoss(block)] : this.afterPowerLoss(block);
      const values = before.map((cell) => ({ cell, endedAt: 0 }));
      this.unflushed.set(block, [...values, { cell: cells[block]!, endedAt: at }]);
    }
    this.cells = cells;
    this.loose = false;
    this.unspecified = false;
    this.pending.clear();
    this.watches.clear();
  }
}

function note(watch: Watch, block: number, write: BlockWrite): void {
  if (block < watch.first || block >= watch.end) return;
  const writes = watch.writes.get(block);
  if (writes === undefined) watch.writes.set(block, [write]);
  else writes.push(write);
}

export type ModelMapping = {
  name: string;
  source: string;
  target: string;
  incremental: boolean;
  started: boolean;
  /** What the host was told last, while nothing else is asked of the mapping. */
  told: Told | null;
  /** Control operations on it under way. */
  busy: number;
  /** What its copy rate may be. */
  rates: readonly number[];
};

type Told = 'idle' | 'prepared' | 'started' | 'copied' | 'stopped';

const STATES: Readonly<Record<Told, readonly string[]>> = {
  idle: ['idle'],
  prepared: ['prepared'],
  started: ['copying', 'copied'],
  copied: ['copied'],
  stopped: ['stopped'],
};

/** Somebody asks for a change of the mapping's state. */
export function askMapping(mapping: ModelMapping): void {
  mapping.busy++;
  mapping.told = null;
}

/** It is answered; null: refused, or not at all. */
export function answerMapping(mapping: ModelMapping, told: Told | null): void {
  mapping.busy--;
  // Of two at a time nobody knows which was the last.
  mapping.told = mapping.busy === 0 ? told : null;
}

export function checkMapping(mapping: ModelMapping, info: { state: string; copyRate: number }): void {
  const { name, told, rates } = mapping;
  if (told !== null && !STATES[told].includes(info.state))
    throw new Error(`mapping ${name} is ${info.state}, and the host was told that it is ${told}`);
  if (!rates.includes(info.copyRate))
    throw new Error(`mapping ${name} has copy rate ${info.copyRate} instead of ${rates.join(' or ')}`);
}

export class Model {
  volumes = new Map<string, ModelVolume>();
  mappings = new Map<string, ModelMapping>();
  /** Names of mappings that the host was told are gone. No name comes twice. */
  deletedMappings = new Set<string>();
  private ordinal = 1;

  /** The next moment: every submission and every end has one of its own. */
  tick(): number {
    return this.ordinal++;
  }

  /** Runs `action` and forgets all that it did to the model. */
  rehearse(action: () => void): void {
    const { ordinal, volumes, mappings, deletedMappings } = this;
    const fields = [...mappings.values()].map((mapping) => [mapping, { ...mapping }] as const);
    const restore = [...volumes.values()].map((volume) => volume.setAside());
    const outer = journal;
    journal = [];
    this.volumes = new Map(volumes);
    this.mappings = new Map(mappings);
    this.deletedMappings = new Set(deletedMappings);
    try {
      action();
    } finally {
      for (const undo of journal.reverse()) undo();
      journal = outer;
      for (const one of restore) one();
      for (const [mapping, was] of fields) Object.assign(mapping, was);
      Object.assign(this, { ordinal, volumes, mappings, deletedMappings });
    }
  }

  mappingTo(target: string): ModelMapping | undefined {
    for (const mapping of this.mappings.values()) if (mapping.target === target) return mapping;
    return undefined;
  }

  deleteMapping(name: string): void {
    this.mappings.delete(name);
    this.deletedMappings.add(name);
  }

  /** The volume is deleted, and with it mappings to it, and those from it that had not begun. */
  forget(name: string): void {
    this.volumes.delete(name);
    for (const mapping of [...this.mappings.values()])
      if (mapping.target === name || (mapping.source === name && !mapping.started))
        this.mappings.delete(mapping.name);
  }
}
