// Original file: proto/flashcopy/engine/v1/engine.proto

import type { Long } from '@grpc/proto-loader';

export interface RangesRequest {
  'name'?: (string);
  /**
   * ChangedRanges: the older of the two.
   */
  'base'?: (string);
  /**
   * The first byte.
   */
  'from'?: (number | string | Long);
  /**
   * The most ranges in the answer.
   */
  'limit'?: (number);
}

export interface RangesRequest__Output {
  'name': (string);
  /**
   * ChangedRanges: the older of the two.
   */
  'base': (string);
  /**
   * The first byte.
   */
  'from': (number);
  /**
   * The most ranges in the answer.
   */
  'limit': (number);
}
