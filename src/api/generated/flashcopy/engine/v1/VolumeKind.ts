// Original file: proto/flashcopy/engine/v1/engine.proto

export const VolumeKind = {
  VOLUME_KIND_UNSPECIFIED: 'VOLUME_KIND_UNSPECIFIED',
  VOLUME_KIND_VOLUME: 'VOLUME_KIND_VOLUME',
  VOLUME_KIND_SNAPSHOT: 'VOLUME_KIND_SNAPSHOT',
} as const;

export type VolumeKind =
  | 'VOLUME_KIND_UNSPECIFIED'
  | 0
  | 'VOLUME_KIND_VOLUME'
  | 1
  | 'VOLUME_KIND_SNAPSHOT'
  | 2

export type VolumeKind__Output = typeof VolumeKind[keyof typeof VolumeKind]
