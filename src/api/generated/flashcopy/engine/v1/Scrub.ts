// Original file: proto/flashcopy/engine/v1/engine.proto

import type { ScrubState as _flashcopy_engine_v1_ScrubState, ScrubState__Output as _flashcopy_engine_v1_ScrubState__Output } from '../../../flashcopy/engine/v1/ScrubState.ts';
import type { Long } from '@grpc/proto-loader';

export interface _flashcopy_engine_v1_Scrub_Finding {
  /**
   * Empty: the whole pool's.
   */
  'volume'?: (string);
  'file'?: (string);
  /**
   * Absent: not one place.
   */
  'offset'?: (number | string | Long);
  'what'?: (string);
  '_offset'?: "offset";
}

export interface _flashcopy_engine_v1_Scrub_Finding__Output {
  /**
   * Empty: the whole pool's.
   */
  'volume': (string);
  'file': (string);
  /**
   * Absent: not one place.
   */
  'offset'?: (number);
  'what': (string);
  '_offset'?: "offset";
}

export interface Scrub {
  'state'?: (_flashcopy_engine_v1_ScrubState);
  'bytesPerSecond'?: (number | string | Long);
  'startedAt'?: (number | string | Long);
  'endedAt'?: (number | string | Long);
  /**
   * Where it is.
   */
  'volume'?: (string);
  /**
   * Of the sizes of all volumes and snapshots.
   */
  'doneBytes'?: (number | string | Long);
  'totalBytes'?: (number | string | Long);
  'findings'?: (_flashcopy_engine_v1_Scrub_Finding)[];
  /**
   * Why it stopped by itself.
   */
  'error'?: (string);
}

export interface Scrub__Output {
  'state': (_flashcopy_engine_v1_ScrubState__Output);
  'bytesPerSecond': (number);
  'startedAt': (number);
  'endedAt': (number);
  /**
   * Where it is.
   */
  'volume': (string);
  /**
   * Of the sizes of all volumes and snapshots.
   */
  'doneBytes': (number);
  'totalBytes': (number);
  'findings': (_flashcopy_engine_v1_Scrub_Finding__Output)[];
  /**
   * Why it stopped by itself.
   */
  'error': (string);
}
