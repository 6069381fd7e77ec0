/**
 * A filesystem on a disk that takes its time for some writes: those whose content begins with SLOW. Later ones overtake
 * them. The disk is a process of its own: who waits for it may be blocked in the kernel.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cleanup } from './cleanup.ts';
import { run } from './commands.ts';
import { MiB, temporaryDirectory } from './disks.ts';
import { attachLoop, type FilesystemKind, makeFilesystem, mount } from './filesystems.ts';

export const SLOW = 'SLOW';
const SLOW_MS = 1000;
const PROCESS = path.join(import.meta.dirname, 'slow-disk-process.ts');
/** XFS wants 300 MiB at least. */
const DISK_BYTES = 384 * MiB;

export type SlowDisk = {
  /** Where it is mounted. */
  place: string;
  /** Asked before a slow write is begun, ends when the disk has it. */
  hasOne(): Promise<unknown>;
};

export async function slowDisk(cleanup: Cleanup, kind: FilesystemKind): Promise<SlowDisk> {
  const base = temporaryDirectory(cleanup);
  const [image, front] = [path.join(base, 'image'), path.join(base, 'disk')];
  await writeFile(image, '');
  await truncate(image, DISK_BYTES);
  await mkdir(front);
  const disk = spawn(process.execPath, [PROCESS, front, image, SLOW, `${SLOW_MS}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(disk, 'exit');
  cleanup.defer(`end the disk ${front}`, async () => {
    disk.kill('SIGKILL');
    await ended;
    await run('umount', [front]);
  });
  const told = () =>
    Promise.race([
      once(disk.stdout, 'data'),
      ended.then(() => {
        throw new Error('the slow disk ended');
      }),
    ]);
  await told();
  let device = '';
  cleanup.defer('wait for the loop device', async () => {
    while (existsSync(`/sys/block/${path.basename(device)}/loop/backing_file`)) await sleep(20);
  });
  ({ device } = await attachLoop(cleanup, path.join(front, '1')));
  await makeFilesystem(kind, device);
  const place = path.join(base, kind);
  await mount(cleanup, device, place, kind);
  return { place, hasOne: told };
}
