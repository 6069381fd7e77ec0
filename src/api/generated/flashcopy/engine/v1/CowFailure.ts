// Original file: proto/flashcopy/engine/v1/engine.proto

/**
 * What happens when a snapshot cannot take the old data of a write to its source.
 */
export const CowFailure = {
  /**
   * In a request: break the snapshot.
   */
  COW_FAILURE_UNSPECIFIED: 'COW_FAILURE_UNSPECIFIED',
  COW_FAILURE_BREAK_SNAPSHOT: 'COW_FAILURE_BREAK_SNAPSHOT',
  COW_FAILURE_FAIL_WRITE: 'COW_FAILURE_FAIL_WRITE',
} as const;

/**
 * What happens when a snapshot cannot take the old data of a write to its source.
 */
export type CowFailure =
  /**
   * In a request: break the snapshot.
   */
  | 'COW_FAILURE_UNSPECIFIED'
  | 0
  | 'COW_FAILURE_BREAK_SNAPSHOT'
  | 1
  | 'COW_FAILURE_FAIL_WRITE'
  | 2

/**
 * What happens when a snapshot cannot take the old data of a write to its source.
 */
export type CowFailure__Output = typeof CowFailure[keyof typeof CowFailure]
