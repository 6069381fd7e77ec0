// Original file: proto/flashcopy/engine/v1/engine.proto


export interface StartMappingsRequest {
  'names'?: (string)[];
  /**
   * Names this very wish: sent again with the same one, nothing is done a second time. Empty: none.
   */
  'request'?: (string);
  /**
   * Freeze the filesystems that are mounted from the sources for the cut.
   */
  'freeze'?: (boolean);
}

export interface StartMappingsRequest__Output {
  'names': (string)[];
  /**
   * Names this very wish: sent again with the same one, nothing is done a second time. Empty: none.
   */
  'request': (string);
  /**
   * Freeze the filesystems that are mounted from the sources for the cut.
   */
  'freeze': (boolean);
}
