// Original file: proto/csi/v1/csi.proto

import type { Long } from '@grpc/proto-loader';

/**
 * At least the one, at most the other; 0 leaves a bound open.
 */
export interface CapacityRange {
  'requiredBytes'?: (number | string | Long);
  'limitBytes'?: (number | string | Long);
}

/**
 * At least the one, at most the other; 0 leaves a bound open.
 */
export interface CapacityRange__Output {
  'requiredBytes': (number);
  'limitBytes': (number);
}
