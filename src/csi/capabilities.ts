/**
 * How a volume can be used: as a block device or with an ext4 or XFS filesystem, on its one node, by one pod or by
 * several of that node.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { VolumeCapability__Output } from './generated/csi/v1/VolumeCapability.ts';
import { shown } from './ids.ts';

export type FilesystemType = 'ext4' | 'xfs';
export const FILESYSTEM_DEFAULT: FilesystemType = 'ext4';

/** mkfs.xfs makes no smaller ones. */
const XFS_BYTES_MIN = 300 * 1024 * 1024;
const BYTES_MIN = 1024 * 1024;

/** ReadOnlyMany is the only access mode for readers that Kubernetes has: they are on the volume's node too. */
export const READERS: ReadonlySet<string> = new Set(['SINGLE_NODE_READER_ONLY', 'MULTI_NODE_READER_ONLY']);
const MODES = new Set([
  ...READERS,
  'SINGLE_NODE_WRITER',
  'SINGLE_NODE_SINGLE_WRITER',
  'SINGLE_NODE_MULTI_WRITER',
]);

/** Why a volume cannot be used so; undefined: it can. */
export function objectionTo(capability: VolumeCapability__Output): string | undefined {
  const mode = capability.accessMode?.mode;
  if (mode === undefined || mode === 'UNKNOWN')
    return 'A volume capability has no access mode. Give one for a single node.';
  if (!MODES.has(mode))
    return `The access mode ${mode} was asked for, and a volume is on one node: use ${[...MODES].join(', ')}.`;
  if (capability.block) return undefined;
  if (!capability.mount) return 'A volume capability asks neither for a block device nor for a filesystem.';
  const { fsType } = capability.mount;
  if (fsType === '' || fsType === 'ext4' || fsType === 'xfs') return undefined;
  return `The filesystem ${shown(fsType)} was asked for; it can be ext4 or xfs.`;
}

/** Why a volume cannot be used in all of these ways. */
export function objectionToAll(capabilities: readonly VolumeCapability__Output[]): string | undefined {
  const objection = capabilities.map(objectionTo).find((each) => each !== undefined);
  if (objection !== undefined) return objection;
  const filesystems = new Set(capabilities.flatMap(({ mount }) => mount?.fsType || []));
  if (filesystems.size < 2) return undefined;
  return `The filesystems ${[...filesystems].join(' and ')} were asked for, and a volume has one. Ask for one of them.`;
}

export function checkCapabilities(capabilities: readonly VolumeCapability__Output[]): void {
  const objection =
    capabilities.length === 0
      ? 'The volume capabilities are missing. Say how the volume is to be used.'
      : objectionToAll(capabilities);
  if (objection !== undefined) throw new FlashCopyError('InvalidArgument', objection);
}

/** The filesystem that a volume will get; undefined: none is asked for. */
export function filesystemOf(capabilities: readonly VolumeCapability__Output[]): FilesystemType | undefined {
  const mounts = capabilities.flatMap(({ mount }) => mount ?? []);
  const named = mounts.find(({ fsType }) => fsType !== '')?.fsType as FilesystemType | undefined;
  return mounts.length === 0 ? undefined : (named ?? FILESYSTEM_DEFAULT);
}

/** A volume that is smaller could not be used as it is asked for. */
export function leastBytes(capabilities: readonly VolumeCapability__Output[]): number {
  return filesystemOf(capabilities) === 'xfs' ? XFS_BYTES_MIN : BYTES_MIN;
}
