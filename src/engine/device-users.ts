/**
 * Who uses a block device: mounts, those it is published to, other devices on top, swap, and processes that have it open.
 *
 * A raw block volume is published by a bind mount of its device's node. Whoever looks there may open it at any time, so it
 * is in use although nobody has it open: were it detached, the next volume could get its number, and be written by them.
 *
 * The kernel does not tell directly. Mounts and openers are looked for by name, so that they can be told; that nobody
 * else claims it, in a mount namespace that we do not see for example, is tried by claiming it for a moment.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { boundDevice, type Mount, mounts, parseMount } from '../sys/mount.ts';
import { loopDevices } from './loop-devices.ts';

/** Programs that look at every new device, or at all there are, for a moment. */
const PASSING = /udev|blkid|losetup|lsblk/;

export type DeviceUser = {
  /** Completes the sentence 'it cannot be detached: ...'. */
  what: string;
  /** It is likely gone in a moment. */
  passing: boolean;
};

/** Undefined when nobody uses it. `opener` is what `openersOf` told of it. */
export async function userOfDevice(
  device: string,
  opener?: Opener,
  seen: readonly Mount[] = visibleMounts(),
): Promise<DeviceUser | undefined> {
  if (opener !== undefined && PASSING.test(opener.name)) return { what: opener.what, passing: true };
  const what = (await claimantOf(device, seen)) ?? opener?.what;
  return what === undefined ? undefined : { what, passing: false };
}

/** Our own mounts and, in a container that sees the machine's processes, those of the machine itself. */
export function visibleMounts(): Mount[] {
  try {
    if (readlinkSync('/proc/1/ns/mnt') === readlinkSync('/proc/self/ns/mnt')) return mounts();
    const machine = readFileSync('/proc/1/mountinfo', 'utf8').trimEnd().split('\n').map(parseMount);
    return [...mounts(), ...machine];
  } catch (error) {
    // Not ours to look at.
    if (!['EACCES', 'EPERM', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return mounts();
  }
}

/** Where the device's node is bound, and can be opened: a raw block volume is published there. */
function boundAt(device: string, seen: readonly Mount[]): string[] {
  const bound = seen.filter((mount) => boundDevice(mount) === path.basename(device));
  return bound.map(({ directory }) => directory);
}

/**
 * Where it is published while nobody else has it open: detached, its number would be free at once. With another loop device
 * on top, as kubelet keeps one on each that it has published, the kernel waits for that one's end.
 */
export function looseAt(device: string): string | undefined {
  const bound = boundAt(device, visibleMounts());
  const held = loopDevices().some(({ file }) => file === device || bound.includes(file));
  return held ? undefined : bound[0];
}

async function claimantOf(device: string, seen: readonly Mount[]): Promise<string | undefined> {
  const mounted = await mountOf(device, seen);
  if (mounted !== undefined) return `it is mounted at ${mounted.directory}`;
  const [bound] = boundAt(device, seen);
  if (bound !== undefined) return `it is published at ${bound}`;
  return claimOn(device);
}

/** Who has it for himself alone, though no mount shows its number: what is on top of it, btrfs, swap, or somebody out of sight. */
export async function claimOn(device: string): Promise<string | undefined> {
  const [holder] = await fs.readdir(`/sys/block/${path.basename(device)}/holders`);
  if (holder !== undefined) return `device ${holder} is on top of it`;
  if ((await fs.readFile('/proc/swaps', 'utf8')).includes(`${device} `)) return 'it is swap space';
  return (await isClaimed(device)) ? mountElsewhere(device) : undefined;
}

async function mountOf(device: string, all: readonly Mount[]): Promise<Mount | undefined> {
  const number = (await fs.readFile(`/sys/block/${path.basename(device)}/dev`, 'utf8')).trim();
  // btrfs shows a device number of its own.
  return all.find((mount) => mount.device === number || mount.source === device);
}

export type Opener = { name: string; what: string };

/** One process for each of the devices that somebody has open. */
export async function openersOf(devices: ReadonlySet<string>): Promise<Map<string, Opener>> {
  const openers = new Map<string, Opener>();
  for (const pid of await fs.readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const fds = await orGone(fs.readdir(`/proc/${pid}/fd`), []);
    const files = await Promise.all(fds.map((fd) => orGone(fs.readlink(`/proc/${pid}/fd/${fd}`), '')));
    for (const device of files.filter((file) => devices.has(file))) {
      const name = (await orGone(fs.readFile(`/proc/${pid}/comm`, 'utf8'), '')).trim();
      openers.set(device, { name, what: `process ${pid} (${name}) has it open` });
    }
  }
  return openers;
}

/** Whether somebody has it for himself alone, as every mount does. */
async function isClaimed(device: string): Promise<boolean> {
  try {
    const handle = await fs.open(device, fs.constants.O_RDONLY | fs.constants.O_EXCL);
    await handle.close();
    return false;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EBUSY') return true;
    if (code === 'ENOENT' || code === 'ENXIO') return false; // it has been detached meanwhile
    throw error;
  }
}

async function mountElsewhere(device: string): Promise<string> {
  for (const pid of await fs.readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const lines = (await orGone(fs.readFile(`/proc/${pid}/mountinfo`, 'utf8'), '')).trimEnd().split('\n');
    const mounted = await mountOf(device, lines.map(parseMount));
    if (mounted !== undefined) return `it is mounted at ${mounted.directory} for process ${pid}`;
  }
  return 'somebody has claimed it (a mount or a device that is not visible from here)';
}

/** What /proc tells of processes that may end meanwhile. */
async function orGone<Value>(value: Promise<Value>, gone: Value): Promise<Value> {
  try {
    return await value;
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return gone;
    throw error;
  }
}
