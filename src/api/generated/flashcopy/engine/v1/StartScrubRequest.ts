// Original file: proto/flashcopy/engine/v1/engine.proto

import type { Long } from '@grpc/proto-loader';

export interface StartScrubRequest {
  /**
   * The most that it reads in a second; 0: the default.
   */
  'bytesPerSecond'?: (number | string | Long);
}

export interface StartScrubRequest__Output {
  /**
   * The most that it reads in a second; 0: the default.
   */
  'bytesPerSecond': (number);
}
