/**
 * Staging: a volume's device on this node and, unless it is used as a block device, its filesystem mounted at the
 * staging path. And its end.
 *
 * Every step looks at what is there and does what is missing, so a staging that was cut off anywhere is finished by the
 * next call, and a complete one is left as it is:
 *
 *   1. the device is attached
 *   2. the filesystem is made, if the volume is empty (format.ts), and checked
 *   3. it is mounted
 *   4. it is as large as its device (grow.ts)
 *
 * A staging that is refused leaves no device behind.
 */
import { mkdir } from 'node:fs/promises';
import { FlashCopyError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { type Mount, mountAt } from '../../sys/mount.ts';
import type { FilesystemType } from '../capabilities.ts';
import type { Found } from '../places.ts';
import { type Device, deviceAt, filesystemMounts, nodeMounts, setReadOnly, unmount } from './device.ts';
import { checkFilesystem, mountFilesystem } from './filesystem.ts';
import { abandonFormat, ensureFilesystem, isNoted } from './format.ts';
import { growMounted, growUnmounted } from './grow.ts';
import { checkOptionsFor } from './mount-options.ts';
import { isSamePlace, onPath, resolvePath, type Use } from './requests.ts';

const STAGING = 'staging path';

export async function stage(volume: Found, use: Use, stagingPath: string): Promise<void> {
  checkWritable(volume, use);
  const directory = await stagingDirectory(stagingPath);
  await withDevice(volume, async (device) => {
    if (use.access === 'block') return stageDevice(volume, device, directory);
    await stageFilesystem(volume, device, use, directory);
  });
}

/** What a snapshot shows never changes. */
export function checkWritable({ info }: Found, { readOnly }: Use): void {
  if (info.kind === 'volume' || readOnly) return;
  throw new FlashCopyError(
    'WrongState',
    `Snapshot ${info.name} was to be used writable. Use it read-only, or make a volume from it.`,
  );
}

/**
 * `volume` undefined: it is no more. There is one staging path for a volume; where there were two, each is taken away for
 * itself, and the device goes with the last one.
 */
export async function unstage(id: string, volume: Found | undefined, stagingPath: string): Promise<void> {
  const { path: directory, kind } = await resolvePath(STAGING, stagingPath);
  const device = await attachedDevice(volume);
  const elsewhere = device === undefined ? [] : usesElsewhere(device, directory);
  const other = elsewhere.find(({ fromHere }) => fromHere)?.mount;
  if (other !== undefined) {
    throw new FlashCopyError(
      'VolumeInUse',
      `The volume cannot be unstaged: it is still mounted at ${other.directory}. Unpublish or unstage it there first.`,
    );
  }
  if (kind === 'directory') {
    await unmount(directory, id);
    await forgetFormat(volume, device, directory);
  }
  if (volume !== undefined && elsewhere.length === 0) await volume.engine.detachVolume(`#${volume.info.id}`);
}

/** A volume that is not attached has none. */
export async function attachedDevice(volume: Found | undefined): Promise<Device | undefined> {
  return volume?.info.device ? deviceAt(volume.info.device) : undefined;
}

async function stagingDirectory(stagingPath: string): Promise<string> {
  const { path, kind } = await resolvePath(STAGING, stagingPath);
  if (kind === 'directory') return path;
  if (kind === 'file')
    throw new FlashCopyError('WrongState', `The staging path ${path} is a file. It has to be a directory.`);
  await onPath(STAGING, stagingPath, () => mkdir(path, { mode: 0o750, recursive: true }));
  // Links above it could not be resolved while what they lead to was not complete.
  return (await resolvePath(STAGING, stagingPath)).path;
}

/** Attached while and after the action; if that fails, only where it was attached before. */
async function withDevice(volume: Found, action: (device: Device) => Promise<void>): Promise<void> {
  const { engine, info } = volume;
  const name = `#${info.id}`;
  const device = await deviceAt(await engine.attachVolume(name));
  try {
    await action(device);
  } catch (error) {
    if (info.device === '' && filesystemMounts(device).length === 0) {
      await engine.detachVolume(name).catch((reason: Error) => {
        log.warn('device of a volume that was not staged stays attached', {
          volume: volume.id,
          device: device.path,
          error: reason.message,
        });
      });
    }
    throw error;
  }
}

async function stageDevice(volume: Found, device: Device, directory: string): Promise<void> {
  const [mounted] = filesystemMounts(device);
  if (mounted === undefined) {
    const there = mountAt(directory);
    // What was found below it would be somebody else's.
    if (there !== undefined) throw otherThere(there, device, directory);
    // What is on the device from here on is not what an attempt to format it left.
    return abandonFormat(volume, device, directory);
  }
  throw new FlashCopyError(
    'WrongState',
    `The volume was to be used as a block device, and its filesystem is mounted at ${mounted.directory}. Unmount it first.`,
  );
}

async function stageFilesystem(volume: Found, device: Device, use: Use, directory: string): Promise<void> {
  const [published] = nodeMounts(device);
  if (published !== undefined) {
    throw new FlashCopyError(
      'WrongState',
      `The volume was to be mounted, and it is used as a block device at ${published.directory}. Unpublish it there first.`,
    );
  }
  const staged = mountAt(directory);
  if (staged !== undefined) checkStaged(staged, device, use, directory);
  else await mountVolume(volume, device, use, directory);
  const mount = mountAt(directory)!;
  if (!mount.options.includes('ro')) await growMounted(mount.type, device, directory);
}

async function mountVolume(volume: Found, device: Device, use: Use, directory: string): Promise<void> {
  // While it is mounted at another path it is in use, and must be neither checked nor made.
  const [elsewhere] = filesystemMounts(device);
  let type = elsewhere?.type as FilesystemType | undefined;
  if (type === undefined) {
    if (volume.info.kind === 'volume') await setReadOnly(device, false);
    const writable = { ...device, readOnly: volume.info.kind === 'snapshot' };
    type = await ensureFilesystem(volume, writable, use, directory);
    await checkFilesystem(type, writable);
    if (!writable.readOnly) await growUnmounted(type, writable);
    await mountFilesystem(type, writable, directory, optionsOf(use));
  } else {
    checkOptionsFor(type, use.options);
    await mountFilesystem(type, device, directory, optionsOf(use));
  }
}

const optionsOf = (use: Use): string[] => [...use.options, ...(use.readOnly ? ['ro'] : [])];

/** What is staged is what is asked for. */
function checkStaged(staged: Mount, device: Device, use: Use, directory: string): void {
  if (staged.device !== device.number) throw otherThere(staged, device, directory);
  const readOnly = use.readOnly || device.readOnly;
  const differs = (was: string, asked: string) => {
    throw new FlashCopyError(
      'AlreadyExists',
      `The volume is staged at ${directory} ${was}, and was asked for ${asked}. Unstage it first.`,
    );
  };
  if (staged.options.includes('ro') !== readOnly)
    differs(readOnly ? 'writable' : 'read-only', readOnly ? 'read-only' : 'writable');
  if (use.filesystem !== undefined && use.filesystem !== staged.type)
    differs(`with ${staged.type}`, `with ${use.filesystem}`);
}

function otherThere(there: Mount, device: Device, directory: string): FlashCopyError {
  return new FlashCopyError(
    'WrongState',
    `${there.source} (${there.type}) is mounted at the staging path ${directory}, and the volume's device is ` +
      `${device.path}. Unstage what is there first.`,
  );
}

/**
 * Where the volume is used beside its staging path, which may have several names. `fromHere`: it may have been published
 * from there: its device, and a mount that is younger than the one at the staging path.
 */
function usesElsewhere(device: Device, directory: string): { mount: Mount; fromHere: boolean }[] {
  const mounted = filesystemMounts(device);
  const own = mounted.findLastIndex((mount) => mount.directory === directory);
  return [
    ...mounted.map((mount, at) => ({ mount, fromHere: own !== -1 && at > own })),
    ...nodeMounts(device).map((mount) => ({ mount, fromHere: true })),
  ].filter(({ mount }) => !isSamePlace(mount.directory, directory));
}

async function forgetFormat(
  volume: Found | undefined,
  device: Device | undefined,
  directory: string,
): Promise<void> {
  // What was cut off by the end of the machine has a note and no device.
  if (volume === undefined || device !== undefined || !(await isNoted(directory, volume.id)))
    return abandonFormat(volume, device, directory);
  await withDevice(volume, (again) => abandonFormat(volume, again, directory));
}
