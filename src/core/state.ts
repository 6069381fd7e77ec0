/**
 * All that the core knows, in one place that its plans share. One thread owns it.
 */
import type { BitmapId, EpochSeq } from '../base/brands.ts';
import { FlashCopyError } from '../base/errors.ts';
import type { Counters } from '../base/model.ts';
import { Arena } from './arena.ts';
import { Bitmap } from './bitmap.ts';
import { type BitmapChange, BitmapRows } from './bitmap-rows.ts';
import { Mutex } from './locks.ts';
import { SLOT } from './log-record.ts';
import { op, type Plan, type PoolFile, type RowChange, type Runner, Signal } from './ops.ts';
import type { Clock, Listener, Memory, Space } from './ports.ts';
import type { BitmapRow, EngineRow, LogTail, MappingRow, ScrubRow, VolumeRow } from './rows.ts';
import { UndoLog } from './undo-log.ts';
import { Unsaved } from './unsaved.ts';
import type { Epoch, Mapping, Volume } from './volume.ts';

export type Ports = {
  runner: Runner;
  memory: Memory;
  clock: Clock;
  space: Space;
  listener: Listener;
  words: Uint32Array;
  logBytes: number;
  /** What the machine has, or this process may take of it; absent: enough. */
  memoryBytes?: number;
};

export class State {
  readonly runner: Runner;
  readonly memory: Memory;
  readonly clock: Clock;
  readonly space: Space;
  readonly listener: Listener;
  readonly arena: Arena;
  readonly memoryBytes: number;
  readonly log: UndoLog;
  /** Also the retired ones. */
  readonly volumes = new Map<number, Volume>();
  readonly mappings = new Map<number, Mapping>();
  readonly bitmaps: BitmapRows;
  readonly names = new Map<string, Volume>();
  engine: EngineRow = { nextId: 1, tailSeq: 1, tailSlot: 0, clean: true };
  /** The last scrub, or the one under way; null: there never was one. */
  scrub: ScrubRow | null = null;
  /** Its loop runs. */
  scrubbing = false;
  /** One change of the tree at a time: cut, sync, end, removal. */
  readonly structure: Mutex;
  /** One checkpoint at a time. */
  readonly checkpoints: Mutex;
  readonly counters: Counters = {
    hostReads: 0,
    hostWrites: 0,
    grainsCopiedOnWrite: 0,
    grainsCopiedInBackground: 0,
    grainsCleaned: 0,
    logCommits: 0,
    cuts: 0,
    longestPauseUs: 0,
    lastPauseUs: 0,
  };
  readonly unsaved: Unsaved;
  /** Rows of volumes and mappings whose commit is under way. */
  private readonly submitted = new Set<RowChange>();
  private readonly ended = new Signal();
  /** Asked for so far. */
  private transactions = 0;
  private cuts = 0;
  closing = false;
  /** The space of a volume that nothing knows any more is being given back. */
  givingBack = false;
  /** Fired when a name that was reserved is taken or free again. */
  readonly nameSettled = new Signal();
  /** Volumes that an error of the disk broke, and that are to leave the tree when there is nothing else to reclaim. */
  readonly leavers = new Set<Volume>();
  /** Fired when a retired volume, or a leaver, may have work. */
  readonly retiredWake = new Signal();

  constructor(ports: Ports) {
    this.runner = ports.runner;
    this.memory = ports.memory;
    this.clock = ports.clock;
    this.space = ports.space;
    this.listener = ports.listener;
    this.arena = new Arena(ports.words, Math.floor(ports.logBytes / SLOT));
    this.memoryBytes = ports.memoryBytes ?? Number.POSITIVE_INFINITY;
    this.log = new UndoLog(ports.runner, ports.memory, this.arena);
    this.unsaved = new Unsaved(this.arena);
    this.bitmaps = new BitmapRows(ports.runner);
    this.structure = new Mutex(ports.runner);
    this.checkpoints = new Mutex(ports.runner);
  }

  /** Ids are handed out freely; the counter becomes durable with the commit of the rows that use them. */
  newId(): number {
    return this.engine.nextId++;
  }

  /** For `unflushedCut`: no two are the same. */
  nextCut(): number {
    return ++this.cuts;
  }

  /** One durable transaction. Nothing in memory changes before it has succeeded. */
  *commit(changes: RowChange[]): Plan<void> {
    yield* this.transact(changes, this.engine);
  }

  /** The same, which moves the log's tail. Only a success moves it for other transactions. */
  *commitTail(changes: RowChange[], tail: LogTail): Plan<void> {
    const others = this.transactions;
    yield* this.transact(changes, { ...this.engine, ...tail });
    Object.assign(this.engine, tail);
    // One that was asked for meanwhile has put the old tail back.
    if (this.transactions !== others + 1) yield* this.commit([]);
  }

