/**
 * What the two threads of an engine process say to each other.
 *
 * The main thread holds the catalog, the loop devices and the outside world (API). The data thread holds FlashCopy:
 * the core with all its state, the ring, the FUSE connection. A call goes main -> data and is answered once. In the
 * middle of it the data thread may ask the main thread to commit catalog rows (or, for what io_uring cannot do,
 * nothing else): that is answered once as well.
 *
 * The data thread sleeps in io_uring_enter; the main thread rings its eventfd after it posted.
 */
import type { RowChange } from '../core/ops.ts';
import type { LogMark } from '../core/rows.ts';

/** One row of the catalog as it is loaded at start. */
export type CatalogRow = { table: string; key: number; row: object };

export type DataThreadStart = {
  poolDir: string;
  fuseFd: number;
  /** memfd of the shared memory, and whether a former engine process of this boot has filled it. */
  shmFd: number;
  shmSurvived: boolean;
  /** The main thread writes 8 bytes to it to wake the data thread. */
  eventFd: number;
  rows: CatalogRow[];
  /** Tables whose rows were found damaged: the volumes they belong to are suspended with this text. */
  damaged: { table: string; key: number; error: string }[];
  /** Volumes whose data file is not as their row says. */
  badFiles: { volume: number; error: string }[];
  /** Paths below the pool of files that no row names, and that are removed if the pool is found whole. */
  strays: string[];
  logBytes: number;
  /** The pool's id. */
  pool: string;
  /** The first commit brings the catalog to this program's format. */
  migrates: boolean;
  /** What a new pool's log begins with. */
  mark?: LogMark | undefined;
  /** Of the shared memory, should this engine begin it anew. */
  memoryId: number;
};

/** main -> data */
export type ToData =
  | { kind: 'call'; id: number; method: string; args: unknown[] }
  | { kind: 'committed'; id: number; errno: number }
  | { kind: 'stop' };

/** data -> main */
export type ToMain =
  | { kind: 'ready' }
  | { kind: 'answer'; id: number; result: unknown }
  | { kind: 'failed'; id: number; code: string; message: string; errno?: number }
  | { kind: 'commit'; id: number; changes: RowChange[] }
  /** A mapping changed (state, progress step): watchers look again. */
  | { kind: 'changed'; mapping: number }
  | { kind: 'log'; level: 'info' | 'warn' | 'error'; message: string; fields: Record<string, unknown> }
  /** All I/O ended and a checkpoint is durable: the answer to stop. */
  | { kind: 'stopped' };
