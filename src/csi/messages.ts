/** Volumes and snapshots of engines as CSI messages. */
import type { Snapshot } from './generated/csi/v1/Snapshot.ts';
import type { Volume } from './generated/csi/v1/Volume.ts';
import type { VolumeContentSource } from './generated/csi/v1/VolumeContentSource.ts';
import type { Timestamp } from './generated/google/protobuf/Timestamp.ts';
import { TOPOLOGY_KEY } from './ids.ts';
import { LABELS } from './labels.ts';
import type { Found } from './places.ts';

export function volumeMessage({ id, node, info }: Found): Volume {
  const contentSource = contentSourceOf(info.labels[LABELS.source]);
  return {
    volumeId: id,
    capacityBytes: info.sizeBytes,
    volumeContext: {},
    accessibleTopology: [{ segments: { [TOPOLOGY_KEY]: node } }],
    ...(contentSource && { contentSource }),
  };
}

function contentSourceOf(label: string | undefined): VolumeContentSource | undefined {
  const [, kind, id] = /^(snapshot|volume):(.+)$/.exec(label ?? '') ?? [];
  if (kind === undefined) return undefined;
  return kind === 'snapshot' ? { snapshot: { snapshotId: id! } } : { volume: { volumeId: id! } };
}

/** A snapshot is ready as soon as it is cut; one that broke later is not. */
export function snapshotMessage({ id, info }: Found, sourceVolumeId: string): Snapshot {
  return {
    snapshotId: id,
    sourceVolumeId,
    sizeBytes: info.sizeBytes,
    creationTime: timestampOf(info.createdAt),
    readyToUse: info.state === 'online',
    groupSnapshotId: info.labels[LABELS.group] ?? '',
  };
}

export function timestampOf(milliseconds: number): Timestamp {
  return { seconds: Math.floor(milliseconds / 1000), nanos: (milliseconds % 1000) * 1_000_000 };
}
