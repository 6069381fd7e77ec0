// Original file: proto/flashcopy/engine/v1/engine.proto

export const ScrubState = {
  SCRUB_STATE_UNSPECIFIED: 'SCRUB_STATE_UNSPECIFIED',
  /**
   * There never was one.
   */
  SCRUB_STATE_NEVER: 'SCRUB_STATE_NEVER',
  SCRUB_STATE_RUNNING: 'SCRUB_STATE_RUNNING',
  SCRUB_STATE_STOPPED: 'SCRUB_STATE_STOPPED',
  SCRUB_STATE_DONE: 'SCRUB_STATE_DONE',
} as const;

export type ScrubState =
  | 'SCRUB_STATE_UNSPECIFIED'
  | 0
  /**
   * There never was one.
   */
  | 'SCRUB_STATE_NEVER'
  | 1
  | 'SCRUB_STATE_RUNNING'
  | 2
  | 'SCRUB_STATE_STOPPED'
  | 3
  | 'SCRUB_STATE_DONE'
  | 4

export type ScrubState__Output = typeof ScrubState[keyof typeof ScrubState]
