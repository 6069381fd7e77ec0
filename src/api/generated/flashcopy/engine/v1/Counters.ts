// Original file: proto/flashcopy/engine/v1/engine.proto

import type { Long } from '@grpc/proto-loader';

/**
 * Counted since the engine started.
 */
export interface Counters {
  'hostReads'?: (number | string | Long);
  'hostWrites'?: (number | string | Long);
  /**
   * Grains given to a child before a source grain was overwritten.
   */
  'grainsCopiedOnWrite'?: (number | string | Long);
  'grainsCopiedInBackground'?: (number | string | Long);
  'grainsCleaned'?: (number | string | Long);
  'logCommits'?: (number | string | Long);
  'cuts'?: (number | string | Long);
  /**
   * The longest time that a cut held back host writes, microseconds.
   */
  'longestPauseUs'?: (number | string | Long);
  'lastPauseUs'?: (number | string | Long);
}

/**
 * Counted since the engine started.
 */
export interface Counters__Output {
  'hostReads': (number);
  'hostWrites': (number);
  /**
   * Grains given to a child before a source grain was overwritten.
   */
  'grainsCopiedOnWrite': (number);
  'grainsCopiedInBackground': (number);
  'grainsCleaned': (number);
  'logCommits': (number);
  'cuts': (number);
  /**
   * The longest time that a cut held back host writes, microseconds.
   */
  'longestPauseUs': (number);
  'lastPauseUs': (number);
}
