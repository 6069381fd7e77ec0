// Original file: proto/flashcopy/engine/v1/engine.proto

export const Provisioning = {
  /**
   * In a request: thin.
   */
  PROVISIONING_UNSPECIFIED: 'PROVISIONING_UNSPECIFIED',
  PROVISIONING_THIN: 'PROVISIONING_THIN',
  PROVISIONING_THICK: 'PROVISIONING_THICK',
} as const;

export type Provisioning =
  /**
   * In a request: thin.
   */
  | 'PROVISIONING_UNSPECIFIED'
  | 0
  | 'PROVISIONING_THIN'
  | 1
  | 'PROVISIONING_THICK'
  | 2

export type Provisioning__Output = typeof Provisioning[keyof typeof Provisioning]
