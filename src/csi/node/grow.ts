/**
 * Making a filesystem as large as its device. Idempotent.
 *
 * XFS grows only while it is mounted. ext4 does too, where the kernel lets us: it asks for CAP_SYS_RESOURCE. Without
 * that, it is grown before it is mounted, and a mounted one cannot grow: VolumeInUse, after which Kubernetes tries again
 * when the volume is staged next.
 */
import { readFile } from 'node:fs/promises';
import { FlashCopyError } from '../../base/errors.ts';
import { run } from '../../sys/run.ts';
import type { FilesystemType } from '../capabilities.ts';
import type { Device } from './device.ts';
import { failed, textOf } from './filesystem.ts';

const LONG_MS = 600_000;
const CAP_SYS_RESOURCE = 24n;

/** The filesystem is mounted there, writable. */
export async function growMounted(type: string, device: Device, directory: string): Promise<void> {
  if (type === 'xfs') return act('xfs_growfs', ['-d', directory], device);
  if (await mayGrowMounted()) return act('resize2fs', [device.path], device);
  if ((await ext4Bytes(device)) >= device.sizeBytes) return;
  throw new FlashCopyError(
    'VolumeInUse',
    `The ext4 filesystem on ${device.path} cannot grow while it is mounted, because the driver lacks the capability ` +
      'CAP_SYS_RESOURCE: run it privileged. Without, it grows when it is staged next.',
  );
}

/** The filesystem is not mounted, and has just been checked. */
export async function growUnmounted(type: FilesystemType, device: Device): Promise<void> {
  if (type === 'xfs' || (await mayGrowMounted())) return;
  if ((await ext4Bytes(device)) >= device.sizeBytes) return;
  // Asked for by resize2fs: a check of everything.
  const CORRECTED = 3;
  const ended = await run('e2fsck', ['-f', '-p', device.path], LONG_MS);
  if (ended.status < 0 || ended.status > CORRECTED)
    throw failed('could not be checked', device, textOf(ended));
  await act('resize2fs', [device.path], device);
}

async function act(command: string, args: string[], device: Device): Promise<void> {
  const ended = await run(command, args, LONG_MS);
  if (ended.status !== 0) throw failed('has grown, but its filesystem did not', device, textOf(ended));
}

async function mayGrowMounted(): Promise<boolean> {
  const [, effective] = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8')) ?? [];
  return ((BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}

/** As the superblock has it. */
async function ext4Bytes(device: Device): Promise<number> {
  const ended = await run('dumpe2fs', ['-h', device.path]);
  const value = (key: string) => Number(new RegExp(`^${key}: +(\\d+)$`, 'm').exec(ended.stdout)?.[1]);
  const bytes = value('Block count') * value('Block size');
  if (ended.status !== 0 || Number.isNaN(bytes))
    throw failed('has an ext4 superblock that cannot be read', device, textOf(ended));
  return bytes;
}
