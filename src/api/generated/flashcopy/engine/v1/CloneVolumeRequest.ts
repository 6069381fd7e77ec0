// Original file: proto/flashcopy/engine/v1/engine.proto

import type { CreateVolumeRequest as _flashcopy_engine_v1_CreateVolumeRequest, CreateVolumeRequest__Output as _flashcopy_engine_v1_CreateVolumeRequest__Output } from '../../../flashcopy/engine/v1/CreateVolumeRequest.ts';

export interface CloneVolumeRequest {
  'source'?: (string);
  /**
   * size_bytes 0: the source's size.
   */
  'volume'?: (_flashcopy_engine_v1_CreateVolumeRequest | null);
  'copyRate'?: (number);
  'incremental'?: (boolean);
  '_copyRate'?: "copyRate";
}

export interface CloneVolumeRequest__Output {
  'source': (string);
  /**
   * size_bytes 0: the source's size.
   */
  'volume': (_flashcopy_engine_v1_CreateVolumeRequest__Output | null);
  'copyRate'?: (number);
  'incremental': (boolean);
  '_copyRate'?: "copyRate";
}