  private *transact(changes: RowChange[], engine: EngineRow): Plan<void> {
    this.transactions++;
    this.keepOffline(changes);
    const bitmaps = changes.filter((c) => c.table === 'bitmap') as BitmapChange[];
    for (const b of bitmaps) this.bitmaps.submit(b);
    const rows = changes.filter((c) => c.table === 'volume' || c.table === 'mapping');
    for (const c of rows) this.submitted.add(c);
    let hasSucceeded = false;
    try {
      yield op.commit([...changes, { table: 'engine', key: 1, row: { ...engine } }]);
      hasSucceeded = true;
      // What was broken meanwhile has a later commit of its own. Whoever takes these rows now must not undo it in memory.
      this.keepOffline(changes);
    } finally {
      for (const b of bitmaps) this.bitmaps.settle(b, hasSucceeded);
      for (const c of rows) this.submitted.delete(c);
      // They look when memory has followed.
      if (rows.length > 0) this.runner.fire(this.ended);
    }
  }

  /** Returns when memory and the catalog say the same of the volume, and of the mapping that it is the target of. */
  *decided(volume: Volume): Plan<void> {
    while (this.isBeingChanged(volume)) yield this.ended;
  }

  isBeingChanged(volume: Volume): boolean {
    for (const { table, key, row } of this.submitted) {
      const mapping =
        table === 'mapping' ? ((row as MappingRow | null) ?? this.mappings.get(key)?.row) : null;
      if (table === 'volume' ? key === volume.id : mapping?.target === volume.row.id) return true;
    }
    return false;
  }

  /**
   * Whoever changes something else of a broken volume's row, or of its mapping's, does not mend it. With another file it is
   * another content.
   */
  private keepOffline(changes: RowChange[]): void {
    const renewed = new Set<Volume>();
    for (const c of changes) {
      const volume = c.table === 'volume' ? this.volumes.get(c.key) : undefined;
      const row = c.row as VolumeRow | null;
      if (volume === undefined || row === null || volume.broken === '') continue;
      if (row.file !== volume.row.file) {
        renewed.add(volume);
        continue;
      }
      row.offline ||= volume.broken;
      if (volume.unflushed) row.unflushed = true;
    }
    for (const c of changes) {
      const row = c.table === 'mapping' ? (c.row as MappingRow | null) : null;
      const target = row === null ? undefined : this.volumes.get(row.target);
      if (row === null || target === undefined || target.broken === '' || renewed.has(target)) continue;
      if (row.state === 'copying' || row.state === 'copied')
        Object.assign(row, { state: 'suspended', error: target.broken });
    }
  }

  /** An empty bitmap and its row. */
  newBitmap(bits: number): { bitmap: Bitmap; row: BitmapRow } {
    const id = this.newId() as BitmapId;
    return { bitmap: new Bitmap(this.arena, id, bits), row: { id, bits, gen: 0, patch: [], preset: [] } };
  }

  /** The volume's next epoch, still to be committed. */
  newEpoch(volume: Volume): { epoch: Epoch; bitmapRow: BitmapRow } {
    const { bitmap, row } = this.newBitmap(volume.grains);
    const seq = (volume.row.epoch + 1) as EpochSeq;
    const epoch: Epoch = {
      row: { id: this.newId(), volume: volume.row.id, seq, bitmap: row.id },
      bitmap,
      marks: new Set(),
    };
    return { epoch, bitmapRow: row };
  }

  mappingOf(target: Volume): Mapping | undefined {
    for (const m of this.mappings.values()) if (m.row.target === target.row.id) return m;
    return undefined;
  }

  mappingsFrom(source: Volume): Mapping[] {
    return [...this.mappings.values()].filter((m) => m.row.source === source.row.id);
  }

  findVolume(name: string): Volume {
    const v =
      this.names.get(name) ?? (name.startsWith('#') ? this.volumes.get(Number(name.slice(1))) : undefined);
    if (v === undefined || v.row.retired || !this.volumes.has(v.id))
      throw new FlashCopyError(
        'VolumeNotFound',
        `there is no volume or snapshot ${JSON.stringify(name)} in this pool`,
      );
    return v;
  }

  findMapping(name: string): Mapping {
    for (const m of this.mappings.values()) if (m.row.name === name || `#${m.row.id}` === name) return m;
    throw new FlashCopyError('MappingNotFound', `there is no mapping ${JSON.stringify(name)} in this pool`);
  }
}

export const put = (table: string, row: { id: number }): RowChange => ({ table, key: row.id, row });
export const drop = (table: string, key: number): RowChange => ({ table, key, row: null });

/**
 * Remove files that nobody needs any more. One that cannot be removed is no reason to fail what is done: the next engine
 * finds that no row names it.
 */
export function* removeFiles(state: State, files: readonly PoolFile[]): Plan<void> {
  for (const file of files) {
    if (file.damage !== '') continue; // it may be another volume's
    try {
      yield op.remove(file);
    } catch (error) {
      state.listener.log('warn', 'a file that is not needed any more could not be removed', {
        file: file.path,
        error: (error as Error).message,
      });
    }
  }
}

/** Run plans one beside the other; goes on when all have ended, with the first error if there was one. */
export function* together(state: State, plans: Plan<void>[]): Plan<void> {
  let left = plans.length;
  let failure: unknown = null;
  const ended = new Signal();
  for (const plan of plans)
    state.runner.spawn(plan, (error) => {
      if (error !== null && failure === null) failure = error;
      left--;
      state.runner.fire(ended);
    });
  while (left > 0) yield ended;
  if (failure !== null) throw failure;
}
