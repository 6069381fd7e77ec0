import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { AttachVolumeResponse as _flashcopy_engine_v1_AttachVolumeResponse, AttachVolumeResponse__Output as _flashcopy_engine_v1_AttachVolumeResponse__Output } from './flashcopy/engine/v1/AttachVolumeResponse.ts';
import type { CloneVolumeRequest as _flashcopy_engine_v1_CloneVolumeRequest, CloneVolumeRequest__Output as _flashcopy_engine_v1_CloneVolumeRequest__Output } from './flashcopy/engine/v1/CloneVolumeRequest.ts';
import type { Counters as _flashcopy_engine_v1_Counters, Counters__Output as _flashcopy_engine_v1_Counters__Output } from './flashcopy/engine/v1/Counters.ts';
import type { CreateMappingRequest as _flashcopy_engine_v1_CreateMappingRequest, CreateMappingRequest__Output as _flashcopy_engine_v1_CreateMappingRequest__Output } from './flashcopy/engine/v1/CreateMappingRequest.ts';
import type { CreateSnapshotsRequest as _flashcopy_engine_v1_CreateSnapshotsRequest, CreateSnapshotsRequest__Output as _flashcopy_engine_v1_CreateSnapshotsRequest__Output } from './flashcopy/engine/v1/CreateSnapshotsRequest.ts';
import type { CreateVolumeRequest as _flashcopy_engine_v1_CreateVolumeRequest, CreateVolumeRequest__Output as _flashcopy_engine_v1_CreateVolumeRequest__Output } from './flashcopy/engine/v1/CreateVolumeRequest.ts';
import type { DeleteMappingRequest as _flashcopy_engine_v1_DeleteMappingRequest, DeleteMappingRequest__Output as _flashcopy_engine_v1_DeleteMappingRequest__Output } from './flashcopy/engine/v1/DeleteMappingRequest.ts';
import type { Empty as _flashcopy_engine_v1_Empty, Empty__Output as _flashcopy_engine_v1_Empty__Output } from './flashcopy/engine/v1/Empty.ts';
import type { EngineClient as _flashcopy_engine_v1_EngineClient, EngineDefinition as _flashcopy_engine_v1_EngineDefinition } from './flashcopy/engine/v1/Engine.ts';
import type { GrowVolumeRequest as _flashcopy_engine_v1_GrowVolumeRequest, GrowVolumeRequest__Output as _flashcopy_engine_v1_GrowVolumeRequest__Output } from './flashcopy/engine/v1/GrowVolumeRequest.ts';
import type { ListMappingsResponse as _flashcopy_engine_v1_ListMappingsResponse, ListMappingsResponse__Output as _flashcopy_engine_v1_ListMappingsResponse__Output } from './flashcopy/engine/v1/ListMappingsResponse.ts';
import type { ListVolumesResponse as _flashcopy_engine_v1_ListVolumesResponse, ListVolumesResponse__Output as _flashcopy_engine_v1_ListVolumesResponse__Output } from './flashcopy/engine/v1/ListVolumesResponse.ts';
import type { Mapping as _flashcopy_engine_v1_Mapping, Mapping__Output as _flashcopy_engine_v1_Mapping__Output } from './flashcopy/engine/v1/Mapping.ts';
import type { Name as _flashcopy_engine_v1_Name, Name__Output as _flashcopy_engine_v1_Name__Output } from './flashcopy/engine/v1/Name.ts';
import type { Pool as _flashcopy_engine_v1_Pool, Pool__Output as _flashcopy_engine_v1_Pool__Output } from './flashcopy/engine/v1/Pool.ts';
import type { RangePage as _flashcopy_engine_v1_RangePage, RangePage__Output as _flashcopy_engine_v1_RangePage__Output } from './flashcopy/engine/v1/RangePage.ts';
import type { RangesRequest as _flashcopy_engine_v1_RangesRequest, RangesRequest__Output as _flashcopy_engine_v1_RangesRequest__Output } from './flashcopy/engine/v1/RangesRequest.ts';
import type { Scrub as _flashcopy_engine_v1_Scrub, Scrub__Output as _flashcopy_engine_v1_Scrub__Output } from './flashcopy/engine/v1/Scrub.ts';
import type { SetCopyRateRequest as _flashcopy_engine_v1_SetCopyRateRequest, SetCopyRateRequest__Output as _flashcopy_engine_v1_SetCopyRateRequest__Output } from './flashcopy/engine/v1/SetCopyRateRequest.ts';
import type { StartMappingsRequest as _flashcopy_engine_v1_StartMappingsRequest, StartMappingsRequest__Output as _flashcopy_engine_v1_StartMappingsRequest__Output } from './flashcopy/engine/v1/StartMappingsRequest.ts';
import type { StartScrubRequest as _flashcopy_engine_v1_StartScrubRequest, StartScrubRequest__Output as _flashcopy_engine_v1_StartScrubRequest__Output } from './flashcopy/engine/v1/StartScrubRequest.ts';
import type { SyncMappingRequest as _flashcopy_engine_v1_SyncMappingRequest, SyncMappingRequest__Output as _flashcopy_engine_v1_SyncMappingRequest__Output } from './flashcopy/engine/v1/SyncMappingRequest.ts';
import type { Volume as _flashcopy_engine_v1_Volume, Volume__Output as _flashcopy_engine_v1_Volume__Output } from './flashcopy/engine/v1/Volume.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  flashcopy: {
    engine: {
      v1: {
        AttachVolumeResponse: MessageTypeDefinition<_flashcopy_engine_v1_AttachVolumeResponse, _flashcopy_engine_v1_AttachVolumeResponse__Output>
        CloneVolumeRequest: MessageTypeDefinition<_flashcopy_engine_v1_CloneVolumeRequest, _flashcopy_engine_v1_CloneVolumeRequest__Output>
        Counters: MessageTypeDefinition<_flashcopy_engine_v1_Counters, _flashcopy_engine_v1_Counters__Output>
        CowFailure: EnumTypeDefinition
        CreateMappingRequest: MessageTypeDefinition<_flashcopy_engine_v1_CreateMappingRequest, _flashcopy_engine_v1_CreateMappingRequest__Output>
        CreateSnapshotsRequest: MessageTypeDefinition<_flashcopy_engine_v1_CreateSnapshotsRequest, _flashcopy_engine_v1_CreateSnapshotsRequest__Output>
        CreateVolumeRequest: MessageTypeDefinition<_flashcopy_engine_v1_CreateVolumeRequest, _flashcopy_engine_v1_CreateVolumeRequest__Output>
        DeleteMappingRequest: MessageTypeDefinition<_flashcopy_engine_v1_DeleteMappingRequest, _flashcopy_engine_v1_DeleteMappingRequest__Output>
        Empty: MessageTypeDefinition<_flashcopy_engine_v1_Empty, _flashcopy_engine_v1_Empty__Output>
        Engine: SubtypeConstructor<typeof grpc.Client, _flashcopy_engine_v1_EngineClient> & { service: _flashcopy_engine_v1_EngineDefinition }
        GrowVolumeRequest: MessageTypeDefinition<_flashcopy_engine_v1_GrowVolumeRequest, _flashcopy_engine_v1_GrowVolumeRequest__Output>
        ListMappingsResponse: MessageTypeDefinition<_flashcopy_engine_v1_ListMappingsResponse, _flashcopy_engine_v1_ListMappingsResponse__Output>
        ListVolumesResponse: MessageTypeDefinition<_flashcopy_engine_v1_ListVolumesResponse, _flashcopy_engine_v1_ListVolumesResponse__Output>
        Mapping: MessageTypeDefinition<_flashcopy_engine_v1_Mapping, _flashcopy_engine_v1_Mapping__Output>
        MappingState: EnumTypeDefinition
        Name: MessageTypeDefinition<_flashcopy_engine_v1_Name, _flashcopy_engine_v1_Name__Output>
        Pool: MessageTypeDefinition<_flashcopy_engine_v1_Pool, _flashcopy_engine_v1_Pool__Output>
        Provisioning: EnumTypeDefinition
        RangePage: MessageTypeDefinition<_flashcopy_engine_v1_RangePage, _flashcopy_engine_v1_RangePage__Output>
        RangesRequest: MessageTypeDefinition<_flashcopy_engine_v1_RangesRequest, _flashcopy_engine_v1_RangesRequest__Output>
        Scrub: MessageTypeDefinition<_flashcopy_engine_v1_Scrub, _flashcopy_engine_v1_Scrub__Output>
        ScrubState: EnumTypeDefinition
        SetCopyRateRequest: MessageTypeDefinition<_flashcopy_engine_v1_SetCopyRateRequest, _flashcopy_engine_v1_SetCopyRateRequest__Output>
        StartMappingsRequest: MessageTypeDefinition<_flashcopy_engine_v1_StartMappingsRequest, _flashcopy_engine_v1_StartMappingsRequest__Output>
        StartScrubRequest: MessageTypeDefinition<_flashcopy_engine_v1_StartScrubRequest, _flashcopy_engine_v1_StartScrubRequest__Output>
        SyncMappingRequest: MessageTypeDefinition<_flashcopy_engine_v1_SyncMappingRequest, _flashcopy_engine_v1_SyncMappingRequest__Output>
        Volume: MessageTypeDefinition<_flashcopy_engine_v1_Volume, _flashcopy_engine_v1_Volume__Output>
        VolumeKind: EnumTypeDefinition
        VolumeState: EnumTypeDefinition
      }
    }
  }
}

