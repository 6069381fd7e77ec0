/**
 * The cluster's loop devices. They belong to the kernel and not to any namespace: those of an engine that is killed with
 * its node stay. Which ones were the cluster's is written down all the time, so that they can be detached afterwards,
 * also by the next run.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loopDevices, sequenceOf } from '../../../src/engine/loop-devices.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { attempt, until } from '../../support/commands.ts';

const EVERY_MS = 500;
const DETACH_MS = 30_000;

/** A device, and which of its attachments: a later one may be anybody's. */
type Attachment = { device: string; sequence: string };

/** Writes down the devices of the engines whose pool is at that path, until the end of this process. */
export function recordLoopDevices(cleanup: Cleanup, directory: string, poolDir: string): void {
  const hash = createHash('sha256').update(poolDir).digest('hex').slice(0, 12);
  const seen = new Map<string, Attachment>();
  const record = () => {
    const ours = loopDevices().filter(({ file }) => file.includes(`/${hash}/`));
    const before = seen.size;
    for (const { device } of ours) {
      const sequence = sequenceOf(device);
      seen.set(`${device} ${sequence}`, { device, sequence });
    }
    if (seen.size === before) return;
    fs.writeFileSync(`${recordIn(directory)}.new`, JSON.stringify([...seen.values()]));
    fs.renameSync(`${recordIn(directory)}.new`, recordIn(directory));
  };
  const timer = setInterval(record, EVERY_MS);
  cleanup.defer('detach the loop devices of the cluster', async () => {
    clearInterval(timer);
    record();
  });
}

/** Once no process of that cluster is left. */
export async function detachRecorded(directory: string): Promise<void> {
  if (!fs.existsSync(recordIn(directory))) return;
  const recorded = JSON.parse(fs.readFileSync(recordIn(directory), 'utf8')) as Attachment[];
  const attached = () => {
    const devices = new Set(loopDevices().map(({ device }) => device));
    return recorded.filter(({ device, sequence }) => devices.has(device) && sequenceOf(device) === sequence);
  };
  for (const { device } of attached()) await attempt('losetup', ['--detach', device]);
  await until(
    'the loop devices of the cluster are detached',
    async () => {
      if (attached().length === 0) return true;
      await sleep(100);
      return false;
    },
    DETACH_MS,
  );
}

const recordIn = (directory: string): string => path.join(directory, 'loop-devices.json');
