// Original file: proto/flashcopy/engine/v1/engine.proto

import type { MappingState as _flashcopy_engine_v1_MappingState, MappingState__Output as _flashcopy_engine_v1_MappingState__Output } from '../../../flashcopy/engine/v1/MappingState.ts';
import type { Long } from '@grpc/proto-loader';

export interface Mapping {
  'id'?: (number | string | Long);
  'name'?: (string);
  'source'?: (string);
  'target'?: (string);
  'state'?: (_flashcopy_engine_v1_MappingState);
  'copyRate'?: (number);
  'incremental'?: (boolean);
  /**
   * The instant that the target shows; 0 before the first start.
   */
  'cutAt'?: (number | string | Long);
  /**
   * Of the target's grains, in bytes: copied + remaining = total.
   */
  'totalBytes'?: (number | string | Long);
  'copiedBytes'?: (number | string | Long);
  'remainingBytes'?: (number | string | Long);
  /**
   * Changed in source or target since the cut: what a sync would copy.
   */
  'changedBytes'?: (number | string | Long);
  'error'?: (string);
}

export interface Mapping__Output {
  'id': (number);
  'name': (string);
  'source': (string);
  'target': (string);
  'state': (_flashcopy_engine_v1_MappingState__Output);
  'copyRate': (number);
  'incremental': (boolean);
  /**
   * The instant that the target shows; 0 before the first start.
   */
  'cutAt': (number);
  /**
   * Of the target's grains, in bytes: copied + remaining = total.
   */
  'totalBytes': (number);
  'copiedBytes': (number);
  'remainingBytes': (number);
  /**
   * Changed in source or target since the cut: what a sync would copy.
   */
  'changedBytes': (number);
  'error': (string);
}
