// Original file: proto/flashcopy/engine/v1/engine.proto


export interface DeleteMappingRequest {
  'name'?: (string);
  /**
   * Also while it is copying: the target loses its content.
   */
  'force'?: (boolean);
}

export interface DeleteMappingRequest__Output {
  'name': (string);
  /**
   * Also while it is copying: the target loses its content.
   */
  'force': (boolean);
}
