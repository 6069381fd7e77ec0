/** How much of the pool's filesystem is taken: by one volume, by all, and whether that can go well. */
import { statfsSync, statSync } from 'node:fs';
import { readdir, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { fullnessOf, sizeText } from '../base/fullness.ts';
import { allocatedBytes } from '../sys/extents.ts';
import { mounts } from '../sys/mount.ts';

/** 0 for a file that is not there: a volume may be deleted while it is being looked at. */
export async function allocatedBytesOf(file: string): Promise<number> {
  try {
    return allocatedBytes(await stat(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

export async function allocatedBytesOfAll(poolDir: string): Promise<number> {
  const dir = path.join(poolDir, 'volumes');
  const sizes = (await readdir(dir)).map((name) => allocatedBytesOf(path.join(dir, name)));
  return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0);
}

/** On the spot, for those that cannot wait. */
export function freeBytes(poolDir: string): number {
  const { bavail, bsize } = statfsSync(poolDir);
  return bavail * bsize;
}

export async function filesystemBytes(poolDir: string): Promise<{ totalBytes: number; freeBytes: number }> {
  const { blocks, bavail, bsize } = await statfs(poolDir);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

/** Whether the pool's filesystem is mounted so that it discards space as soon as it is freed (ext4 and XFS: `discard`). */
export function discards(poolDir: string): boolean {
  const { dev } = statSync(poolDir);
  const device = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  return mounts().some((mount) => mount.device === device && mount.superOptions.includes('discard'));
}

export type Space = {
  totalBytes: number;
  freeBytes: number;
  provisionedBytes: number;
  allocatedBytes: number;
};

export function warningsOf({ totalBytes, freeBytes, provisionedBytes, allocatedBytes }: Space): string[] {
  const warnings: string[] = [];
  const promised = provisionedBytes - allocatedBytes;
  if (promised > freeBytes) {
    warnings.push(
      `The volumes may still take ${sizeText(promised)}, and ${sizeText(freeBytes)} are free: writes will fail when it is full. ` +
        'Enlarge the filesystem or delete volumes.',
    );
  }
  if (fullnessOf({ totalBytes, freeBytes }) !== 'has room') {
    warnings.push(
      `Only ${sizeText(freeBytes)} of ${sizeText(totalBytes)} are free. Enlarge the filesystem, or delete snapshots or volumes.`,
    );
  }
  return warnings;
}
