/**
 * What a supervisor and its engine process say to each other, and which descriptors the engine inherits.
 */

/** Descriptor numbers in the engine process. 5 and 6 are the pool's lock, which is only to be held. */
export const FUSE_FD = 3;
export const SHM_FD = 4;

/** Where the controller reaches the engine, over mutual TLS. */
export type RemoteAccess = {
  /** "host:port". */
  address: string;
  tlsDir: string;
  nodeId: string;
};

/** The engine processes before this one, since the supervisor runs. */
export type Lives = {
  restarts: number;
  /** How the one before ended: 'SIGKILL', 'exit code 3', or an error's code. `at`: milliseconds since 1970. */
  last?: { reason: string; at: number };
};

export type EngineStart = {
  poolDir: string;
  mountDir: string;
  endpoint: string;
  /** Where CSI is served, for those who ask for it at `endpoint`. */
  csiEndpoint?: string;
  remote?: RemoteAccess;
  /** "host:port" where metrics and health are served. */
  metricsAddress?: string;
  lives: Lives;
  logBytes: number;
  /** A former engine process has filled the shared memory. */
  shmSurvived: boolean;
};

/** supervisor -> engine */
export type ToEngine =
  | { kind: 'start'; start: EngineStart }
  /** Forced: also while volumes are in use. Handover: volumes in use stay attached, for the next engine. */
  | { kind: 'stop'; forced: boolean; handover: boolean }
  /** Whether a keeper outside holds the descriptors too. */
  | { kind: 'kept'; kept: boolean };

/** engine -> supervisor */
export type ToSupervisor =
  | { kind: 'ready' }
  /** It cannot start. It ends by itself. */
  | { kind: 'failed'; code: string; message: string }
  /** It goes on, because these volumes are in use. After a stop that is not refused it ends with exit code 0. */
  | { kind: 'refused'; users: string[] }
  /** It ends with these volumes in use; everything is on disk, host I/O waits for the next engine. */
  | { kind: 'handedOver'; users: string[] };
