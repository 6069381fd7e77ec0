/**
 * Loop devices belong to the kernel and not to any namespace: those of an engine that is killed with the namespaces that it
 * ran in stay, and then nobody can tell whose they were. So which ones are ours is written down all the time, and they can
 * be detached afterwards, also by the next run.
 *
 * A filesystem that was frozen when whoever would have thawed it was killed outlives all its mounts, and keeps its device.
 * It can be mounted again, and be thawed then.
 */
import fs from 'node:fs';
import path from 'node:path';
import { type LoopDevice, loopDevices, sequenceOf } from '../../src/engine/loop-devices.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { attempt, run, until } from '../support/commands.ts';

const EVERY_MS = 500;
const DETACH_MS = 30_000;
/** After that long it is not merely slow. */
const SLOW_MS = 3000;
const ANSWER_MS = 5000;
const THAW = `for type in ext4 xfs; do
  if mount -t $type "$1" "$2"; then fsfreeze --unfreeze "$2"; umount "$2"; fi
done`;

/** A device, and which of its attachments: a later one may be anybody's. */
type Attachment = { device: string; sequence: string };

/** Writes down in the directory the devices that are ours, until the end of this process. Each one is asked about once. */
export function recordLoopDevices(
  cleanup: Cleanup,
  directory: string,
  isOurs: (device: LoopDevice) => boolean | Promise<boolean>,
): void {
  const known = new Set<string>();
  const ours: Attachment[] = [];
  const record = async () => {
    const before = ours.length;
    for (const found of loopDevices()) {
      const sequence = sequenceOf(found.device);
      if (known.has(`${found.device} ${sequence}`)) continue;
      if (await isOurs(found)) ours.push({ device: found.device, sequence });
      known.add(`${found.device} ${sequence}`);
    }
    if (ours.length === before) return;
    fs.writeFileSync(`${recordIn(directory)}.new`, JSON.stringify(ours));
    fs.renameSync(`${recordIn(directory)}.new`, recordIn(directory));
  };
  let running: Promise<void> = Promise.resolve();
  let due = true;
  const timer = setInterval(() => {
    if (!due) return;
    due = false;
    running = record().finally(() => {
      due = true;
    });
  }, EVERY_MS);
  cleanup.defer('note the last loop devices', async () => {
    clearInterval(timer);
    await running;
    await record();
  });
}

/** Once no process that used them is left. */
export async function detachRecorded(directory: string): Promise<void> {
  if (!fs.existsSync(recordIn(directory))) return;
  const recorded = JSON.parse(fs.readFileSync(recordIn(directory), 'utf8')) as Attachment[];
  const attached = () => {
    const devices = new Set(loopDevices().map(({ device }) => device));
    return recorded.filter(({ device, sequence }) => devices.has(device) && sequenceOf(device) === sequence);
  };
  for (const { device } of attached()) await attempt('losetup', ['--detach', device]);
  const allDetached = (timeoutMs: number) =>
    until('the loop devices are detached', () => attached().length === 0, timeoutMs, 100);
  await allDetached(SLOW_MS).catch(async () => {
    for (const { device } of attached()) await thaw(device, directory);
    await allDetached(DETACH_MS);
  });
}

async function thaw(device: string, directory: string): Promise<void> {
  const at = path.join(directory, 'thawing');
  fs.mkdirSync(at, { recursive: true });
  const args = ['--mount', 'sh', '-c', THAW, 'sh', device, at];
  await attempt('unshare', args, { timeoutMs: ANSWER_MS });
}

/** Whether its file is on an engine's mount, as these mount tables tell. */
export async function isOnEngineOf(mountinfo: string, device: string): Promise<boolean> {
  const lines = mountinfo.split('\n').filter((line) => line.includes(' - fuse.flashcopy '));
  const engines = new Set(lines.map((line) => line.split(' ')[2]!));
  if (engines.size === 0) return false;
  // Asks the filesystem that the file is on, which may have stopped answering.
  const options = ['--list', '--noheadings', '--output', 'BACK-MAJ:MIN', device];
  const backing = await run('losetup', options, { timeoutMs: ANSWER_MS }).catch(() => '');
  return engines.has(backing.trim());
}

const recordIn = (directory: string): string => path.join(directory, 'loop-devices.json');
