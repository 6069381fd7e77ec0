// Original file: proto/flashcopy/engine/v1/engine.proto

import type { VolumeKind as _flashcopy_engine_v1_VolumeKind, VolumeKind__Output as _flashcopy_engine_v1_VolumeKind__Output } from '../../../flashcopy/engine/v1/VolumeKind.ts';
import type { Provisioning as _flashcopy_engine_v1_Provisioning, Provisioning__Output as _flashcopy_engine_v1_Provisioning__Output } from '../../../flashcopy/engine/v1/Provisioning.ts';
import type { CowFailure as _flashcopy_engine_v1_CowFailure, CowFailure__Output as _flashcopy_engine_v1_CowFailure__Output } from '../../../flashcopy/engine/v1/CowFailure.ts';
import type { VolumeState as _flashcopy_engine_v1_VolumeState, VolumeState__Output as _flashcopy_engine_v1_VolumeState__Output } from '../../../flashcopy/engine/v1/VolumeState.ts';
import type { Long } from '@grpc/proto-loader';

export interface Volume {
  'id'?: (number | string | Long);
  'name'?: (string);
  'kind'?: (_flashcopy_engine_v1_VolumeKind);
  'sizeBytes'?: (number | string | Long);
  'grainBytes'?: (number | string | Long);
  'provisioning'?: (_flashcopy_engine_v1_Provisioning);
  'cowFailure'?: (_flashcopy_engine_v1_CowFailure);
  /**
   * The volume that a snapshot or an unfinished copy was cut from; empty when it depends on none.
   */
  'source'?: (string);
  'createdAt'?: (number | string | Long);
  /**
   * '/dev/loopN' while attached, else empty.
   */
  'device'?: (string);
  'state'?: (_flashcopy_engine_v1_VolumeState);
  /**
   * Why it is not online.
   */
  'error'?: (string);
  /**
   * What its data takes of the pool.
   */
  'allocatedBytes'?: (number | string | Long);
  'labels'?: ({[key: string]: string});
}

export interface Volume__Output {
  'id': (number);
  'name': (string);
  'kind': (_flashcopy_engine_v1_VolumeKind__Output);
  'sizeBytes': (number);
  'grainBytes': (number);
  'provisioning': (_flashcopy_engine_v1_Provisioning__Output);
  'cowFailure': (_flashcopy_engine_v1_CowFailure__Output);
  /**
   * The volume that a snapshot or an unfinished copy was cut from; empty when it depends on none.
   */
  'source': (string);
  'createdAt': (number);
  /**
   * '/dev/loopN' while attached, else empty.
   */
  'device': (string);
  'state': (_flashcopy_engine_v1_VolumeState__Output);
  /**
   * Why it is not online.
   */
  'error': (string);
  /**
   * What its data takes of the pool.
   */
  'allocatedBytes': (number);
  'labels': ({[key: string]: string});
}
