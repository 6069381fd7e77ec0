/** What is asked for to be in the undo log, and what is in it, in terms of volumes. */
import type { Bitmap } from './bitmap.ts';
import type { Block } from './ops.ts';
import type { Epoch, Volume } from './volume.ts';

/** `block` null is SET. */
export type LogEntry = {
  volume: Volume;
  bitmap: Bitmap;
  first: number;
  count: number;
  block: Block | null;
  start: number;
  /** Not null: a region of this epoch is marked. The bits say "may have been written" and are not set in memory, where they are exact. */
  marks: Epoch | null;
};

/** A record in the ring: which grains it carries, for filling and for cutting. */
export type LogRecord = {
  seq: number;
  slot: number;
  slots: number;
  /** It says which pool it is of. */
  named: boolean;
  /** It could not be written or flushed: it may be on the disk, and nobody has acted on it. */
  failed?: true;
  copies: { volume: Volume; bitmap: Bitmap; first: number; count: number; slot: number }[];
};
