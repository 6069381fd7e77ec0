// Original file: proto/flashcopy/engine/v1/engine.proto

import type { Long } from '@grpc/proto-loader';

export interface GrowVolumeRequest {
  'name'?: (string);
  'sizeBytes'?: (number | string | Long);
}

export interface GrowVolumeRequest__Output {
  'name': (string);
  'sizeBytes': (number);
}
