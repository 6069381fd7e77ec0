// Original file: proto/flashcopy/engine/v1/engine.proto


export interface _flashcopy_engine_v1_CreateSnapshotsRequest_Snapshot {
  'name'?: (string);
  'source'?: (string);
  'copyRate'?: (number);
  'labels'?: ({[key: string]: string});
  '_copyRate'?: "copyRate";
}

export interface _flashcopy_engine_v1_CreateSnapshotsRequest_Snapshot__Output {
  'name': (string);
  'source': (string);
  'copyRate'?: (number);
  'labels': ({[key: string]: string});
  '_copyRate'?: "copyRate";
}

export interface CreateSnapshotsRequest {
  'snapshots'?: (_flashcopy_engine_v1_CreateSnapshotsRequest_Snapshot)[];
  'freeze'?: (boolean);
}

export interface CreateSnapshotsRequest__Output {
  'snapshots': (_flashcopy_engine_v1_CreateSnapshotsRequest_Snapshot__Output)[];
  'freeze': (boolean);
}
