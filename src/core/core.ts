/**
 * FlashCopy: everything a pool's volumes can do, as plans. No I/O of its own (ops.ts), one thread, all state in one
 * place (state.ts).
 *
 *   volume.ts, content.ts   what a grain's content is, and where      design.md section 3
 *   write.ts, flush.ts      what the host does
 *   undo-log.ts             H1 for many writes in one flush
 *   cut.ts, sync.ts         the instants
 *   hydrate.ts, leave.ts    copying, in the background and out of the way
 *   checkpoint.ts           everything to its place
 *   recovery.ts             from the disk or the shared memory back to all this
 */

import { FlashCopyError } from '../base/errors.ts';
import type {
  CloneVolume,
  Counters,
  CreateMapping,
  CreateSnapshot,
  CreateVolume,
  MappingInfo,
  PoolInfo,
  RangePage,
  ScrubInfo,
} from '../base/model.ts';
import { breakLargest } from './break.ts';
import { checkpoint, checkpointBits } from './checkpoint.ts';
import { readContent } from './content.ts';
import { startCopyLoop } from './copy-loop.ts';
import { flushSource, newestTarget } from './cut.ts';
import { flushVolume } from './flush.ts';
import { type CoreVolumeInfo, mappingInfo, mappingInfos, poolInfo, volumeInfo } from './info.ts';
import * as mappings from './mappings.ts';
import { type Block, op, type Plan } from './ops.ts';
import { dropOrphans, removeStrays } from './orphans.ts';
import { allocatedRanges, changedRanges } from './ranges.ts';
import { reclaimLoop } from './reclaim.ts';
import { type OpenInput, recover } from './recovery.ts';
import { startScrubLoop } from './scrub.ts';
import { type FoundBefore, scrubInfo, startScrub, stopScrub } from './scrub-calls.ts';
import { type Ports, put, State, together } from './state.ts';
import { deleteMapping, stopMapping } from './stop.ts';
import type { Volume } from './volume.ts';
import * as volumes from './volumes.ts';
import { hostDiscard, hostWrite } from './write.ts';

/** A volume as the front end knows it. */
export type HostVolume = {
  readonly id: number;
  readonly name: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
};

/** So much is free, and there is no space all the same: no inode is left, say. What a snapshot has would help nobody. */
const PLENTY_BYTES = 1024 * 1024 * 1024;
/** After a checkpoint that failed (no space for a bitmap, say). */
const CHECKPOINT_RETRY_MS = 1000;
const NAP_MS = 100;

export class Core {
  private readonly state: State;
  private checkpointing = false;
  private checkpointAgain = false;
  private reclaiming = false;

  constructor(ports: Ports) {
    this.state = new State(ports);
    this.state.log.onPressure = () => this.checkpointSoon();
  }

  /** Recovery. Before it has returned nothing may be served. */
  *open(input: OpenInput): Plan<void> {
    const state = this.state;
    const { warm, lost, tail, isWhole } = yield* recover(state, input);
    // Nothing is refused from here on, and nothing but the catalog was written: it comes to this program's format before anything else.
    if (lost.length > 0 || input.migrates === true)
      yield* state.commit(lost.map((row) => put('volume', row)));
    // Files of such names may be made from here on.
    if (isWhole) yield* removeStrays(state, input);
    state.unsaved.clear();
    if (isWhole) yield* dropOrphans(state, input);
    if (warm) for (const v of state.volumes.values()) v.doubtful = v.held?.dirty === true;
    // A cut that was made and not reported: what it shows may not be durable yet, and the next request would report it. Before
    // the bits of its target: they speak of what was read from the source. Also without the shared words: the machine may have gone on.
    yield* flushSources(state);
    // Bits that the dead process had set may not be durable; from here on `pending` has to tell the truth (H2).
    if (warm) yield* makeBitsDurable(state);
    // With the log itself: what is missing in its midst is not to concern those who come later.
    const isTold = !tail.isLost || (yield* makeBitsDurable(state, checkpoint));
    // The file of an open epoch may name whole regions. These words are exact: the next checkpoint writes them.
    if (warm) for (const { open } of state.volumes.values()) if (open !== null) open.bitmap.dirty = true;
    // A checkpoint may have cut the log meanwhile, and has said itself what is at the new tail.
    const isThere = isTold && state.engine.tailSeq === tail.seq;
    Object.assign(state.engine, { clean: false, logSlots: state.log.slots, ...(isThere && tail.row) });
    yield* state.commit([]);
    state.arena.setReady();
    this.reclaiming = true;
    state.runner.spawn(reclaimLoop(state), (error) => {
      this.reclaiming = false;
      if (error !== null) throw error;
    });
    for (const m of state.mappings.values()) startCopyLoop(state, m);
    startScrubLoop(state);
    if (state.log.records.length > 0) this.checkpointSoon();
  }

