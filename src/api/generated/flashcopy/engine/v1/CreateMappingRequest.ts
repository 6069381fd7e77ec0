// Original file: proto/flashcopy/engine/v1/engine.proto


export interface CreateMappingRequest {
  'name'?: (string);
  'source'?: (string);
  'target'?: (string);
  'copyRate'?: (number);
  'incremental'?: (boolean);
  '_copyRate'?: "copyRate";
}

export interface CreateMappingRequest__Output {
  'name': (string);
  'source': (string);
  'target': (string);
  'copyRate'?: (number);
  'incremental': (boolean);
  '_copyRate'?: "copyRate";
}
