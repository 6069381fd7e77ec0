/**
 * How large the world of a random history is, and how busy. The model check wants much of everything; the power-loss
 * simulator wants little, because it looks at thousands of states of each history.
 */
import { BLOCK } from './sim-file.ts';
import { WORDS, WORDS_FEW } from './sim-world.ts';

export type Shape = {
  /** Bytes; one of them is the history's. */
  grains: readonly number[];
  /** Of a new volume, in grains. */
  grainsMax: (grain: number) => number;
  /** Above this a volume does not grow, in blocks. */
  growMax: number;
  /** What a clone may be larger than its source, in blocks. */
  cloneExtraMax: number;
  volumesMax: number;
  hostMax: number;
  controlMax: number;
  /** How often an operation is a control operation. */
  controls: number;
  /** Blocks of one host I/O at the most, with weights. */
  lengths: Readonly<Record<string, number>>;
  logBlocks: readonly number[];
  /** How likely a crash follows an operation. */
  crashes: readonly number[];
  /** Of shared memory. */
  words: number;
  /** How likely the log is brought home without need. */
  checkpoints: number;
  /** How likely a write in a target is left out. */
  targetsSpared: number;
  /** How likely a clone is made of a target, if there is one. */
  cascades: number;
  /** How likely a clone is incremental. */
  incremental: number;
  /** How likely something is deleted when there are enough volumes. */
  deletesWhenFull: number;
  /** Control operations that are more or less frequent than elsewhere. */
  weights: Readonly<Record<string, number>>;
};

export const LARGE: Shape = {
  grains: [4096, 4096, 16384, 65536],
  grainsMax: (grain) => (grain === 65536 ? 16 : 64),
  growMax: 1100,
  cloneExtraMax: 40,
  volumesMax: 14,
  hostMax: 8,
  controlMax: 3,
  controls: 0.08,
  lengths: { 4: 60, 16: 30, 256: 10 },
  logBlocks: [1400, 1830, 4096],
  crashes: [0.002, 0.01, 0.04],
  words: WORDS,
  checkpoints: 0,
  targetsSpared: 0,
  cascades: 0,
  incremental: 0.5,
  deletesWhenFull: 0.5,
  weights: {},
};

export const SMALL: Shape = {
  grains: [BLOCK, BLOCK, 2 * BLOCK],
  grainsMax: () => 6,
  growMax: 16,
  cloneExtraMax: 4,
  volumesMax: 6,
  hostMax: 4,
  controlMax: 2,
  controls: 0.3,
  lengths: { 1: 60, 3: 30, 8: 10 },
  logBlocks: [900],
  crashes: [0, 0.03, 0.08],
  words: WORDS_FEW,
  checkpoints: 0.05,
  targetsSpared: 0,
  cascades: 0,
  incremental: 0.5,
  deletesWhenFull: 0.5,
  weights: {},
};

/** Few volumes, that are synced with each other again and again: targets that have targets. */
export const CHAINED: Shape = {
  ...SMALL,
  volumesMax: 4,
  controls: 0.5,
  crashes: [0, 0.03],
  checkpoints: 0.02,
  targetsSpared: 0.97,
  cascades: 1,
  incremental: 1,
  deletesWhenFull: 0.05,
  hostMax: 6,
  weights: {
    createVolume: 1,
    snapshots: 1,
    clone: 80,
    createMapping: 2,
    prepare: 0,
    start: 4,
    sync: 120,
    deleteVolume: 1,
    grow: 1,
    repeat: 0,
    allocated: 0,
  },
};
