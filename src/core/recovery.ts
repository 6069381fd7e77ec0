/**
 * Opening a pool: from the catalog, the bitmap files or the shared memory, and the undo log, to volumes that serve.
 *
 * Two kinds of death (B6):
 *   - the process died: the shared words are the truth for every bit, and for which log slots still count. Bits that
 *     were not durable are made so before anything is served. The catalog names the words that it goes with: an engine
 *     that begins them anew gives them an id, and while they go on from process to process neither changes.
 *   - the machine went down: the catalog names the bitmap files; the log's records since the last checkpoint are
 *     applied on top, the last one for a grain wins. No data is copied: grains that the log has are read from there
 *     until the next checkpoint.
 *
 * B1: what is damaged takes its volume (and those that read through it) offline, with the file and the place named.
 */
import type { EpochSeq, VolumeId } from '../base/brands.ts';
import { FlashCopyError } from '../base/errors.ts';
import { refuseForeignMemory, refuseStaleMemory } from './arena.ts';
import { Bitmap } from './bitmap.ts';
import { loadBitmap } from './bitmap-file.ts';
import { poolKey, SLOT } from './log-record.ts';
import { type Plan, Signal } from './ops.ts';
import { Damage, suspendMapping } from './recovery-damage.ts';
import { replayLog, type TailFound } from './recovery-log.ts';
import type { BitmapRow, EngineRow, EpochRow, LogMark, MappingRow, ScrubRow, VolumeRow } from './rows.ts';
import { type State, together } from './state.ts';
import { type Epoch, Volume } from './volume.ts';

type CatalogRow = { table: string; key: number; row: object };
export type OpenInput = {
  rows: CatalogRow[];
  damaged: { table: string; key: number; error: string }[];
  /** Volumes whose data file is not what the catalog says. */
  badFiles: { volume: number; error: string }[];
  /** Files that no row names: they go if nothing is found damaged. */
  strays?: string[];
  shmSurvived: boolean;
  /** The id of the pool, a UUID. */
  pool: string;
  /** The catalog is of an earlier format until the first commit. */
  migrates?: boolean;
  /** Of a pool that is new: what was put into its log for a beginning. */
  mark?: LogMark | undefined;
  /** Of the shared memory, should this engine begin it anew: no other one has had it. */
  memoryId?: number | undefined;
};

/** Bitmap files read at the same time. */
const LOADERS = 32;
/**
 * `lost`: volumes whose content is not to be had any more, which the catalog has to say before anything is served. `isWhole`: nothing
 * was found damaged, so what no row names is nobody's.
 */
type Recovered = { warm: boolean; lost: VolumeRow[]; tail: TailFound; isWhole: boolean };

export function* recover(state: State, input: OpenInput): Plan<Recovered> {
  if (input.shmSurvived) {
    const engine = input.rows.find(({ table }) => table === 'engine')?.row as EngineRow | undefined;
    refuseForeignMemory(state.arena.words);
    refuseStaleMemory(state.arena.words, engine?.memoryId);
  }
  const warm = input.shmSurvived && state.arena.ready;
  if (!warm) state.arena.reset(input.memoryId ?? 0);
  state.arena.setOpened();
  state.log.pool = poolKey(input.pool);
  if (input.mark !== undefined) Object.assign(state.engine, { mark: input.mark, named: true });
  const damage = new Damage(state);
  buildTree(state, input, damage);
  // With the first commit of this engine, whichever that is: what others left is stale from there on, and not before.
  if (!warm && input.memoryId !== undefined) state.engine.memoryId = input.memoryId;
  yield* loadBits(state, warm, damage);
  const tail = yield* replayLog(state, warm, damage);
  for (const id of state.unsaved.left()) damage.unsaved(state.volumes.get(id));
  const closed = state.engine.clean && state.log.records.length === 0;
  if (!closed) for (const v of state.volumes.values()) v.sparse = false;
  damage.suspendAll();
  const isWhole = input.damaged.length === 0 && damage.isNone && tail.isWhole;
  return { warm, lost: damage.lost, tail, isWhole };
}

