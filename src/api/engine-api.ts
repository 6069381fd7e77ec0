/**
 * What a node's engine can do, for everybody who asks: the CLI, the CSI services and the operator. The same interface
 * is implemented in process and over gRPC; callers cannot tell which.
 *
 * Names: a volume, snapshot or mapping is named by its name or by its id in decimal digits with a leading `#`.
 * Every call is atomic, and idempotent where its comment says so. Failures are FlashCopyErrors.
 */
import type {
  CloneVolume,
  Counters,
  CreateMapping,
  CreateSnapshot,
  CreateVolume,
  CutOptions,
  MappingInfo,
  PoolInfo,
  RangePage,
  ScrubInfo,
  VolumeInfo,
} from '../base/model.ts';

export interface EngineApi {
  /** Same name with the same arguments again: the existing one. With others: AlreadyExists. So for all `create`s. */
  createVolume(request: CreateVolume): Promise<VolumeInfo>;
  /** Unknown name: VolumeNotFound. Snapshots and copies of it live on. */
  deleteVolume(name: string): Promise<void>;
  getVolume(name: string): Promise<VolumeInfo>;
  /** Volumes and snapshots. */
  listVolumes(): Promise<VolumeInfo[]>;
  growVolume(name: string, sizeBytes: number): Promise<VolumeInfo>;
  /** Idempotent: the device of an attached volume. Snapshots are read-only devices. */
  attachVolume(name: string): Promise<string>;
  /** Idempotent. VolumeInUse while it is mounted or open. */
  detachVolume(name: string): Promise<void>;

  /** Snapshots of one or of several volumes (a consistency group): one instant for all, all or nothing. */
  createSnapshots(requests: CreateSnapshot[], options?: CutOptions): Promise<VolumeInfo[]>;
  deleteSnapshot(name: string): Promise<void>;
  /** A new volume with the content of a snapshot or volume, usable at once. sizeBytes 0: the source's size. */
  cloneVolume(source: string, request: CloneVolume): Promise<VolumeInfo>;

  /**
   * Parts of a volume or snapshot that may hold something other than zeros, from byte `from` on, at most `limit` of them.
   * Of a volume that is written meanwhile each page is of its own moment.
   */
  allocatedRanges(name: string, from: number, limit: number): Promise<RangePage>;
  /**
   * What was written between two snapshots of one volume, or since snapshot `base` in its volume `name`; the same
   * paging. From the record of changes, no data is read. InvalidArgument if they are not of one volume, or `base` is
   * the younger.
   */
  changedRanges(base: string, name: string, from: number, limit: number): Promise<RangePage>;

  createMapping(request: CreateMapping): Promise<MappingInfo>;
  /** Flush the source, discard the target's content: from here on the target shows nothing of its own. */
  prepareMapping(name: string): Promise<MappingInfo>;
  /**
   * Cut, prepared or not; several names: one instant for all. `request` names this very wish: asked again with the same
   * one, after a time-out say, nothing is done a second time. So for `syncMapping`.
   */
  startMappings(names: string[], request?: string, options?: CutOptions): Promise<MappingInfo[]>;
  /** Bring the target to now, copying only what changed. Returns when the new cut is made; the copy goes on behind it. */
  syncMapping(name: string, request?: string, options?: CutOptions): Promise<MappingInfo>;
  stopMapping(name: string): Promise<MappingInfo>;
  setCopyRate(name: string, copyRate: number): Promise<MappingInfo>;
  /** A mapping that is still copying needs force: its target loses its content. */
  deleteMapping(name: string, force: boolean): Promise<void>;
  getMapping(name: string): Promise<MappingInfo>;
  listMappings(): Promise<MappingInfo[]>;
  /** The mapping's state now and at every change, until the consumer stops or the mapping is gone. */
  watchMapping(name: string, signal: AbortSignal): AsyncIterable<MappingInfo>;

  /**
   * Looks at all of the pool while it is in use, in the background, at most so many bytes a second (0: the default). One
   * that was stopped goes on; one that runs gets the rate.
   */
  startScrub(bytesPerSecond: number): Promise<ScrubInfo>;
  stopScrub(): Promise<ScrubInfo>;
  /** The scrub that runs, or the last one, and what it has found. */
  getScrub(): Promise<ScrubInfo>;

  pool(): Promise<PoolInfo>;
  counters(): Promise<Counters>;
}
