// Original file: proto/csi/v1/csi.proto

import type { Long } from '@grpc/proto-loader';

/**
 * A part of a volume.
 */
export interface BlockMetadata {
  'byteOffset'?: (number | string | Long);
  'sizeBytes'?: (number | string | Long);
}

/**
 * A part of a volume.
 */
export interface BlockMetadata__Output {
  'byteOffset': (number);
  'sizeBytes': (number);
}
