/**
 * The kernel's loop devices: which there are, and making one. Reading is from sysfs, which opens no device.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../base/errors.ts';
import { ioctl, makeBlockDevice } from '../sys/libc.ts';
import { run } from '../sys/run.ts';

export type LoopDevice = {
  /** '/dev/loopN'. */
  device: string;
  /** The backing file's path as the kernel knows it. */
  file: string;
};

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_MAJOR = 7;
const ATTEMPTS = 20;
const ANSWER_MS = 5000;

/** Those that have a file. Sysfs answers from memory: reading it takes a few microseconds a device. */
export function loopDevices(): LoopDevice[] {
  const names = readdirSync('/sys/block').filter((name) => /^loop\d+$/.test(name));
  const devices = names.map((name) => ({ device: `/dev/${name}`, file: backingFile(`/dev/${name}`) }));
  return devices.filter(({ file }) => file !== '');
}

/** The backing file's path as the kernel knows it; empty: none. */
export function backingFile(device: string): string {
  const block = `/sys/block/${path.basename(device)}`;
  return existsSync(`${block}/loop`) ? attribute(`${block}/loop/backing_file`) : '';
}

/** Grows with every attachment of any device. */
export const sequenceOf = (device: string): string =>
  attribute(`/sys/block/${path.basename(device)}/diskseq`);

/** Without a file the attribute is not there, or goes away while it is being read. */
function attribute(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd();
  } catch (error) {
    if (['ENOENT', 'ENXIO', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

/**
 * 'major:minor' of the filesystem that the backing file is on; undefined when that filesystem answers no more. The
 * kernel asks it, so this must not be called by whoever has to answer, and another's may be slow to: Unavailable.
 */
export async function backingOf(device: string): Promise<string | undefined> {
  const options = ['--list', '--noheadings', '--output', 'BACK-MAJ:MIN'];
  const { status, stdout, stderr } = await run('losetup', [...options, device], ANSWER_MS);
  if (status < 0)
    throw new FlashCopyError(
      'Unavailable',
      `Device ${device} does not tell where its file is (${stderr.trim()}). Ask again in a moment.`,
    );
  return stdout.trim() || undefined;
}

/** A device for the file, with direct I/O and sectors of 4096 bytes. */
export async function attachLoop(file: string, readOnly: boolean): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const device = freeDevice();
    const options = ['--direct-io=on', '--sector-size=4096', ...(readOnly ? ['--read-only'] : [])];
    const { status, stderr } = await run('losetup', [...options, device, file]);
    if (status === 0) return device;
    // Between being free and being taken by us it may be taken by another.
    if (/busy/i.test(stderr) && attempt < ATTEMPTS) continue;
    throw new FlashCopyError('IoError', `No block device could be made for ${file}: ${stderr.trim()}.`);
  }
}

/** In a container, /dev may lack the node of a device that the kernel has just made. */
function freeDevice(): string {
  const control = openSync('/dev/loop-control', 'r+');
  try {
    const number = ioctl(control, LOOP_CTL_GET_FREE, null, '/dev/loop-control');
    const device = `/dev/loop${number}`;
    if (!existsSync(device)) makeBlockDevice(device, LOOP_MAJOR, number);
    return device;
  } finally {
    closeSync(control);
  }
}
