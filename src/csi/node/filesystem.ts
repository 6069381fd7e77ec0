/**
 * Filesystems on devices: what is there, whether it is whole, mounting it and making it as large as its device.
 *
 * Programs do it, each with a time limit, so that a device that does not answer stops a call and not the service. Who
 * else has the device for himself (a check that outlived a killed driver, say) makes them fail, and that is told as
 * VolumeInUse: the next call tries again.
 */
import { FlashCopyError } from '../../base/errors.ts';
import { mountAt } from '../../sys/mount.ts';
import { type Ended, run } from '../../sys/run.ts';
import type { FilesystemType } from '../capabilities.ts';
import type { Device } from './device.ts';

/** Work that grows with the size. */
const LONG_MS = 600_000;
const MOUNT_MS = 120_000;

const BUSY = /busy|in use/i;

/** What blkid sees: a filesystem's type, 'crypto_LUKS', 'a dos partition table'. Undefined: nothing that it knows. */
export async function signatureOn(device: Device): Promise<string | undefined> {
  // -p reads the device and not what was there some time ago.
  const { status, stdout, stderr } = await run('blkid', ['-p', '-o', 'export', device.path]);
  const NOTHING = 2;
  const AMBIVALENT = 8;
  if (status === NOTHING) return undefined;
  if (status === AMBIVALENT) return 'several kinds of content at once';
  if (status !== 0) throw failed('could not be looked at', device, stderr);
  const value = (key: string) => new RegExp(`^${key}=(.+)$`, 'm').exec(stdout)?.[1];
  const [type, table] = [value('TYPE'), value('PTTYPE')];
  return type ?? (table === undefined ? 'something unknown' : `a ${table} partition table`);
}

/** Repairs what can be repaired without asking, as after a crash. XFS does that while it is mounted. */
export async function checkFilesystem(type: FilesystemType, device: Device): Promise<void> {
  if (type !== 'ext4' || device.readOnly) return;
  const ended = await run('e2fsck', ['-p', device.path], LONG_MS);
  // Bits: 1 and 2 say that errors were corrected, 4 that some were left, 8 and above that it could not be done.
  if (ended.status >= 0 && ended.status < 4) return;
  if (ended.status >= 8 || ended.status < 0) throw failed('could not be checked', device, textOf(ended));
  throw new FlashCopyError(
    'Damaged',
    `The ext4 filesystem on ${device.path} has errors that need a decision: ${textOf(ended)}. ` +
      'Repair it by hand with e2fsck, or go back to a snapshot. The volume was not mounted.',
  );
}

/** Nobody's files of an XFS that was being made: mkfs.xfs writes this first and clears it last. */
export async function isUnfinishedXfs(device: Device): Promise<boolean> {
  const IN_PROGRESS = 126;
  const { status, stdout, stderr } = await run('od', [
    '-An',
    '-tu1',
    '-j',
    `${IN_PROGRESS}`,
    '-N1',
    device.path,
  ]);
  if (status !== 0) throw failed('could not be read', device, stderr);
  return stdout.trim() !== '0';
}

export async function mountFilesystem(
  type: FilesystemType,
  device: Device,
  directory: string,
  options: readonly string[],
): Promise<void> {
  const all = [...options, 'nosuid', 'nodev'];
  // A copy has its original's id, and both may be mounted at once.
  if (type === 'xfs') all.push('nouuid');
  // Nothing can be written, so the journal cannot be replayed.
  if (device.readOnly) all.push('ro', type === 'xfs' ? 'norecovery' : 'noload');
  // No helper, and the path as it was checked.
  const args = ['-i', '-c', '-t', type, '-o', all.join(','), device.path, directory];
  const { stderr } = await run('mount', args, MOUNT_MS);
  if (mountAt(directory)?.device === device.number) return;
  if (/structure needs cleaning|bad superblock|can't read superblock/i.test(stderr)) {
    throw new FlashCopyError(
      'Damaged',
      `The ${type} filesystem on ${device.path} cannot be mounted: ${stderr.trim()}. The kernel's log (dmesg) has the ` +
        'reason. Repair it by hand, or go back to a snapshot.',
    );
  }
  throw failed(`could not be mounted at ${directory}`, device, stderr);
}

export const textOf = ({ stdout, stderr }: Ended): string =>
  `${stderr}\n${stdout}`.trim().replaceAll(/\s*\n\s*/g, '; ');

export function failed(what: string, device: Device, reason: string): FlashCopyError {
  const busy = BUSY.test(reason);
  return new FlashCopyError(
    busy ? 'VolumeInUse' : 'IoError',
    `${device.path} ${what}: ${reason.trim() || 'no reason was given'}.` +
      (busy ? ' It works as soon as whoever uses the device lets it go.' : ''),
  );
}
