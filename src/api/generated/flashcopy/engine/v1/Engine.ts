// Original file: proto/flashcopy/engine/v1/engine.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AttachVolumeResponse as _flashcopy_engine_v1_AttachVolumeResponse, AttachVolumeResponse__Output as _flashcopy_engine_v1_AttachVolumeResponse__Output } from '../../../flashcopy/engine/v1/AttachVolumeResponse.ts';
import type { CloneVolumeRequest as _flashcopy_engine_v1_CloneVolumeRequest, CloneVolumeRequest__Output as _flashcopy_engine_v1_CloneVolumeRequest__Output } from '../../../flashcopy/engine/v1/CloneVolumeRequest.ts';
import type { Counters as _flashcopy_engine_v1_Counters, Counters__Output as _flashcopy_engine_v1_Counters__Output } from '../../../flashcopy/engine/v1/Counters.ts';
import type { CreateMappingRequest as _flashcopy_engine_v1_CreateMappingRequest, CreateMappingRequest__Output as _flashcopy_engine_v1_CreateMappingRequest__Output } from '../../../flashcopy/engine/v1/CreateMappingRequest.ts';
import type { CreateSnapshotsRequest as _flashcopy_engine_v1_CreateSnapshotsRequest, CreateSnapshotsRequest__Output as _flashcopy_engine_v1_CreateSnapshotsRequest__Output } from '../../../flashcopy/engine/v1/CreateSnapshotsRequest.ts';
import type { CreateVolumeRequest as _flashcopy_engine_v1_CreateVolumeRequest, CreateVolumeRequest__Output as _flashcopy_engine_v1_CreateVolumeRequest__Output } from '../../../flashcopy/engine/v1/CreateVolumeRequest.ts';
import type { DeleteMappingRequest as _flashcopy_engine_v1_DeleteMappingRequest, DeleteMappingRequest__Output as _flashcopy_engine_v1_DeleteMappingRequest__Output } from '../../../flashcopy/engine/v1/DeleteMappingRequest.ts';
import type { Empty as _flashcopy_engine_v1_Empty, Empty__Output as _flashcopy_engine_v1_Empty__Output } from '../../../flashcopy/engine/v1/Empty.ts';
import type { GrowVolumeRequest as _flashcopy_engine_v1_GrowVolumeRequest, GrowVolumeRequest__Output as _flashcopy_engine_v1_GrowVolumeRequest__Output } from '../../../flashcopy/engine/v1/GrowVolumeRequest.ts';
import type { ListMappingsResponse as _flashcopy_engine_v1_ListMappingsResponse, ListMappingsResponse__Output as _flashcopy_engine_v1_ListMappingsResponse__Output } from '../../../flashcopy/engine/v1/ListMappingsResponse.ts';
import type { ListVolumesResponse as _flashcopy_engine_v1_ListVolumesResponse, ListVolumesResponse__Output as _flashcopy_engine_v1_ListVolumesResponse__Output } from '../../../flashcopy/engine/v1/ListVolumesResponse.ts';
import type { Mapping as _flashcopy_engine_v1_Mapping, Mapping__Output as _flashcopy_engine_v1_Mapping__Output } from '../../../flashcopy/engine/v1/Mapping.ts';
import type { Name as _flashcopy_engine_v1_Name, Name__Output as _flashcopy_engine_v1_Name__Output } from '../../../flashcopy/engine/v1/Name.ts';
import type { Pool as _flashcopy_engine_v1_Pool, Pool__Output as _flashcopy_engine_v1_Pool__Output } from '../../../flashcopy/engine/v1/Pool.ts';
import type { RangePage as _flashcopy_engine_v1_RangePage, RangePage__Output as _flashcopy_engine_v1_RangePage__Output } from '../../../flashcopy/engine/v1/RangePage.ts';
import type { RangesRequest as _flashcopy_engine_v1_RangesRequest, RangesRequest__Output as _flashcopy_engine_v1_RangesRequest__Output } from '../../../flashcopy/engine/v1/RangesRequest.ts';
import type { Scrub as _flashcopy_engine_v1_Scrub, Scrub__Output as _flashcopy_engine_v1_Scrub__Output } from '../../../flashcopy/engine/v1/Scrub.ts';
import type { SetCopyRateRequest as _flashcopy_engine_v1_SetCopyRateRequest, SetCopyRateRequest__Output as _flashcopy_engine_v1_SetCopyRateRequest__Output } from '../../../flashcopy/engine/v1/SetCopyRateRequest.ts';
import type { StartMappingsRequest as _flashcopy_engine_v1_StartMappingsRequest, StartMappingsRequest__Output as _flashcopy_engine_v1_StartMappingsRequest__Output } from '../../../flashcopy/engine/v1/StartMappingsRequest.ts';
import type { StartScrubRequest as _flashcopy_engine_v1_StartScrubRequest, StartScrubRequest__Output as _flashcopy_engine_v1_StartScrubRequest__Output } from '../../../flashcopy/engine/v1/StartScrubRequest.ts';
import type { SyncMappingRequest as _flashcopy_engine_v1_SyncMappingRequest, SyncMappingRequest__Output as _flashcopy_engine_v1_SyncMappingRequest__Output } from '../../../flashcopy/engine/v1/SyncMappingRequest.ts';
import type { Volume as _flashcopy_engine_v1_Volume, Volume__Output as _flashcopy_engine_v1_Volume__Output } from '../../../flashcopy/engine/v1/Volume.ts';

