// Original file: proto/csi/v1/csi.proto


/**
 * The path is where the volume is staged or published.
 */
export interface NodeGetVolumeStatsRequest {
  'volumeId'?: (string);
  'volumePath'?: (string);
  'stagingTargetPath'?: (string);
}

/**
 * The path is where the volume is staged or published.
 */
export interface NodeGetVolumeStatsRequest__Output {
  'volumeId': (string);
  'volumePath': (string);
  'stagingTargetPath': (string);
}
