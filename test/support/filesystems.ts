/**
 * Filesystems on devices: made, mounted, checked, and the checksums of what is in them.
 */
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Cleanup } from './cleanup.ts';
import { attempt, run } from './commands.ts';

export type FilesystemKind = 'ext4' | 'xfs';

export async function makeFilesystem(kind: FilesystemKind, device: string): Promise<void> {
  // Without lazy initialisation: it would go on writing in the background while something is measured.
  if (kind === 'ext4')
    await run('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', device]);
  else await run('mkfs.xfs', ['-q', '-f', device]);
}

/** Mounts on a new directory; the answer unmounts and removes it again. A copy's XFS has its original's id: nouuid. */
export async function mount(
  cleanup: Cleanup,
  device: string,
  directory: string,
  kind: FilesystemKind,
): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true });
  await run('mount', ['-t', kind, ...(kind === 'xfs' ? ['-o', 'nouuid'] : []), device, directory]);
  return cleanup.defer(`unmount ${directory}`, async () => {
    await run('umount', [directory]);
    await rmdir(directory);
  });
}

/** Throws unless the filesystem on the device, which is not mounted, is whole. */
export async function checkFilesystem(kind: FilesystemKind, device: string): Promise<void> {
  if (kind === 'ext4') await run('e2fsck', ['-f', '-n', device]);
  else await run('xfs_repair', ['-n', device]);
}

/** Whether something is mounted at or below the directory, or from a device. */
export function mountsBelow(prefix: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((at) => at === prefix || at.startsWith(`${prefix}/`));
}

/** sha256 of every file below the directory, by its path from there. */
export async function checksumFiles(directory: string): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const name = path.join(entry.parentPath, entry.name);
    const hash = createHash('sha256');
    await pipeline(createReadStream(name, { highWaterMark: 1 << 20 }), hash);
    sums.set(path.relative(directory, name), hash.digest('hex'));
  }
  return sums;
}

/** Loop devices whose backing file lies below the directory. */
export async function loopDevicesBelow(directory: string): Promise<string[]> {
  const { stdout } = await attempt('losetup', [
    '--list',
    '--noheadings',
    '--raw',
    '--output',
    'NAME,BACK-FILE',
  ]);
  return stdout
    .split('\n')
    .filter((line) => line.slice(line.indexOf(' ') + 1).startsWith(directory))
    .map((line) => line.split(' ')[0]!);
}

/** A loop device over a file, as the engine attaches its volumes. The answer detaches it. */
export async function attachLoop(
  cleanup: Cleanup,
  file: string,
): Promise<{ device: string; detach: () => Promise<void> }> {
  const options = ['--find', '--show', '--direct-io=on', '--sector-size', '4096'];
  const device = (await run('losetup', [...options, file])).trim();
  const detach = cleanup.defer(`detach ${device}`, () => run('losetup', ['--detach', device]));
  const direct = readFileSync(`/sys/block/${path.basename(device)}/loop/dio`, 'utf8').trim();
  if (direct !== '1') throw new Error(`${device} over ${file} does no direct I/O: choose another filesystem`);
  return { device, detach };
}
