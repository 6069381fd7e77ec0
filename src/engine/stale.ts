/**
 * Clears away what an engine left that was killed together with its supervisor: the mount, whose server is gone for
 * good, and the loop devices over its files.
 *
 * The pool's lock is held, so nobody serves that mount, and no other engine has a mount of that name. Unused devices are
 * detached. One that is in use (a filesystem is mounted on it, all its I/O fails) is marked, so that the kernel detaches
 * it when its last user is gone. One that is published as a block device stays as it is: its number must not become that
 * of another volume, which would be what is found there then.
 */
import path from 'node:path';
import { log } from '../base/log.ts';
import { mountAt } from '../sys/mount.ts';
import { run } from '../sys/run.ts';
import { looseAt, openersOf, userOfDevice } from './device-users.ts';
import { loopDevices } from './loop-devices.ts';
import { type RunDir, unmountLazily } from './run-dir.ts';

export async function clearStale({ mountDir }: RunDir): Promise<void> {
  if (mountAt(mountDir) === undefined) return;
  log.warn('an engine was killed with its supervisor: what it left is cleared away', { mount: mountDir });
  for (const { device, file } of loopDevices()) {
    if (path.dirname(file) !== mountDir) continue;
    const bound = looseAt(device);
    if (bound !== undefined) {
      const remedy = `unmount it there, then: losetup --detach ${device}`;
      log.warn('a device of the dead engine is published: it is left as it is', { device, bound, remedy });
      continue;
    }
    const user = await userOfDevice(device, (await openersOf(new Set([device]))).get(device));
    if (user !== undefined)
      log.warn('a device of the dead engine is in use: end that use', { device, user: user.what });
    const { status, stderr } = await run('losetup', ['--detach', device]);
    if (status !== 0)
      log.warn('a device of the dead engine could not be detached', { device, error: stderr.trim() });
  }
  await unmountLazily(mountDir);
}
