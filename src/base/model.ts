/**
 * The things of a pool as everybody outside the core sees them: what requests hold and what answers tell.
 * Sizes are bytes. Times are milliseconds since 1970. A rate of copying is 0 to 150 (core/rate.ts).
 */
export type Provisioning = 'thin' | 'thick';
export type CowFailure = 'breakSnapshot' | 'failWrite';
export type MappingState =
  | 'idle' | 'preparing' | 'prepared' | 'copying' | 'copied' | 'stopping' | 'stopped' | 'suspended'; // biome-ignore format: one line

/** What a caller wants to find again with a volume: up to 32 keys of 63 characters, values of 1024. The engine only keeps it. */
export type Labels = Readonly<Record<string, string>>;

export type VolumeInfo = {
  id: number;
  name: string;
  kind: 'volume' | 'snapshot';
  sizeBytes: number;
  grainBytes: number;
  provisioning: Provisioning;
  cowFailure: CowFailure;
  /** The volume a snapshot or an unfinished copy was cut from; empty when it depends on none. */
  source: string;
  /** Of a snapshot or clone: the instant of its cut. */
  createdAt: number;
  labels: Labels;
  /** '/dev/loopN' while attached, else ''. */
  device: string;
  /** 'online', or why it is not: 'suspended' (metadata or data not reachable), 'stopped' (its copy was stopped half-way). */
  state: 'online' | 'suspended' | 'stopped';
  /** Why, with file and offset where one is to blame. */
  error: string;
  /** Bytes of the pool that the volume's data takes. */
  allocatedBytes: number;
};

export type MappingInfo = {
  id: number;
  name: string;
  source: string;
  target: string;
  state: MappingState;
  copyRate: number;
  incremental: boolean;
  /** The instant that the target shows; 0 before the first start. */
  cutAt: number;
  /** Of the target's grains, in bytes. copied + remaining = total. */
  totalBytes: number;
  copiedBytes: number;
  remainingBytes: number;
  /** Changed in source or target since the cut: what a sync would copy. */
  changedBytes: number;
  error: string;
};

export type PoolInfo = {
  /** A UUID, from the making of the pool. */
  id: string;
  path: string;
  totalBytes: number;
  freeBytes: number;
  /** Sum of the sizes of all volumes. */
  provisionedBytes: number;
  volumes: number;
  snapshots: number;
  mappings: number;
  /** Deleted volumes whose space is not given back yet: others need grains of them, or it takes time. */
  retired: number;
  logBytes: number;
  logUsedBytes: number;
  /** Memory for bitmaps: in use or promised, and the most that may be. */
  bitmapUsedBytes: number;
  bitmapMaxBytes: number;
  warnings: string[];
};

/** Counters since the engine started, for tests, `top` and metrics. */
export type Counters = {
  hostReads: number;
  hostWrites: number;
  /** Grains given to a child before a source grain was overwritten. */
  grainsCopiedOnWrite: number;
  grainsCopiedInBackground: number;
  grainsCleaned: number;
  logCommits: number;
  cuts: number;
  /** The longest time that a cut held back host writes, microseconds. */
  longestPauseUs: number;
  lastPauseUs: number;
};

export type CreateVolume = {
  name: string;
  sizeBytes: number;
  /** Power of two, 4096 to 1 MiB; 0: the default. */
  grainBytes?: number;
  provisioning?: Provisioning;
  cowFailure?: CowFailure;
  labels?: Labels;
};
export type CloneVolume = CreateVolume & { copyRate?: number; incremental?: boolean };
export type CreateMapping = {
  name: string;
  source: string;
  target: string;
  copyRate?: number;
  incremental?: boolean;
};
export type CreateSnapshot = { name: string; source: string; copyRate?: number; labels?: Labels };

export type ScrubFinding = {
  /** Whose it is; '' for what is the whole pool's. */
  volume: string;
  /** Below the pool. */
  file: string;
  offset: number | null;
  what: string;
};

/** The scrub: a look at all of the pool while it is in use. The last one, or the one that runs. */
export type ScrubInfo = {
  state: 'never' | 'running' | 'stopped' | 'done';
  bytesPerSecond: number;
  startedAt: number;
  endedAt: number;
  /** Where it is. */
  volume: string;
  /** Of the sizes of all volumes and snapshots, holes included. */
  doneBytes: number;
  totalBytes: number;
  findings: ScrubFinding[];
  /** Why it stopped by itself. */
  error: string;
};

export type CutOptions = {
  /** Filesystems that are mounted from the sources are frozen for the cut, so that what it shows needs no recovery. */
  freeze?: boolean;
};

/** A part of a volume, bytes, both multiples of its grain except at the volume's end. */
export type ByteRange = { offset: number; length: number };
export type RangePage = {
  /** In order, neither touching nor overlapping. */
  ranges: ByteRange[];
  /** Where to go on; null at the end of the volume. */
  next: number | null;
  sizeBytes: number;
};