  /** Everything to its place. Host I/O has to have ended. */
  *close(): Plan<void> {
    const state = this.state;
    state.closing = true;
    state.runner.fire(state.retiredWake);
    for (const m of state.mappings.values()) state.runner.fire(m.wake);
    const busy = () =>
      this.reclaiming ||
      this.checkpointing ||
      state.scrubbing ||
      [...state.mappings.values()].some((m) => m.running);
    while (busy()) yield op.sleep(5);
    // The exact bits of open epochs, where the last checkpoint wrote whole regions.
    for (const { open } of state.volumes.values())
      if (open !== null && open.marks!.size > 0) open.bitmap.dirty = true;
    if (!(yield* settle(state))) return;
    // What could not be filled keeps its records in the log.
    state.engine.clean = state.log.records.length === 0;
    // A file that a crash left with more than its volume holds stays one.
    const rows = [...state.volumes.values()].filter((v) => v.row.sparse && !v.sparse);
    yield* state.commit(rows.map((v) => ({ table: 'volume', key: v.id, row: { ...v.row, sparse: false } })));
    state.arena.setClosed();
  }

  private checkpointSoon(): void {
    if (this.checkpointing) {
      this.checkpointAgain = true;
      return;
    }
    this.checkpointing = true;
    this.checkpointAgain = false;
    this.state.runner.spawn(this.checkpoints(), (error) => {
      this.checkpointing = false;
      if (error !== null) throw error;
      // Somebody waits for room that this one did not make.
      if (this.checkpointAgain && !this.state.closing) this.checkpointSoon();
    });
  }

  /** Until one succeeds: those who wait for room in the log wait for it, or are told what is wrong. */
  private *checkpoints(): Plan<void> {
    const { state } = this;
    for (;;) {
      const [oldest] = state.log.records;
      try {
        yield* checkpoint(state);
        // It found nothing to do: who waits for room would ask at once again, for ever, and no I/O would end.
        if (state.log.line.length > 0 && state.log.records[0] === oldest) yield op.sleep(1);
        state.log.stall(null);
        return;
      } catch (error) {
        if (!(error instanceof FlashCopyError)) throw error;
        state.listener.log('error', 'checkpoint failed', { error: error.message });
        if (!state.closing && (yield* this.makeRoom(error))) continue;
        state.log.stall(error);
      }
      for (let napped = 0; napped < CHECKPOINT_RETRY_MS && !state.closing; napped += NAP_MS)
        yield op.sleep(NAP_MS);
      if (state.closing) return;
    }
  }

  /** B4: a host's write does not wait, or fail, for want of space that a snapshot has. */
  private *makeRoom(error: FlashCopyError): Plan<boolean> {
    const { state } = this;
    if (error.code !== 'OutOfSpace' || state.log.line.length === 0) return false;
    if (state.space.freeBytes() > PLENTY_BYTES) return false;
    try {
      return yield* breakLargest(state, error);
    } catch (failure) {
      if (!(failure instanceof FlashCopyError)) throw failure;
      state.listener.log('error', 'no room could be made', { error: failure.message });
      return false;
    }
  }

