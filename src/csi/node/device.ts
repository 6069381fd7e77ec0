/**
 * A volume's block device on this node, and where it is mounted.
 *
 * All of it is read from the system each time: sysfs opens no device, and the mount table asks no filesystem. Nothing
 * here waits for a volume.
 */
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { FlashCopyError } from '../../base/errors.ts';
import { makeBlockDevice } from '../../sys/libc.ts';
import { boundDevice, type Mount, mountAt, mounts } from '../../sys/mount.ts';
import { run } from '../../sys/run.ts';
import { parseId, shown } from '../ids.ts';

export type Device = {
  /** '/dev/loopN'. */
  path: string;
  /** 'major:minor', as the mount table has it. */
  number: string;
  sizeBytes: number;
  readOnly: boolean;
};

const UNMOUNT_MS = 60_000;
const LOOP_MAJOR = '7:';

export async function deviceAt(devicePath: string): Promise<Device> {
  const name = path.basename(devicePath);
  const attribute = async (of: string) => (await readFile(`/sys/block/${name}/${of}`, 'utf8')).trim();
  const [number, sectors, readOnly] = await Promise.all([
    attribute('dev'),
    attribute('size'),
    attribute('ro'),
  ]);
  // The engine may run in another container, and the node that it made is not in our /dev.
  if (!existsSync(devicePath)) {
    const [major, minor] = number.split(':').map(Number);
    makeBlockDevice(devicePath, major!, minor!);
  }
  return { path: devicePath, number, sizeBytes: Number(sectors) * 512, readOnly: readOnly === '1' };
}

/** Read-only for everybody who opens it from now on: a read-only bind mount of its node would not keep anybody from writing. */
export async function setReadOnly(device: Device, readOnly: boolean): Promise<void> {
  if (device.readOnly === readOnly) return;
  const { status, stderr } = await run('blockdev', [readOnly ? '--setro' : '--setrw', device.path]);
  if (status !== 0)
    throw new FlashCopyError(
      'IoError',
      `${device.path} could not be made ${readOnly ? 'read-only' : 'writable'}: ${stderr.trim()}.`,
    );
}

/** Where the filesystem on the device is mounted, as a whole or in parts. */
export const filesystemMounts = (device: Device): Mount[] =>
  mounts().filter((mount) => mount.device === device.number);

/** Where the device itself can be opened. */
export const nodeMounts = (device: Device): Mount[] =>
  mounts().filter((mount) => boundDevice(mount) === path.basename(device.path));

/** Takes away what is mounted there, all layers of it, if it is of that volume. Idempotent. */
export async function unmount(directory: string, volumeId: string): Promise<void> {
  for (let mount = mountAt(directory); mount !== undefined; mount = mountAt(directory)) {
    checkOfVolume(mount, volumeId);
    const layers = layersAt(directory);
    const { stderr } = await run('umount', ['-i', '-c', directory], UNMOUNT_MS);
    if (layersAt(directory) < layers) continue;
    const busy = /busy/.test(stderr);
    throw new FlashCopyError(
      busy ? 'VolumeInUse' : 'IoError',
      `${directory} could not be unmounted: ${stderr.trim()}.` +
        (busy ? ` See who has files open there with "fuser -vm ${directory}".` : ''),
    );
  }
}

/**
 * It is a raw device of some volume, or the filesystem of this one. Whose a raw device is cannot be told for sure: the
 * number of one that went away may be another volume's by now. A mounted one keeps its number.
 */
function checkOfVolume(mount: Mount, volumeId: string): void {
  if (boundDevice(mount) !== undefined) return;
  const owner = ownerOf(mount);
  if (owner === 'none') {
    throw new FlashCopyError(
      'WrongState',
      `${mount.source} (${mount.type}) is mounted at ${mount.directory}, which is no volume. Unmount it by hand.`,
    );
  }
  if (owner === 'unknown' || owner === parseId(volumeId)?.name) return;
  throw new FlashCopyError(
    'WrongState',
    `Volume ${shown(volumeId)} was to be taken away at ${mount.directory}, and volume ${owner} of an engine of this ` +
      'machine is mounted there. Name that volume, or the path where this one is.',
  );
}

/** Whether it is of that volume, or was, and has lost its device. */
export function mayBeOf(mount: Mount, volumeId: string): boolean {
  const owner = ownerOf(mount);
  return owner === 'unknown' || owner === parseId(volumeId)?.name;
}

/** The volume that is there, '#7'; 'unknown': its device has no file any more; 'none': it is no volume. */
function ownerOf(mount: Mount): string {
  const bound = boundDevice(mount);
  if (bound === undefined && !mount.device.startsWith(LOOP_MAJOR)) return 'none';
  const file = backingFileOf(bound === undefined ? `dev/block/${mount.device}` : `block/${bound}`);
  if (file === undefined) return 'unknown';
  const number = /^(\d+)(?: \(deleted\))?$/.exec(path.basename(file))?.[1];
  return number === undefined ? 'none' : `#${number}`;
}

/** Undefined: the device has none any more. The kernel answers by itself, and asks no filesystem. */
function backingFileOf(device: string): string | undefined {
  try {
    return readFileSync(`/sys/${device}/loop/backing_file`, 'utf8').trimEnd();
  } catch (error) {
    if (['ENOENT', 'ENXIO', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

const layersAt = (directory: string): number =>
  mounts().filter((mount) => mount.directory === directory).length;
