/**
 * A volume that has grown in its engine gets its device and its filesystem as large as it is, while they are in use.
 * Idempotent.
 */
import { FlashCopyError } from '../../base/errors.ts';
import { type Mount, mountAt } from '../../sys/mount.ts';
import { shown } from '../ids.ts';
import type { Found } from '../places.ts';
import { growToAtLeast } from '../sizes.ts';
import { type Device, deviceAt, filesystemMounts, nodeMounts } from './device.ts';
import { growMounted } from './grow.ts';
import { volumePlace } from './requests.ts';
import { attachedDevice } from './stage.ts';

export type Expansion = { volumePath: string; block: boolean; requiredBytes: number };

/** The size that it has then. */
export async function expand(
  volume: Found,
  { volumePath, block, requiredBytes }: Expansion,
): Promise<number> {
  const { info } = volume;
  const { path: place, kind } = await volumePlace(volumePath);
  let device = await attachedDevice(volume);
  if (kind === 'nothing' || device === undefined) throw notThere(volume, volumePath);
  if (requiredBytes > info.sizeBytes) {
    throw new FlashCopyError(
      'OutOfRange',
      `${requiredBytes} bytes were asked for, and volume ${info.name} has ${info.sizeBytes}. It is made larger by ` +
        'ControllerExpandVolume first.',
    );
  }
  if (device.sizeBytes !== info.sizeBytes) {
    await growToAtLeast(volume, info.sizeBytes);
    device = await deviceAt(device.path);
  }
  const mount = mountAt(place);
  if (mount?.device === device.number) await growFilesystemAt(mount, device);
  // A block device's staging path has nothing mounted.
  else if (!block && !nodeMounts(device).some(({ directory }) => directory === place))
    throw notThere(volume, volumePath);
  return device.sizeBytes;
}

async function growFilesystemAt(mount: Mount, device: Device): Promise<void> {
  // What is published read-only grows through another mount of it.
  const writable = [mount, ...filesystemMounts(device)].find(
    ({ root, options }) => root === '/' && !options.includes('ro'),
  );
  if (writable !== undefined) return growMounted(writable.type, device, writable.directory);
  throw new FlashCopyError(
    'WrongState',
    `The filesystem at ${mount.directory} is mounted read-only and cannot grow. It does when it is staged writable.`,
  );
}

function notThere(volume: Found, volumePath: string): FlashCopyError {
  return new FlashCopyError(
    'VolumeNotFound',
    `Volume ${volume.info.name} is not at ${shown(volumePath)}. Give the path that it is staged or published at.`,
  );
}
