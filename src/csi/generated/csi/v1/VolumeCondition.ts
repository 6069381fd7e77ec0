// Original file: proto/csi/v1/csi.proto


/**
 * Whether something is wrong with a volume, and what.
 */
export interface VolumeCondition {
  'abnormal'?: (boolean);
  'message'?: (string);
}

/**
 * Whether something is wrong with a volume, and what.
 */
export interface VolumeCondition__Output {
  'abnormal': (boolean);
  'message': (string);
}
