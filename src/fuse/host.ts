/**
 * What a FUSE server needs from whoever holds the volumes, and what it gives them: requests.
 *
 * Offsets and lengths of requests are multiples of 4096 and lie within the volume. A request ends with exactly one call
 * of its `done`, at once or later: without an error, or with what went wrong. Its block may not be used afterwards.
 */
import type { Block } from '../core/ops.ts';

export interface HostVolume {
  readonly id: number;
  readonly name: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
}

export interface HostRequest {
  readonly volume: HostVolume;
  readonly offset: number;
  readonly length: number;
  /** Takes the data of a read, holds that of a write, from its byte 0 on. */
  readonly block: Block;
  readonly done: (error: unknown) => void;
}

export interface FuseHost {
  volumeById(id: number): HostVolume | undefined;
  /** All volumes that have a file in the tree, in any order. */
  hostVolumes(): Iterable<HostVolume>;
  read(request: HostRequest): void;
  write(request: HostRequest): void;
  /** What was written before is durable; offset and length mean nothing. */
  flush(request: HostRequest): void;
  /** The range reads as zeros and takes no space. */
  discard(request: HostRequest): void;
  log(level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown>): void;
}