  volumeByName(name: string): HostVolume | undefined {
    return this.state.names.get(name);
  }

  volumeById(id: number): HostVolume | undefined {
    const v = this.state.volumes.get(id);
    return v === undefined || v.row.retired ? undefined : v;
  }

  hostVolumes(): HostVolume[] {
    return [...this.state.names.values()];
  }

  *read(volume: HostVolume, offset: number, length: number, block: Block, start: number): Plan<void> {
    const v = volume as Volume;
    v.checkOnline();
    this.state.counters.hostReads++;
    yield* readContent(this.state, v, offset, length, block, start);
    // Broken meanwhile: what it had may be gone.
    v.checkOnline();
  }

  write(volume: HostVolume, offset: number, length: number, block: Block, start: number): Plan<void> {
    return hostWrite(this.state, volume as Volume, offset, length, block, start);
  }

  *flush(volume: HostVolume): Plan<void> {
    const v = volume as Volume;
    v.checkOnline();
    // Where there are no bits to say it waits for nothing that others do in the log.
    do if (v.pending.length > 0) yield* this.state.log.roomForBits();
    while (yield* flushVolume(this.state, v));
  }

  discard(volume: HostVolume, offset: number, length: number): Plan<void> {
    return hostDiscard(this.state, volume as Volume, offset, length);
  }

  *createVolume(request: CreateVolume): Plan<CoreVolumeInfo> {
    return this.info(yield* volumes.createVolume(this.state, request));
  }

  *deleteVolume(name: string): Plan<void> {
    yield* volumes.deleteVolume(this.state, name, 'volume');
  }

  *getVolume(name: string): Plan<CoreVolumeInfo> {
    return this.info(this.state.findVolume(name));
  }

  *listVolumes(): Plan<CoreVolumeInfo[]> {
    return [...this.state.volumes.values()].filter((v) => !v.row.retired).map((v) => this.info(v));
  }

  *growVolume(name: string, sizeBytes: number): Plan<CoreVolumeInfo> {
    return this.info(yield* volumes.growVolume(this.state, name, sizeBytes));
  }

  *createSnapshots(requests: CreateSnapshot[]): Plan<CoreVolumeInfo[]> {
    return (yield* volumes.createSnapshots(this.state, requests)).map((v) => this.info(v));
  }

  *deleteSnapshot(name: string): Plan<void> {
    yield* volumes.deleteVolume(this.state, name, 'snapshot');
  }

  *cloneVolume(source: string, request: CloneVolume): Plan<CoreVolumeInfo> {
    return this.info(yield* volumes.cloneVolume(this.state, source, request));
  }

  *allocatedRanges(name: string, from: number, limit: number): Plan<RangePage> {
    return yield* allocatedRanges(this.state.findVolume(name), from, limit);
  }

  *changedRanges(base: string, name: string, from: number, limit: number): Plan<RangePage> {
    const { state } = this;
    return yield* changedRanges(state, state.findVolume(base), state.findVolume(name), from, limit);
  }

  *createMapping(request: CreateMapping): Plan<MappingInfo> {
    return yield* mappingInfo(this.state, yield* mappings.createMapping(this.state, request));
  }

  *prepareMapping(name: string): Plan<MappingInfo> {
    return yield* mappingInfo(this.state, yield* mappings.prepareMapping(this.state, name));
  }

  *startMappings(names: string[], request = ''): Plan<MappingInfo[]> {
    return yield* mappingInfos(this.state, yield* mappings.startMappings(this.state, names, request));
  }

  *syncMapping(name: string, request = ''): Plan<MappingInfo> {
    return yield* mappingInfo(this.state, yield* mappings.syncMapping(this.state, name, request));
  }

  *stopMapping(name: string): Plan<MappingInfo> {
    return yield* mappingInfo(this.state, yield* stopMapping(this.state, name));
  }

