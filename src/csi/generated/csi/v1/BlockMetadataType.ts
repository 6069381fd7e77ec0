// Original file: proto/csi/v1/csi.proto

/**
 * Whether all parts have the same size. Ours differ.
 */
export const BlockMetadataType = {
  UNKNOWN: 'UNKNOWN',
  FIXED_LENGTH: 'FIXED_LENGTH',
  VARIABLE_LENGTH: 'VARIABLE_LENGTH',
} as const;

/**
 * Whether all parts have the same size. Ours differ.
 */
export type BlockMetadataType =
  | 'UNKNOWN'
  | 0
  | 'FIXED_LENGTH'
  | 1
  | 'VARIABLE_LENGTH'
  | 2

/**
 * Whether all parts have the same size. Ours differ.
 */
export type BlockMetadataType__Output = typeof BlockMetadataType[keyof typeof BlockMetadataType]
