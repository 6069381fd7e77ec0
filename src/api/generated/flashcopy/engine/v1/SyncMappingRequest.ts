// Original file: proto/flashcopy/engine/v1/engine.proto


export interface SyncMappingRequest {
  'name'?: (string);
  'request'?: (string);
  'freeze'?: (boolean);
}

export interface SyncMappingRequest__Output {
  'name': (string);
  'request': (string);
  'freeze': (boolean);
}
