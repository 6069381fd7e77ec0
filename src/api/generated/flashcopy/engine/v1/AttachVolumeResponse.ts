// Original file: proto/flashcopy/engine/v1/engine.proto


export interface AttachVolumeResponse {
  /**
   * '/dev/loopN'.
   */
  'device'?: (string);
}

export interface AttachVolumeResponse__Output {
  /**
   * '/dev/loopN'.
   */
  'device': (string);
}
