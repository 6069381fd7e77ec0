// Original file: proto/flashcopy/engine/v1/engine.proto


export interface SetCopyRateRequest {
  'name'?: (string);
  'copyRate'?: (number);
}

export interface SetCopyRateRequest__Output {
  'name': (string);
  'copyRate': (number);
}
