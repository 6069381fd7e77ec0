// Original file: proto/flashcopy/engine/v1/engine.proto

import type { Provisioning as _flashcopy_engine_v1_Provisioning, Provisioning__Output as _flashcopy_engine_v1_Provisioning__Output } from '../../../flashcopy/engine/v1/Provisioning.ts';
import type { CowFailure as _flashcopy_engine_v1_CowFailure, CowFailure__Output as _flashcopy_engine_v1_CowFailure__Output } from '../../../flashcopy/engine/v1/CowFailure.ts';
import type { Long } from '@grpc/proto-loader';

export interface CreateVolumeRequest {
  'name'?: (string);
  'sizeBytes'?: (number | string | Long);
  /**
   * A power of two from 4096 to 1 MiB; 0: the default.
   */
  'grainBytes'?: (number | string | Long);
  'provisioning'?: (_flashcopy_engine_v1_Provisioning);
  'cowFailure'?: (_flashcopy_engine_v1_CowFailure);
  /**
   * Kept for the caller: up to 32 keys of 63 characters, values of 1024.
   */
  'labels'?: ({[key: string]: string});
}

export interface CreateVolumeRequest__Output {
  'name': (string);
  'sizeBytes': (number);
  /**
   * A power of two from 4096 to 1 MiB; 0: the default.
   */
  'grainBytes': (number);
  'provisioning': (_flashcopy_engine_v1_Provisioning__Output);
  'cowFailure': (_flashcopy_engine_v1_CowFailure__Output);
  /**
   * Kept for the caller: up to 32 keys of 63 characters, values of 1024.
   */
  'labels': ({[key: string]: string});
}
