/**
 * How full a published volume is and whether it is well.
 *
 * The condition tells what the engine knows of the volume and its pool, and what this node sees of its filesystem. Looking at a
 * filesystem that does not answer must not hold up the service: it is given some time and then called not well.
 */
import { opendir, readFile, statfs } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlashCopyError } from '../../base/errors.ts';
import type { PoolInfo } from '../../base/model.ts';
import { type Mount, mountAt } from '../../sys/mount.ts';
import { conditionOf } from '../condition.ts';
import type { NodeGetVolumeStatsResponse } from '../generated/csi/v1/NodeGetVolumeStatsResponse.ts';
import type { VolumeUsage } from '../generated/csi/v1/VolumeUsage.ts';
import { shown } from '../ids.ts';
import type { Found } from '../places.ts';
import { type Device, mayBeOf, nodeMounts } from './device.ts';
import { existing, volumePlace } from './requests.ts';
import { attachedDevice } from './stage.ts';

const ANSWER_MS = 10_000;

export async function statsOf(
  volume: Found,
  volumePath: string,
  pool: PoolInfo,
): Promise<NodeGetVolumeStatsResponse> {
  const { path: place } = await volumePlace(volumePath);
  const mount = mountAt(place);
  if (mount === undefined || !mayBeOf(mount, volume.id))
    throw new FlashCopyError(
      'VolumeNotFound',
      `Volume ${volume.info.name} is not at ${shown(volumePath)}. If it was published there, unpublish it and publish it again.`,
    );
  const device = await attachedDevice(volume);
  const usage = device && (await usageOf(device, mount));
  const found = Array.isArray(usage) ? await troubleOf(device!, mount) : unusable(place, usage);
  return {
    usage: Array.isArray(usage) ? usage : [],
    volumeCondition: conditionOf(volume, pool, found === undefined ? [] : [found]),
  };
}

function unusable(place: string, why: undefined | 'no answer' | Error): string {
  if (why === undefined)
    return `What is mounted at ${place} has lost its device. Unpublish the volume and publish it again.`;
  if (why === 'no answer') return `The filesystem at ${place} does not answer.`;
  return `The filesystem at ${place} cannot be read: ${why.message}.`;
}

async function usageOf(
  device: Device,
  mount: Mount,
): Promise<VolumeUsage[] | undefined | 'no answer' | Error> {
  if (nodeMounts(device).some(({ directory }) => directory === mount.directory))
    return [{ unit: 'BYTES', total: device.sizeBytes }];
  if (mount.device !== device.number) return undefined;
  const late = new AbortController();
  const timeOut = sleep(ANSWER_MS, 'no answer' as const, { signal: late.signal, ref: false });
  timeOut.catch(() => undefined); // it answered in time
  try {
    return await Promise.race([filesystemUsage(mount.directory), timeOut]);
  } finally {
    late.abort();
  }
}

async function filesystemUsage(directory: string): Promise<VolumeUsage[] | Error> {
  try {
    // A filesystem that has shut down still tells its size, but opens nothing.
    await (await opendir(directory)).close();
    const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(directory);
    return [
      { unit: 'BYTES', total: blocks * bsize, available: bavail * bsize, used: (blocks - bfree) * bsize },
      { unit: 'INODES', total: files, available: ffree, used: files - ffree },
    ];
  } catch (error) {
    return error as Error; // becomes the volume's condition
  }
}

async function troubleOf(device: Device, mount: Mount): Promise<string | undefined> {
  const name = path.basename(device.path);
  if (mount.superOptions.includes('ro') && !mount.options.includes('ro'))
    return `The filesystem at ${mount.directory} went read-only after an error. The kernel's log (dmesg) has the reason.`;
  if (mount.type !== 'ext4') return undefined;
  const errors = Number((await existing(readFile(`/sys/fs/ext4/${name}/errors_count`, 'utf8'))) ?? 0);
  if (errors === 0) return undefined;
  return `The filesystem at ${mount.directory} has met ${errors} errors. It is checked when it is staged again.`;
}
