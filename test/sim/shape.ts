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
  /** How likely a death of the process takes the shared words with it. */
  wordsLost: number;
  /** Of shared memory. */
  words: number;
  /** As in the engine plans go on in order, and no I/O ends before all wait. */
  inOrder: boolean;
  /** How likely the log is brought home without need. */
  checkpoints: number;
  /** The same after each single step of what goes on. */
  stepCheckpoints: number;
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
  wordsLost: 0,
  words: WORDS,
  inOrder: false,
  checkpoints: 0,
  stepCheckpoints: 0.001,
  targetsSpared: 0,
  cascades: 0,
  incremental: 0.5,
  deletesWhenFull: 0.5,
  weights: {},
};

/** Where many a death takes the shared words, and the machine goes on. */
const UNKEPT: Shape = { ...LARGE, crashes: [0.01, 0.04], wordsLost: 0.4 };

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
  wordsLost: 0,
  words: WORDS_FEW,
  inOrder: false,
  checkpoints: 0.05,
  stepCheckpoints: 0,
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

/** Several targets of each source, synced in any order while the host writes. */
export const MANY: Shape = {
  ...CHAINED,
  volumesMax: 5,
  controls: 0.35,
  hostMax: 8,
  lengths: { 1: 60, 3: 30, 6: 10 },
  checkpoints: 0.05,
  stepCheckpoints: 0.01,
  targetsSpared: 0.5,
  cascades: 0.3,
  weights: {
    ...CHAINED.weights,
    snapshots: 15,
    clone: 60,
    grow: 8,
    deleteVolume: 10,
    rate: 10,
    allocated: 4,
    stop: 2,
    deleteMapping: 3,
  },
};

/** Mappings between what is there, started: a target becomes the source of its source. */
export const RESTORE: Shape = {
  ...MANY,
  controls: 0.45,
  hostMax: 6,
  targetsSpared: 0.3,
  cascades: 0.5,
  weights: {
    createVolume: 4,
    snapshots: 10,
    clone: 25,
    createMapping: 60,
    prepare: 4,
    start: 70,
    sync: 70,
    stop: 10,
    deleteMapping: 12,
    rate: 10,
    grow: 3,
    deleteVolume: 8,
    repeat: 0,
    allocated: 2,
  },
};

/** Grains that are larger than a block, and volumes that do not end with one. */
export const COARSE: Shape = {
  ...MANY,
  grains: [4 * BLOCK],
  grainsMax: () => 5,
  growMax: 40,
  cloneExtraMax: 9,
  lengths: { 1: 50, 3: 30, 8: 20 },
  cascades: 0.6,
};

/** Large grains and large writes, many at once, and little room in the undo log. */
const BUSY: Shape = {
  ...LARGE,
  hostMax: 40,
  grains: [4096, 65_536, 262_144],
  grainsMax: (grain) => (grain >= 65_536 ? 16 : 600),
  lengths: { 16: 40, 128: 40, 256: 20 },
  growMax: 2000,
  logBlocks: [1830],
  crashes: [0.002],
};

const inOrder = (shape: Shape): Shape => ({ ...shape, inOrder: true });

export const SHAPES: Readonly<Record<string, Shape>> = {
  LARGE,
  UNKEPT,
  SMALL,
  CHAINED,
  MANY,
  RESTORE,
  COARSE,
  BUSY,
  MANY_IN_ORDER: inOrder(MANY),
  COARSE_IN_ORDER: inOrder(COARSE),
  BUSY_IN_ORDER: inOrder(BUSY),
};