export interface EngineClient extends grpc.Client {
  /**
   * Parts of a volume that may hold something other than zeros.
   */
  AllocatedRanges(argument: _flashcopy_engine_v1_RangesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  AllocatedRanges(argument: _flashcopy_engine_v1_RangesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  AllocatedRanges(argument: _flashcopy_engine_v1_RangesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  AllocatedRanges(argument: _flashcopy_engine_v1_RangesRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  /**
   * Parts of a volume that may hold something other than zeros.
   */
  allocatedRanges(argument: _flashcopy_engine_v1_RangesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  allocatedRanges(argument: _flashcopy_engine_v1_RangesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  allocatedRanges(argument: _flashcopy_engine_v1_RangesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  allocatedRanges(argument: _flashcopy_engine_v1_RangesRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  
  /**
   * Gives a volume a block device; of an attached one, tells the device. Snapshots are read-only.
   */
  AttachVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_AttachVolumeResponse__Output>): grpc.ClientUnaryCall;
  AttachVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_AttachVolumeResponse__Output>): grpc.ClientUnaryCall;
  AttachVolume(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_AttachVolumeResponse__Output>): grpc.ClientUnaryCall;
  AttachVolume(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_AttachVolumeResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Gives a volume a block device; of an attached one, tells the device. Snapshots are read-only.
   */
  attachVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_AttachVolumeResponse__Output>): grpc.ClientUnaryCall;
  attachVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_AttachVolumeResponse__Output>): grpc.ClientUnaryCall;
  attachVolume(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_AttachVolumeResponse__Output>): grpc.ClientUnaryCall;
  attachVolume(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_AttachVolumeResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * What was written between two snapshots of one volume, or since a snapshot in its volume.
   */
  ChangedRanges(argument: _flashcopy_engine_v1_RangesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  ChangedRanges(argument: _flashcopy_engine_v1_RangesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  ChangedRanges(argument: _flashcopy_engine_v1_RangesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  ChangedRanges(argument: _flashcopy_engine_v1_RangesRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  /**
   * What was written between two snapshots of one volume, or since a snapshot in its volume.
   */
  changedRanges(argument: _flashcopy_engine_v1_RangesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  changedRanges(argument: _flashcopy_engine_v1_RangesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  changedRanges(argument: _flashcopy_engine_v1_RangesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  changedRanges(argument: _flashcopy_engine_v1_RangesRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_RangePage__Output>): grpc.ClientUnaryCall;
  
  /**
   * A new volume with the content of a snapshot or volume, usable at once.
   */
  CloneVolume(argument: _flashcopy_engine_v1_CloneVolumeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  CloneVolume(argument: _flashcopy_engine_v1_CloneVolumeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  CloneVolume(argument: _flashcopy_engine_v1_CloneVolumeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  CloneVolume(argument: _flashcopy_engine_v1_CloneVolumeRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  /**
   * A new volume with the content of a snapshot or volume, usable at once.
   */
  cloneVolume(argument: _flashcopy_engine_v1_CloneVolumeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  cloneVolume(argument: _flashcopy_engine_v1_CloneVolumeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  cloneVolume(argument: _flashcopy_engine_v1_CloneVolumeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  cloneVolume(argument: _flashcopy_engine_v1_CloneVolumeRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  
  /**
   * Makes a mapping between two volumes; nothing is copied before it is started.
   */
  CreateMapping(argument: _flashcopy_engine_v1_CreateMappingRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  CreateMapping(argument: _flashcopy_engine_v1_CreateMappingRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  CreateMapping(argument: _flashcopy_engine_v1_CreateMappingRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  CreateMapping(argument: _flashcopy_engine_v1_CreateMappingRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  /**
   * Makes a mapping between two volumes; nothing is copied before it is started.
   */
  createMapping(argument: _flashcopy_engine_v1_CreateMappingRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  createMapping(argument: _flashcopy_engine_v1_CreateMappingRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  createMapping(argument: _flashcopy_engine_v1_CreateMappingRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  createMapping(argument: _flashcopy_engine_v1_CreateMappingRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  
  /**
   * Snapshots of one or of several volumes: one instant for all, all or nothing.
   */
  CreateSnapshots(argument: _flashcopy_engine_v1_CreateSnapshotsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  CreateSnapshots(argument: _flashcopy_engine_v1_CreateSnapshotsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  CreateSnapshots(argument: _flashcopy_engine_v1_CreateSnapshotsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  CreateSnapshots(argument: _flashcopy_engine_v1_CreateSnapshotsRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Snapshots of one or of several volumes: one instant for all, all or nothing.
   */
  createSnapshots(argument: _flashcopy_engine_v1_CreateSnapshotsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  createSnapshots(argument: _flashcopy_engine_v1_CreateSnapshotsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  createSnapshots(argument: _flashcopy_engine_v1_CreateSnapshotsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  createSnapshots(argument: _flashcopy_engine_v1_CreateSnapshotsRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Creates an empty volume. The same name with the same arguments again gives the existing one; with other arguments
   * it fails with AlreadyExists. So do all calls that create.
   */
  CreateVolume(argument: _flashcopy_engine_v1_CreateVolumeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  CreateVolume(argument: _flashcopy_engine_v1_CreateVolumeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  CreateVolume(argument: _flashcopy_engine_v1_CreateVolumeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  CreateVolume(argument: _flashcopy_engine_v1_CreateVolumeRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  /**
   * Creates an empty volume. The same name with the same arguments again gives the existing one; with other arguments
   * it fails with AlreadyExists. So do all calls that create.
   */
  createVolume(argument: _flashcopy_engine_v1_CreateVolumeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  createVolume(argument: _flashcopy_engine_v1_CreateVolumeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  createVolume(argument: _flashcopy_engine_v1_CreateVolumeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  createVolume(argument: _flashcopy_engine_v1_CreateVolumeRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  
  DeleteMapping(argument: _flashcopy_engine_v1_DeleteMappingRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DeleteMapping(argument: _flashcopy_engine_v1_DeleteMappingRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DeleteMapping(argument: _flashcopy_engine_v1_DeleteMappingRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DeleteMapping(argument: _flashcopy_engine_v1_DeleteMappingRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteMapping(argument: _flashcopy_engine_v1_DeleteMappingRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteMapping(argument: _flashcopy_engine_v1_DeleteMappingRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteMapping(argument: _flashcopy_engine_v1_DeleteMappingRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteMapping(argument: _flashcopy_engine_v1_DeleteMappingRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  
  DeleteSnapshot(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DeleteSnapshot(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DeleteSnapshot(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DeleteSnapshot(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteSnapshot(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteSnapshot(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteSnapshot(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteSnapshot(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  
  /**
   * Deletes a volume. Snapshots and copies of it live on. Refused while it is in use.
   */
  DeleteVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DeleteVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DeleteVolume(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DeleteVolume(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  /**
   * Deletes a volume. Snapshots and copies of it live on. Refused while it is in use.
   */
  deleteVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteVolume(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  deleteVolume(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  
  /**
   * Takes the block device away. Refused while it is in use; does nothing if there is none.
   */
  DetachVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DetachVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DetachVolume(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  DetachVolume(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  /**
   * Takes the block device away. Refused while it is in use; does nothing if there is none.
   */
  detachVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  detachVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  detachVolume(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  detachVolume(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Empty__Output>): grpc.ClientUnaryCall;
  
  GetCounters(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Counters__Output>): grpc.ClientUnaryCall;
  GetCounters(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Counters__Output>): grpc.ClientUnaryCall;
  GetCounters(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Counters__Output>): grpc.ClientUnaryCall;
  GetCounters(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_Counters__Output>): grpc.ClientUnaryCall;
  getCounters(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Counters__Output>): grpc.ClientUnaryCall;
  getCounters(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Counters__Output>): grpc.ClientUnaryCall;
  getCounters(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Counters__Output>): grpc.ClientUnaryCall;
  getCounters(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_Counters__Output>): grpc.ClientUnaryCall;
  
  GetMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  GetMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  GetMapping(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  GetMapping(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  getMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  getMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  getMapping(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  getMapping(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  
  GetPool(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Pool__Output>): grpc.ClientUnaryCall;
  GetPool(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Pool__Output>): grpc.ClientUnaryCall;
  GetPool(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Pool__Output>): grpc.ClientUnaryCall;
  GetPool(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_Pool__Output>): grpc.ClientUnaryCall;
  getPool(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Pool__Output>): grpc.ClientUnaryCall;
  getPool(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Pool__Output>): grpc.ClientUnaryCall;
  getPool(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Pool__Output>): grpc.ClientUnaryCall;
  getPool(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_Pool__Output>): grpc.ClientUnaryCall;
  
  GetScrub(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  GetScrub(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  GetScrub(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  GetScrub(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  getScrub(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  getScrub(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  getScrub(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  getScrub(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  
  GetVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  GetVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  GetVolume(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  GetVolume(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  getVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  getVolume(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  getVolume(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  getVolume(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  
  /**
   * Makes a volume larger, its block device too while it is attached.
   */
  GrowVolume(argument: _flashcopy_engine_v1_GrowVolumeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  GrowVolume(argument: _flashcopy_engine_v1_GrowVolumeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  GrowVolume(argument: _flashcopy_engine_v1_GrowVolumeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  GrowVolume(argument: _flashcopy_engine_v1_GrowVolumeRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  /**
   * Makes a volume larger, its block device too while it is attached.
   */
  growVolume(argument: _flashcopy_engine_v1_GrowVolumeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  growVolume(argument: _flashcopy_engine_v1_GrowVolumeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  growVolume(argument: _flashcopy_engine_v1_GrowVolumeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  growVolume(argument: _flashcopy_engine_v1_GrowVolumeRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Volume__Output>): grpc.ClientUnaryCall;
  
  ListMappings(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  ListMappings(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  ListMappings(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  ListMappings(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  listMappings(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  listMappings(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  listMappings(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  listMappings(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Volumes and snapshots.
   */
  ListVolumes(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  ListVolumes(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  ListVolumes(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  ListVolumes(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Volumes and snapshots.
   */
  listVolumes(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  listVolumes(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  listVolumes(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  listVolumes(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_ListVolumesResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Flushes the source and discards the target's content, so that a start has little to do.
   */
  PrepareMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  PrepareMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  PrepareMapping(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  PrepareMapping(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  /**
   * Flushes the source and discards the target's content, so that a start has little to do.
   */
  prepareMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  prepareMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  prepareMapping(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  prepareMapping(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  
  SetCopyRate(argument: _flashcopy_engine_v1_SetCopyRateRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  SetCopyRate(argument: _flashcopy_engine_v1_SetCopyRateRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  SetCopyRate(argument: _flashcopy_engine_v1_SetCopyRateRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  SetCopyRate(argument: _flashcopy_engine_v1_SetCopyRateRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  setCopyRate(argument: _flashcopy_engine_v1_SetCopyRateRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  setCopyRate(argument: _flashcopy_engine_v1_SetCopyRateRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  setCopyRate(argument: _flashcopy_engine_v1_SetCopyRateRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  setCopyRate(argument: _flashcopy_engine_v1_SetCopyRateRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  
  /**
   * Cuts: the targets show the sources as they are now. Several mappings: one instant for all.
   */
  StartMappings(argument: _flashcopy_engine_v1_StartMappingsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  StartMappings(argument: _flashcopy_engine_v1_StartMappingsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  StartMappings(argument: _flashcopy_engine_v1_StartMappingsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  StartMappings(argument: _flashcopy_engine_v1_StartMappingsRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Cuts: the targets show the sources as they are now. Several mappings: one instant for all.
   */
  startMappings(argument: _flashcopy_engine_v1_StartMappingsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  startMappings(argument: _flashcopy_engine_v1_StartMappingsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  startMappings(argument: _flashcopy_engine_v1_StartMappingsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  startMappings(argument: _flashcopy_engine_v1_StartMappingsRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_ListMappingsResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Looks at all of the pool while it is in use, in the background. One that was stopped goes on where it was.
   */
  StartScrub(argument: _flashcopy_engine_v1_StartScrubRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  StartScrub(argument: _flashcopy_engine_v1_StartScrubRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  StartScrub(argument: _flashcopy_engine_v1_StartScrubRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  StartScrub(argument: _flashcopy_engine_v1_StartScrubRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  /**
   * Looks at all of the pool while it is in use, in the background. One that was stopped goes on where it was.
   */
  startScrub(argument: _flashcopy_engine_v1_StartScrubRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  startScrub(argument: _flashcopy_engine_v1_StartScrubRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  startScrub(argument: _flashcopy_engine_v1_StartScrubRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  startScrub(argument: _flashcopy_engine_v1_StartScrubRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  
  StopMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  StopMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  StopMapping(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  StopMapping(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  stopMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  stopMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  stopMapping(argument: _flashcopy_engine_v1_Name, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  stopMapping(argument: _flashcopy_engine_v1_Name, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  
  StopScrub(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  StopScrub(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  StopScrub(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  StopScrub(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  stopScrub(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  stopScrub(argument: _flashcopy_engine_v1_Empty, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  stopScrub(argument: _flashcopy_engine_v1_Empty, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  stopScrub(argument: _flashcopy_engine_v1_Empty, callback: grpc.requestCallback<_flashcopy_engine_v1_Scrub__Output>): grpc.ClientUnaryCall;
  
  /**
   * Brings the target to now, copying only what changed. Returns when the cut is made.
   */
  SyncMapping(argument: _flashcopy_engine_v1_SyncMappingRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  SyncMapping(argument: _flashcopy_engine_v1_SyncMappingRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  SyncMapping(argument: _flashcopy_engine_v1_SyncMappingRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  SyncMapping(argument: _flashcopy_engine_v1_SyncMappingRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  /**
   * Brings the target to now, copying only what changed. Returns when the cut is made.
   */
  syncMapping(argument: _flashcopy_engine_v1_SyncMappingRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  syncMapping(argument: _flashcopy_engine_v1_SyncMappingRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  syncMapping(argument: _flashcopy_engine_v1_SyncMappingRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  syncMapping(argument: _flashcopy_engine_v1_SyncMappingRequest, callback: grpc.requestCallback<_flashcopy_engine_v1_Mapping__Output>): grpc.ClientUnaryCall;
  
  /**
   * The mapping now and at every change. Ends when the mapping is gone.
   */
  WatchMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_flashcopy_engine_v1_Mapping__Output>;
  WatchMapping(argument: _flashcopy_engine_v1_Name, options?: grpc.CallOptions): grpc.ClientReadableStream<_flashcopy_engine_v1_Mapping__Output>;
  /**
   * The mapping now and at every change. Ends when the mapping is gone.
   */
  watchMapping(argument: _flashcopy_engine_v1_Name, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_flashcopy_engine_v1_Mapping__Output>;
  watchMapping(argument: _flashcopy_engine_v1_Name, options?: grpc.CallOptions): grpc.ClientReadableStream<_flashcopy_engine_v1_Mapping__Output>;
  
}

export interface EngineHandlers extends grpc.UntypedServiceImplementation {
  /**
   * Parts of a volume that may hold something other than zeros.
   */
  AllocatedRanges: grpc.handleUnaryCall<_flashcopy_engine_v1_RangesRequest__Output, _flashcopy_engine_v1_RangePage>;
  
  /**
   * Gives a volume a block device; of an attached one, tells the device. Snapshots are read-only.
   */
  AttachVolume: grpc.handleUnaryCall<_flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_AttachVolumeResponse>;
  
  /**
   * What was written between two snapshots of one volume, or since a snapshot in its volume.
   */
  ChangedRanges: grpc.handleUnaryCall<_flashcopy_engine_v1_RangesRequest__Output, _flashcopy_engine_v1_RangePage>;
  
  /**
   * A new volume with the content of a snapshot or volume, usable at once.
   */
  CloneVolume: grpc.handleUnaryCall<_flashcopy_engine_v1_CloneVolumeRequest__Output, _flashcopy_engine_v1_Volume>;
  
  /**
   * Makes a mapping between two volumes; nothing is copied before it is started.
   */
  CreateMapping: grpc.handleUnaryCall<_flashcopy_engine_v1_CreateMappingRequest__Output, _flashcopy_engine_v1_Mapping>;
  
  /**
   * Snapshots of one or of several volumes: one instant for all, all or nothing.
   */
  CreateSnapshots: grpc.handleUnaryCall<_flashcopy_engine_v1_CreateSnapshotsRequest__Output, _flashcopy_engine_v1_ListVolumesResponse>;
  
  /**
   * Creates an empty volume. The same name with the same arguments again gives the existing one; with other arguments
   * it fails with AlreadyExists. So do all calls that create.
   */
  CreateVolume: grpc.handleUnaryCall<_flashcopy_engine_v1_CreateVolumeRequest__Output, _flashcopy_engine_v1_Volume>;
  
  DeleteMapping: grpc.handleUnaryCall<_flashcopy_engine_v1_DeleteMappingRequest__Output, _flashcopy_engine_v1_Empty>;
  
  DeleteSnapshot: grpc.handleUnaryCall<_flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Empty>;
  
  /**
   * Deletes a volume. Snapshots and copies of it live on. Refused while it is in use.
   */
  DeleteVolume: grpc.handleUnaryCall<_flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Empty>;
  
  /**
   * Takes the block device away. Refused while it is in use; does nothing if there is none.
   */
  DetachVolume: grpc.handleUnaryCall<_flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Empty>;
  
  GetCounters: grpc.handleUnaryCall<_flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_Counters>;
  
  GetMapping: grpc.handleUnaryCall<_flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Mapping>;
  
  GetPool: grpc.handleUnaryCall<_flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_Pool>;
  
  GetScrub: grpc.handleUnaryCall<_flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_Scrub>;
  
  GetVolume: grpc.handleUnaryCall<_flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Volume>;
  
  /**
   * Makes a volume larger, its block device too while it is attached.
   */
  GrowVolume: grpc.handleUnaryCall<_flashcopy_engine_v1_GrowVolumeRequest__Output, _flashcopy_engine_v1_Volume>;
  
  ListMappings: grpc.handleUnaryCall<_flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_ListMappingsResponse>;
  
  /**
   * Volumes and snapshots.
   */
  ListVolumes: grpc.handleUnaryCall<_flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_ListVolumesResponse>;
  
  /**
   * Flushes the source and discards the target's content, so that a start has little to do.
   */
  PrepareMapping: grpc.handleUnaryCall<_flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Mapping>;
  
  SetCopyRate: grpc.handleUnaryCall<_flashcopy_engine_v1_SetCopyRateRequest__Output, _flashcopy_engine_v1_Mapping>;
  
  /**
   * Cuts: the targets show the sources as they are now. Several mappings: one instant for all.
   */
  StartMappings: grpc.handleUnaryCall<_flashcopy_engine_v1_StartMappingsRequest__Output, _flashcopy_engine_v1_ListMappingsResponse>;
  
  /**
   * Looks at all of the pool while it is in use, in the background. One that was stopped goes on where it was.
   */
  StartScrub: grpc.handleUnaryCall<_flashcopy_engine_v1_StartScrubRequest__Output, _flashcopy_engine_v1_Scrub>;
  
  StopMapping: grpc.handleUnaryCall<_flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Mapping>;
  
  StopScrub: grpc.handleUnaryCall<_flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_Scrub>;
  
  /**
   * Brings the target to now, copying only what changed. Returns when the cut is made.
   */
  SyncMapping: grpc.handleUnaryCall<_flashcopy_engine_v1_SyncMappingRequest__Output, _flashcopy_engine_v1_Mapping>;
  
  /**
   * The mapping now and at every change. Ends when the mapping is gone.
   */
  WatchMapping: grpc.handleServerStreamingCall<_flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Mapping>;
  
}

export interface EngineDefinition extends grpc.ServiceDefinition {
  AllocatedRanges: MethodDefinition<_flashcopy_engine_v1_RangesRequest, _flashcopy_engine_v1_RangePage, _flashcopy_engine_v1_RangesRequest__Output, _flashcopy_engine_v1_RangePage__Output>
  AttachVolume: MethodDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_AttachVolumeResponse, _flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_AttachVolumeResponse__Output>
  ChangedRanges: MethodDefinition<_flashcopy_engine_v1_RangesRequest, _flashcopy_engine_v1_RangePage, _flashcopy_engine_v1_RangesRequest__Output, _flashcopy_engine_v1_RangePage__Output>
  CloneVolume: MethodDefinition<_flashcopy_engine_v1_CloneVolumeRequest, _flashcopy_engine_v1_Volume, _flashcopy_engine_v1_CloneVolumeRequest__Output, _flashcopy_engine_v1_Volume__Output>
  CreateMapping: MethodDefinition<_flashcopy_engine_v1_CreateMappingRequest, _flashcopy_engine_v1_Mapping, _flashcopy_engine_v1_CreateMappingRequest__Output, _flashcopy_engine_v1_Mapping__Output>
  CreateSnapshots: MethodDefinition<_flashcopy_engine_v1_CreateSnapshotsRequest, _flashcopy_engine_v1_ListVolumesResponse, _flashcopy_engine_v1_CreateSnapshotsRequest__Output, _flashcopy_engine_v1_ListVolumesResponse__Output>
  CreateVolume: MethodDefinition<_flashcopy_engine_v1_CreateVolumeRequest, _flashcopy_engine_v1_Volume, _flashcopy_engine_v1_CreateVolumeRequest__Output, _flashcopy_engine_v1_Volume__Output>
  DeleteMapping: MethodDefinition<_flashcopy_engine_v1_DeleteMappingRequest, _flashcopy_engine_v1_Empty, _flashcopy_engine_v1_DeleteMappingRequest__Output, _flashcopy_engine_v1_Empty__Output>
  DeleteSnapshot: MethodDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_Empty, _flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Empty__Output>
  DeleteVolume: MethodDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_Empty, _flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Empty__Output>
  DetachVolume: MethodDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_Empty, _flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Empty__Output>
  GetCounters: MethodDefinition<_flashcopy_engine_v1_Empty, _flashcopy_engine_v1_Counters, _flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_Counters__Output>
  GetMapping: MethodDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_Mapping, _flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Mapping__Output>
  GetPool: MethodDefinition<_flashcopy_engine_v1_Empty, _flashcopy_engine_v1_Pool, _flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_Pool__Output>
  GetScrub: MethodDefinition<_flashcopy_engine_v1_Empty, _flashcopy_engine_v1_Scrub, _flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_Scrub__Output>
  GetVolume: MethodDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_Volume, _flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Volume__Output>
  GrowVolume: MethodDefinition<_flashcopy_engine_v1_GrowVolumeRequest, _flashcopy_engine_v1_Volume, _flashcopy_engine_v1_GrowVolumeRequest__Output, _flashcopy_engine_v1_Volume__Output>
  ListMappings: MethodDefinition<_flashcopy_engine_v1_Empty, _flashcopy_engine_v1_ListMappingsResponse, _flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_ListMappingsResponse__Output>
  ListVolumes: MethodDefinition<_flashcopy_engine_v1_Empty, _flashcopy_engine_v1_ListVolumesResponse, _flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_ListVolumesResponse__Output>
  PrepareMapping: MethodDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_Mapping, _flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Mapping__Output>
  SetCopyRate: MethodDefinition<_flashcopy_engine_v1_SetCopyRateRequest, _flashcopy_engine_v1_Mapping, _flashcopy_engine_v1_SetCopyRateRequest__Output, _flashcopy_engine_v1_Mapping__Output>
  StartMappings: MethodDefinition<_flashcopy_engine_v1_StartMappingsRequest, _flashcopy_engine_v1_ListMappingsResponse, _flashcopy_engine_v1_StartMappingsRequest__Output, _flashcopy_engine_v1_ListMappingsResponse__Output>
  StartScrub: MethodDefinition<_flashcopy_engine_v1_StartScrubRequest, _flashcopy_engine_v1_Scrub, _flashcopy_engine_v1_StartScrubRequest__Output, _flashcopy_engine_v1_Scrub__Output>
  StopMapping: MethodDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_Mapping, _flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Mapping__Output>
  StopScrub: MethodDefinition<_flashcopy_engine_v1_Empty, _flashcopy_engine_v1_Scrub, _flashcopy_engine_v1_Empty__Output, _flashcopy_engine_v1_Scrub__Output>
  SyncMapping: MethodDefinition<_flashcopy_engine_v1_SyncMappingRequest, _flashcopy_engine_v1_Mapping, _flashcopy_engine_v1_SyncMappingRequest__Output, _flashcopy_engine_v1_Mapping__Output>
  WatchMapping: MethodDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_Mapping, _flashcopy_engine_v1_Name__Output, _flashcopy_engine_v1_Mapping__Output>
}
