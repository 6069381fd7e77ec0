/**
 * Publishing: what was staged appears at a target path, by a bind mount of the staging mount or of the device's node.
 *
 * What is published where is read from the mount table each time. The mount appears with all its flags in one step
 * (sys/bind-mount.ts), so what is found at a target is complete, and it is either what was asked for or something else.
 *
 * A raw block device is read-only for all its targets or for none: a read-only mount of its node would not keep anybody
 * from writing.
 */
import { lstat, mkdir, open, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { FlashCopyError } from '../../base/errors.ts';
import { bindMount } from '../../sys/bind-mount.ts';
import { boundDevice, type Mount, mountAt } from '../../sys/mount.ts';
import type { Found } from '../places.ts';
import { type Device, filesystemMounts, nodeMounts, setReadOnly, unmount } from './device.ts';
import { isSamePlace, onPath, resolvePath, type Use } from './requests.ts';
import { attachedDevice, checkWritable } from './stage.ts';

const TARGET = 'target path';

/** What is bound, where else it is already, and whether a mount is of it. */
type Source = { path: string; readOnly: boolean; published: Mount[]; isIt: (mount: Mount) => boolean };

export async function publish(
  volume: Found,
  use: Use,
  paths: { staging: string; target: string },
): Promise<void> {
  checkWritable(volume, use);
  const { path: staging } = await resolvePath('staging path', paths.staging);
  const { path: target, kind } = await resolvePath(TARGET, paths.target);
  const device = await attachedDevice(volume);
  if (device === undefined) throw notStaged(volume, staging);
  const source = use.access === 'block' ? deviceSource(device) : stagedSource(volume, device, staging);
  const readOnly = use.readOnly || source.readOnly;

  const there = mountAt(target);
  if (there !== undefined) return checkPublished(there, source, readOnly, target);
  const [other] = source.published;
  if (other !== undefined) {
    if (use.singleWriter) {
      throw new FlashCopyError(
        'WrongState',
        `The volume was to be published at ${target} with access for a single writer, and is published at ` +
          `${other.directory}. Unpublish it there first, or use SINGLE_NODE_MULTI_WRITER.`,
      );
    }
    if (use.access === 'block') checkSameAccess(other, readOnly, target);
  }
  if (use.access === 'block') await setReadOnly(device, readOnly);
  await onPath(TARGET, paths.target, async () => {
    await makeTarget(target, kind, use.access);
    bindMount(source.path, target, { readOnly, device: device.number });
  });
}

/** Idempotent: takes away what is published there and the target path itself. */
export async function unpublish(volumeId: string, targetPath: string): Promise<void> {
  const { path: target, kind } = await resolvePath(TARGET, targetPath);
  if (kind === 'nothing') return;
  await unmount(target, volumeId);
  await onPath(TARGET, targetPath, () =>
    kind === 'directory' ? removeDirectory(target) : removeFile(target),
  );
}

/** What a block device was published at: nothing else is a file of ours. */
async function removeFile(target: string): Promise<void> {
  const stats = await lstat(target);
  if (!stats.isFile()) throw notOurs(target, 'neither a directory nor a regular file');
  if (stats.size > 0) throw notOurs(target, 'a file with content');
  await unlink(target);
}

function deviceSource(device: Device): Source {
  const [mounted] = filesystemMounts(device);
  if (mounted !== undefined) {
    throw new FlashCopyError(
      'WrongState',
      `The volume was to be published as a block device, and its filesystem is mounted at ${mounted.directory}. ` +
        'Unstage it first, or publish it as a filesystem.',
    );
  }
  const isIt = (mount: Mount) => boundDevice(mount) === path.basename(device.path);
  return { path: device.path, readOnly: false, published: nodeMounts(device), isIt };
}

function stagedSource(volume: Found, device: Device, staging: string): Source {
  const staged = mountAt(staging);
  if (staged === undefined || staged.device !== device.number) throw notStaged(volume, staging);
  // Parts of the volume are what somebody made of a published one.
  const isIt = (mount: Mount) => mount.device === device.number && mount.root === '/';
  // The staging path may have several names.
  const published = filesystemMounts(device).filter(
    (mount) => isIt(mount) && !isSamePlace(mount.directory, staging),
  );
  return { path: staging, readOnly: staged.options.includes('ro'), published, isIt };
}

function checkPublished(there: Mount, source: Source, readOnly: boolean, target: string): void {
  if (!source.isIt(there)) {
    throw new FlashCopyError(
      'WrongState',
      `${there.source} (${there.type}) is mounted at the target path ${target}, which is not this volume. Unmount it first.`,
    );
  }
  if (there.options.includes('ro') === readOnly) return;
  const [was, asked] = readOnly ? ['writable', 'read-only'] : ['read-only', 'writable'];
  throw new FlashCopyError(
    'AlreadyExists',
    `The volume is published at ${target} ${was}, and was asked for ${asked}. Unpublish it first.`,
  );
}

function checkSameAccess(other: Mount, readOnly: boolean, target: string): void {
  if (other.options.includes('ro') === readOnly) return;
  const [was, asked] = readOnly ? ['writable', 'read-only'] : ['read-only', 'writable'];
  throw new FlashCopyError(
    'WrongState',
    `The volume was to be published at ${target} as a ${asked} block device, and is a ${was} one at ` +
      `${other.directory}: a device is one or the other. Unpublish it there first.`,
  );
}

async function makeTarget(target: string, kind: string, access: Use['access']): Promise<void> {
  const wanted = access === 'block' ? 'file' : 'directory';
  if (kind === wanted) return;
  if (kind !== 'nothing') throw notOurs(target, `a ${kind}`);
  await mkdir(path.dirname(target), { recursive: true, mode: 0o750 });
  if (access === 'mount') await mkdir(target, { mode: 0o750 });
  else await (await open(target, 'wx', 0o600)).close();
}

/** Never what is in it: should something be mounted there still, that would be the volume's content. */
async function removeDirectory(target: string): Promise<void> {
  try {
    await rmdir(target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
    throw notOurs(target, 'a directory with content');
  }
}

function notOurs(target: string, what: string): FlashCopyError {
  return new FlashCopyError(
    'WrongState',
    `The target path ${target} is ${what}. Look who uses it and remove it.`,
  );
}

function notStaged(volume: Found, staging: string): FlashCopyError {
  return new FlashCopyError(
    'WrongState',
    `Volume ${volume.info.name} is not staged at ${staging}, or its mount there has vanished. Stage it first.`,
  );
}
