// Original file: proto/flashcopy/engine/v1/engine.proto

import type { Volume as _flashcopy_engine_v1_Volume, Volume__Output as _flashcopy_engine_v1_Volume__Output } from '../../../flashcopy/engine/v1/Volume.ts';

export interface ListVolumesResponse {
  'volumes'?: (_flashcopy_engine_v1_Volume)[];
}

export interface ListVolumesResponse__Output {
  'volumes': (_flashcopy_engine_v1_Volume__Output)[];
}
