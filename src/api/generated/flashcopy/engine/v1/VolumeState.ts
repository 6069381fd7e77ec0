// Original file: proto/flashcopy/engine/v1/engine.proto

export const VolumeState = {
  VOLUME_STATE_UNSPECIFIED: 'VOLUME_STATE_UNSPECIFIED',
  VOLUME_STATE_ONLINE: 'VOLUME_STATE_ONLINE',
  /**
   * Its metadata or data is not reachable.
   */
  VOLUME_STATE_SUSPENDED: 'VOLUME_STATE_SUSPENDED',
  /**
   * Its copy was stopped half-way.
   */
  VOLUME_STATE_STOPPED: 'VOLUME_STATE_STOPPED',
} as const;

export type VolumeState =
  | 'VOLUME_STATE_UNSPECIFIED'
  | 0
  | 'VOLUME_STATE_ONLINE'
  | 1
  /**
   * Its metadata or data is not reachable.
   */
  | 'VOLUME_STATE_SUSPENDED'
  | 2
  /**
   * Its copy was stopped half-way.
   */
  | 'VOLUME_STATE_STOPPED'
  | 3

export type VolumeState__Output = typeof VolumeState[keyof typeof VolumeState]
