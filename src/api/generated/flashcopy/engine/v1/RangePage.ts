// Original file: proto/flashcopy/engine/v1/engine.proto

import type { Long } from '@grpc/proto-loader';

export interface _flashcopy_engine_v1_RangePage_Range {
  'offset'?: (number | string | Long);
  'length'?: (number | string | Long);
}

export interface _flashcopy_engine_v1_RangePage_Range__Output {
  'offset': (number);
  'length': (number);
}

export interface RangePage {
  'ranges'?: (_flashcopy_engine_v1_RangePage_Range)[];
  /**
   * Where to go on; absent at the end of the volume.
   */
  'next'?: (number | string | Long);
  'sizeBytes'?: (number | string | Long);
  '_next'?: "next";
}

export interface RangePage__Output {
  'ranges': (_flashcopy_engine_v1_RangePage_Range__Output)[];
  /**
   * Where to go on; absent at the end of the volume.
   */
  'next'?: (number);
  'sizeBytes': (number);
  '_next'?: "next";
}
