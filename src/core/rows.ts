/**
 * The catalog's rows: what must be known after everything else is lost. The core writes them, in one durable
 * transaction for each step; nobody else does. Keys are ids from one counter, never used twice.
 */
import type { BitmapId, EpochSeq, MappingId, VolumeId } from '../base/brands.ts';
import type { CowFailure, Labels, MappingState, Provisioning, ScrubFinding } from '../base/model.ts';

export type VolumeRow = {
  id: VolumeId;
  name: string;
  kind: 'volume' | 'snapshot';
  size: number;
  grain: number;
  provisioning: Provisioning;
  cowFailure: CowFailure;
  /** Number of the data file. Another one than the id: a target that was started again gets a new file. */
  file: number;
  /** The FC bitmap; null: the volume holds every grain. */
  held: BitmapId | null;
  /** Where missing grains are read from. */
  parent: VolumeId | null;
  /** Of which volume this is, or was, a copy. */
  source: VolumeId | null;
  /** The volume's own epoch that began when it became (or was synced as) a target: its host writes are counted from there. */
  since: EpochSeq;
  /** Number of the newest epoch; epochs are kept only while somebody needs them. */
  epoch: EpochSeq;
  /** The data file is a hole wherever the volume does not hold a grain. */
  sparse: boolean;
  /** Deleted, but others still read from it. */
  retired: boolean;
  /** Half-copied and stopped, or broken: no host I/O, with the reason. */
  offline: string;
  /** A flush of its data has failed: what was not durable then is not to be trusted (B3). Absent: none has. */
  unflushed?: boolean;
  createdAt: number;
  /** The epoch of its source that its cut opened; absent: not a copy. */
  cut?: EpochSeq;
  /** Absent: none. */
  labels?: Labels;
};

export type MappingRow = {
  id: MappingId;
  name: string;
  source: VolumeId;
  target: VolumeId;
  state: MappingState;
  copyRate: number;
  incremental: boolean;
  /** The epoch of the source that the cut opened; 0 before the first cut. */
  cut: EpochSeq;
  cutAt: number;
  /** The request that made the cut, so that asking again does not make another; absent: not known. */
  request?: string;
  error: string;
};

export type EpochRow = { id: number; volume: VolumeId; seq: EpochSeq; bitmap: BitmapId };

export type BitmapRow = {
  id: BitmapId;
  bits: number;
  /** Number of its file; 0: no file, all zeros. */
  gen: number;
  /** Runs to clear after loading: what changed between the writing of the file and the cut that made it valid. */
  patch: [first: number, count: number][];
  /** Runs to set after loading: of a bitmap that begins its life with them and has no file yet. */
  preset: [first: number, count: number][];
};

/** A record of the undo log. */
export type LogMark = { seq: number; slot: number };

/** One row, key 1. */
export type EngineRow = {
  nextId: number;
  tailSeq: number;
  tailSlot: number;
  /** The last engine closed the pool, and none has opened it since. */
  clean: boolean;
  /** Slots of the undo log; absent: not known. */
  logSlots?: number;
  /** The record at the tail was durable when the tail was moved there: it is in the log, or the log is damaged. */
  tailWritten?: boolean;
  /** The record before the tail, which stays in its place until others come around the ring; absent: not known. */
  mark?: LogMark | undefined;
  /** Every record from the tail on says which pool it is of. Absent: format 1 may have written some that do not. */
  named?: boolean;
  /** Which shared memory goes with this catalog after the death of the process; absent: not known. */
  memoryId?: number;
};

/** Where the undo log begins, and what is known of its beginning. */
export type LogTail = Pick<EngineRow, 'tailSeq' | 'tailSlot' | 'tailWritten' | 'mark' | 'named'>;

/** One row, key 1. Absent: there never was a scrub. */
export type ScrubRow = {
  id: number;
  state: 'running' | 'stopped' | 'done';
  bytesPerSecond: number;
  startedAt: number;
  endedAt: number;
  /** Where it is: volumes with lower ids are done, and so much of this one. */
  volume: number;
  offset: number;
  findings: readonly ScrubFinding[];
  error: string;
};

/** The tables that there are. */
export const TABLES = ['volume', 'mapping', 'epoch', 'bitmap', 'engine', 'scrub'] as const;
