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
import { backingOf, loopDevices, sequenceOf } from '../../src/engine/loop-devices.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { attempt, until } from '../support/commands.ts';
import { abortConnections } from './fuse-connections.ts';

const EVERY_MS = 500;
const DETACH_MS = 30_000;
/** After that long it is not merely slow. */
const SLOW_MS = 3000;
const ANSWER_MS = 5000;
/** Where the kernel sees the files of engines, whatever pool they have. */
const OF_ENGINES = /\/mnt-[^/]+\/\d+$/;
const THAW = `for type in ext4 xfs; do
  if mount -t $type "$1" "$2"; then fsfreeze --unfreeze "$2"; umount "$2"; fi
done`;

/** A device, and which of its attachments: a later one may be anybody's. `backing`: the filesystem that its file is on. */
type Attachment = { device: string; sequence: string; backing: string };
type Candidate = { file: string; backing: string };

/** Writes down in the directory the devices that are ours, until the end of this process. Each one is asked about once. */
export function recordLoopDevices(
  cleanup: Cleanup,
  directory: string,
  isOurs: (candidate: Candidate) => boolean | Promise<boolean>,
): void {
  const known = new Set<string>();
  const ours: Attachment[] = [];
  const record = async () => {
    const before = ours.length;
    for (const { device, file } of loopDevices()) {
      const sequence = sequenceOf(device);
      if (known.has(`${device} ${sequence}`) || !OF_ENGINES.test(file)) continue;
      const backing = (await backingOf(device).catch(() => undefined)) ?? '';
      if (await isOurs({ file, backing })) ours.push({ device, sequence, backing });
      known.add(`${device} ${sequence}`);
    }
    if (ours.length === before) return;
    fs.writeFileSync(`${recordIn(directory)}.new`, JSON.stringify(ours));
    fs.renameSync(`${recordIn(directory)}.new`, recordIn(directory));
  };
  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    running ??= record().finally(() => {
      running = undefined;
    });
  }, EVERY_MS);
  cleanup.defer('note the last loop devices', async () => {
    clearInterval(timer);
    await running;
    await record();
  });
}

/** Once no process that used them is left, or can end. */
export async function detachRecorded(directory: string): Promise<void> {
  const attached = () => attachedOf(directory);
  const allDetached = (timeoutMs: number) =>
    until('the loop devices are detached', () => attached().length === 0, timeoutMs, 100);
  await abortConnections(
    attached().map(({ backing }) => backing),
    directory,
  );
  for (const { device } of attached())
    await attempt('losetup', ['--detach', device], { timeoutMs: ANSWER_MS });
  await allDetached(SLOW_MS).catch(async () => {
    for (const { device } of attached()) await thaw(device, directory);
    await allDetached(DETACH_MS);
  });
}

/** Those of the devices written down there that are what they were then. */
export function attachedOf(directory: string): Attachment[] {
  if (!fs.existsSync(recordIn(directory))) return [];
  const recorded = JSON.parse(fs.readFileSync(recordIn(directory), 'utf8')) as Attachment[];
  const devices = new Set(loopDevices().map(({ device }) => device));
  return recorded.filter(({ device, sequence }) => devices.has(device) && sequenceOf(device) === sequence);
}

async function thaw(device: string, directory: string): Promise<void> {
  const at = path.join(directory, 'thawing');
  fs.mkdirSync(at, { recursive: true });
  const args = ['--mount', 'sh', '-c', THAW, 'sh', device, at];
  await attempt('unshare', args, { timeoutMs: ANSWER_MS });
}

const recordIn = (directory: string): string => path.join(directory, 'loop-devices.json');
