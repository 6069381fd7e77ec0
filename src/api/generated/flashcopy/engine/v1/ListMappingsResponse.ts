// Original file: proto/flashcopy/engine/v1/engine.proto

import type { Mapping as _flashcopy_engine_v1_Mapping, Mapping__Output as _flashcopy_engine_v1_Mapping__Output } from '../../../flashcopy/engine/v1/Mapping.ts';

export interface ListMappingsResponse {
  'mappings'?: (_flashcopy_engine_v1_Mapping)[];
}

export interface ListMappingsResponse__Output {
  'mappings': (_flashcopy_engine_v1_Mapping__Output)[];
}
