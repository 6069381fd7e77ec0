/**
 * A thread that holds descriptors without what its process holds: with a table of descriptors and a view of the mounts of
 * its own.
 *
 * When all of a container is killed, whoever leaves its mount namespace last unmounts what is in it, and only then closes
 * its own descriptors. A volume's unmount writes, and waits for the engine. If the one who waits also held the last
 * descriptor of the engine's FUSE connection, then nobody could ever end the wait. A thread of its own closes what it
 * holds whatever the others wait for, and the kernel then fails what waited for the engine.
 */
import path from 'node:path';
import koffi from 'koffi';
import { FlashCopyError, IoError } from '../base/errors.ts';
import { mountFilesystem } from './libc.ts';
import { mounts } from './mount.ts';

const lib = koffi.load('libc.so.6');
const c = {
  unshare: lib.func('int unshare(int flags)'),
  umount2: lib.func('int umount2(const char *dir, int flags)'),
};

const CLONE_FILES = 0x400;
const CLONE_NEWNS = 0x20000;
const MS_REC = 0x4000;
const MS_PRIVATE = 0x40000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const EPERM = 1;
/** Not a mount of this view (any more), or below one that is gone already. */
const NOT_THERE = [2, 20, 22];

/**
 * For the calling thread alone. It goes on seeing `directory` and /proc where they are, and no other mount. What it opens from
 * now on its process does not have; what was open stays so in both.
 */
export function standApart(directory: string): void {
  if (c.unshare(CLONE_FILES | CLONE_NEWNS) < 0) {
    const error = new IoError(koffi.errno(), 'unshare', 'descriptors and mounts');
    if (error.errno !== EPERM) throw error;
    const message =
      'The keeper may not have mounts of its own: run it as root, in a container as privileged.';
    throw new FlashCopyError('MissingPrivilege', message);
  }
  // First of all: nothing that is detached here is to be detached anywhere else.
  mountFilesystem('none', '/', '', MS_REC | MS_PRIVATE, '');
  const needed = (mount: string): boolean => [directory, '/proc'].some((place) => isBelow(place, mount));
  for (const { directory: mount } of mounts().toReversed()) {
    if (needed(mount) || c.umount2(mount, MNT_DETACH | UMOUNT_NOFOLLOW) === 0) continue;
    const error = new IoError(koffi.errno(), 'detach', mount);
    if (!NOT_THERE.includes(error.errno)) throw error;
  }
}

const isBelow = (inner: string, outer: string): boolean => {
  const way = path.relative(outer, inner);
  return way === '' || !(way === '..' || way.startsWith('../'));
};
