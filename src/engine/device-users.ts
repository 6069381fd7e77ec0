/**
 * Who uses a block device: mounts, other devices on top, swap, and processes that have it open.
 *
 * The kernel does not tell directly. Mounts and openers are looked for by name, so that they can be told; that nobody
 * else claims it, in a mount namespace that we do not see for example, is tried by claiming it for a moment.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { type Mount, mounts, parseMount } from '../sys/mount.ts';

/** Programs that look at every new device, or at all there are, for a moment. */
const PASSING = /udev|blkid|losetup|lsblk/;

export type DeviceUser = {
  /** Completes the sentence 'it cannot be detached: ...'. */
  what: string;
  /** It is likely gone in a moment. */
  passing: boolean;
};

/** Undefined when nobody uses it. `opener` is what `openersOf` told of it. */
export async function userOfDevice(device: string, opener?: Opener): Promise<DeviceUser | undefined> {
  if (opener !== undefined && PASSING.test(opener.name)) return { what: opener.what, passing: true };
  const what = (await claimantOf(device)) ?? opener?.what;
  return what === undefined ? undefined : { what, passing: false };
}

async function claimantOf(device: string): Promise<string | undefined> {
  const mounted = await mountOf(device, mounts());
  if (mounted !== undefined) return `it is mounted at ${mounted.directory}`;
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
