// Original file: proto/flashcopy/engine/v1/engine.proto

import type { Long } from '@grpc/proto-loader';

export interface Pool {
  'path'?: (string);
  'totalBytes'?: (number | string | Long);
  'freeBytes'?: (number | string | Long);
  /**
   * Sum of the sizes of all volumes.
   */
  'provisionedBytes'?: (number | string | Long);
  'volumes'?: (number | string | Long);
  'snapshots'?: (number | string | Long);
  'mappings'?: (number | string | Long);
  /**
   * Deleted volumes whose space is not given back yet: others need grains of them, or it takes time.
   */
  'retired'?: (number | string | Long);
  'logBytes'?: (number | string | Long);
  'logUsedBytes'?: (number | string | Long);
  'warnings'?: (string)[];
  /**
   * A UUID, from the making of the pool.
   */
  'id'?: (string);
  /**
   * Memory for bitmaps: in use or promised, and the most that may be.
   */
  'bitmapUsedBytes'?: (number | string | Long);
  'bitmapMaxBytes'?: (number | string | Long);
}

export interface Pool__Output {
  'path': (string);
  'totalBytes': (number);
  'freeBytes': (number);
  /**
   * Sum of the sizes of all volumes.
   */
  'provisionedBytes': (number);
  'volumes': (number);
  'snapshots': (number);
  'mappings': (number);
  /**
   * Deleted volumes whose space is not given back yet: others need grains of them, or it takes time.
   */
  'retired': (number);
  'logBytes': (number);
  'logUsedBytes': (number);
  'warnings': (string)[];
  /**
   * A UUID, from the making of the pool.
   */
  'id': (string);
  /**
   * Memory for bitmaps: in use or promised, and the most that may be.
   */
  'bitmapUsedBytes': (number);
  'bitmapMaxBytes': (number);
}