  *setCopyRate(name: string, copyRate: number): Plan<MappingInfo> {
    return yield* mappingInfo(this.state, yield* mappings.setCopyRate(this.state, name, copyRate));
  }

  *deleteMapping(name: string, force: boolean): Plan<void> {
    yield* deleteMapping(this.state, name, force);
  }

  *getMapping(name: string): Plan<MappingInfo> {
    return yield* mappingInfo(this.state, this.state.findMapping(name));
  }

  *listMappings(): Plan<MappingInfo[]> {
    return yield* mappingInfos(this.state, [...this.state.mappings.values()]);
  }

  *startScrub(bytesPerSecond: number, found: FoundBefore[]): Plan<ScrubInfo> {
    return yield* startScrub(this.state, bytesPerSecond, found);
  }

  *stopScrub(): Plan<ScrubInfo> {
    return yield* stopScrub(this.state);
  }

  *getScrub(): Plan<ScrubInfo> {
    return scrubInfo(this.state);
  }

  *pool(): Plan<PoolInfo> {
    return poolInfo(this.state);
  }

  *counters(): Plan<Counters> {
    return { ...this.state.counters, logCommits: this.state.log.commits };
  }

  private info(volume: Volume): CoreVolumeInfo {
    return volumeInfo(this.state, volume);
  }
}

/** H2: where bits cannot be made durable now, none of that volume's counts as durable until a flush has said so. */
function* makeBitsDurable(state: State, how = checkpointBits): Plan<boolean> {
  const doubtful = [...state.volumes.values()].filter((v) => v.held?.dirty === true || v.pending.length > 0);
  try {
    yield* how(state);
    return true;
  } catch (error) {
    if (!(error instanceof FlashCopyError)) throw error;
    state.listener.log('error', 'bits could not be made durable at the start', { error: error.message });
    for (const v of doubtful) {
      v.pendAll();
      // So is what a cut of it shows that may not have been told.
      const newest = newestTarget(state, v);
      if (newest !== undefined && !v.unflushed) newest.unflushedCut = state.nextCut();
    }
    return false;
  } finally {
    for (const v of state.volumes.values()) v.doubtful = false;
  }
}

/** Also of those that are offline: a copy that was stopped is, and one that was cut of it shows its file. */
function* flushSources(state: State): Plan<void> {
  const sources = [...state.volumes.values()].filter(
    (v) => v.children.length > 0 && v.suspended === '' && !v.unflushed,
  );
  yield* together(
    state,
    sources.map((v) => flushOrBreak(state, v)),
  );
}

/** Its newest target may be the cut that was not reported; the others are durable. */
function* flushOrBreak(state: State, source: Volume): Plan<void> {
  const newest = newestTarget(state, source);
  try {
    if (newest === undefined) yield* flushVolume(state, source);
    else {
      newest.unflushedCut = state.nextCut();
      yield* flushSource(state, source, newest);
    }
  } catch (error) {
    if (!(error instanceof FlashCopyError)) throw error;
  }
}

/**
 * The last checkpoint. One that fails (a full pool has no room for bitmaps) does not keep the engine from ending: bits go
 * to the undo log, which has its room. Only change bits may say too much after that, as after a loss of power.
 */
function* settle(state: State): Plan<boolean> {
  try {
    yield* checkpoint(state);
    return true;
  } catch (error) {
    if (!(error instanceof FlashCopyError)) throw error;
    state.listener.log('error', 'the engine ends without a checkpoint', { error: error.message });
  }
  for (const v of state.volumes.values()) {
    try {
      if (v.pending.length > 0 && !v.unflushed && (yield* flushVolume(state, v)))
        throw new FlashCopyError('Unavailable', 'the undo log has no room for all of them');
    } catch (error) {
      if (!(error instanceof FlashCopyError)) throw error;
      state.listener.log('error', 'bits could not be made durable at the end', {
        volume: v.name,
        error: error.message,
      });
    }
  }
  return false;
}