/** Volumes, mappings and epochs as the rows say. */
function buildTree(state: State, input: OpenInput, damage: Damage): void {
  const epochs: EpochRow[] = [];
  for (const { table, key, row } of input.rows) {
    if (table === 'engine') state.engine = row as EngineRow;
    else if (table === 'scrub') state.scrub = row as ScrubRow;
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
  standIns(state, input.damaged, damage);
  checkEngineRow(state, input);
  for (const volume of state.volumes.values()) {
    if (volume.row.parent === null) continue;
    const parent = state.volumes.get(volume.row.parent);
    if (parent === undefined)
      damage.content(volume, `catalog.db has no volume ${volume.row.parent}, which it reads from`);
    else {
      volume.parent = parent;
      parent.children.push(volume);
    }
  }
  buildEpochs(state, epochs, damage);
  spreadDamage(state, input.damaged, damage);
  for (const { volume, error } of input.badFiles) {
    const concerned = state.volumes.get(volume);
    if (concerned !== undefined) damage.file(concerned, error);
  }
}

/** Without its ids and the place in the log, or with another log, what a pool holds cannot be known. */
function checkEngineRow(state: State, input: OpenInput): void {
  const { logSlots = state.log.slots, tailSlot } = state.engine;
  const refuse = (found: string): never => {
    throw new FlashCopyError(
      'Damaged',
      `${found}. Nothing was changed. Put it back from a backup of the same moment as the rest of the pool.`,
    );
  };
  if (input.rows.length > 0 && !input.rows.some((r) => r.table === 'engine'))
    refuse('catalog.db has no row engine, without which no pool can be opened');
  if (logSlots !== state.log.slots || tailSlot >= state.log.slots)
    refuse(
      `The undo log log has ${state.log.slots * SLOT} bytes and must have ${Math.max(logSlots, tailSlot + 1) * SLOT}`,
    );
}

/** A volume whose own row is damaged is listed all the same, offline, under a name made from its id. */
function standIns(state: State, damaged: OpenInput['damaged'], damage: Damage): void {
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
    damage.content(volume, d.error);
  }
}

/** Other damaged rows take along whatever cannot be trusted without them. */
function spreadDamage(state: State, damaged: OpenInput['damaged'], damage: Damage): void {
  for (const d of damaged) {
    if (d.table === 'bitmap')
      for (const v of state.volumes.values()) {
        if (v.row.held === d.key) damage.content(v, d.error);
        for (const e of v.epochs) if (e.row.bitmap === d.key) damage.epoch(v, e, d.error);
      }
    if (d.table === 'mapping')
      for (const v of state.volumes.values())
        if (v.row.held !== null && !v.row.retired && state.mappingOf(v) === undefined)
          damage.tracking(v, d.error);
    // Whose epoch it was cannot be known: no sync can be sure of what changed.
    if (d.table === 'epoch') {
      damage.anyEpoch(d.error);
      for (const m of state.mappings.values())
        if (m.row.incremental && m.row.cut > 0) suspendMapping(m, d.error);
    }
  }
}

function buildEpochs(state: State, rows: EpochRow[], damage: Damage): void {
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
    if (bitmapRow === undefined)
      damage.content(volume, `catalog.db has no bitmap ${id}, which says what it holds`);
    volume.held = new Bitmap(state.arena, id, bitmapRow?.bits ?? volume.grains);
  }
}

function* loadBits(state: State, warm: boolean, damage: Damage): Plan<void> {
  const all: { volume: Volume; bitmap: Bitmap; epoch: Epoch | null }[] = [];
  for (const volume of state.volumes.values()) {
    if (volume.held !== null) all.push({ volume, bitmap: volume.held, epoch: null });
    for (const epoch of volume.epochs) all.push({ volume, bitmap: epoch.bitmap, epoch });
  }
  if (warm) {
    const byId = new Map([...all.map(({ bitmap }) => bitmap), state.unsaved.ids].map((b) => [b.id, b]));
    state.arena.sweep((id, index, page, full, dirty) => {
      const bitmap = byId.get(id);
      if (bitmap === undefined) return false;
      bitmap.adopt(index, page, full);
      if (dirty) bitmap.dirty = true;
      return true;
    });
    // The process may have died between the commit of a cut or a growth and its bits.
    for (const { bitmap } of all)
      for (const [first, count] of state.bitmaps.get(bitmap.id)?.preset ?? []) bitmap.setRange(first, count);
    return;
  }
  let next = 0;
  const loader = function* (): Plan<void> {
    while (next < all.length) {
      const { volume, bitmap, epoch } = all[next++]!;
      if (epoch?.damaged === true) continue;
      const row = state.bitmaps.get(bitmap.id);
      try {
        if (row === undefined) throw new FlashCopyError('Damaged', `catalog.db has no bitmap ${bitmap.id}`);
        yield* loadBitmap(state.memory, row, bitmap);
      } catch (error) {
        if (!(error instanceof FlashCopyError) || error.code === 'PoolTooNew') throw error;
        const reason = `its metadata is damaged: ${(error as Error).message}`;
        if (epoch === null) damage.content(volume, reason);
        else damage.epoch(volume, epoch, reason);
      }
    }
  };
  yield* together(
    state,
    Array.from({ length: LOADERS }, () => loader()),
  );
}
