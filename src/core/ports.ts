/**
 * What the core needs from whoever carries it, beside the Driver: memory, time, words that survive the process, and
 * somebody to tell. The engine gives it io_uring's world, the tests a simulated one.
 */
import type { Block } from './ops.ts';

export interface Memory {
  /** A block of at least `bytes` (a multiple of 4096, up to 2 MiB), contents undefined. */
  take(bytes: number): Block;
  give(block: Block): void;
}

export interface Clock {
  /** Milliseconds since 1970: what is told of a moment. It may be set back. */
  now(): number;
  /** Microseconds that only grow: how long something takes. */
  micros(): number;
}

export interface Space {
  /** What the pool's filesystem has left now. */
  freeBytes(): number;
  /** Gives up some of what the pool keeps for this case. False: there is none left. */
  giveReserve(): boolean;
  /** Freed space is discarded at once, and flushes wait for that. */
  readonly discards: boolean;
}

export interface Listener {
  mappingChanged(mapping: number): void;
  log(level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown>): void;
}
