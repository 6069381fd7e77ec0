/**
 * `npm run soak -- --minutes 60`: the mixed load, its engine being killed every few seconds in every second step, and beside
 * it a pool whose disk is filled again and again. A step takes a minute, or a tenth of shorter runs; after each a line tells
 * what was done and what the processes have. Ends with 1 at the first violation, and if anything has piled up.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Cleanup } from '../support/cleanup.ts';
import { until } from '../support/commands.ts';
import { MiB } from '../support/disks.ts';
import { EngineSuite } from '../support/engine-suite.ts';
import { FullDiskRounds } from '../support/full-disk-rounds.ts';
import { killOnce } from '../support/kill-load.ts';
import { describeDescriptors, descriptorsOf, residentBytes, strayFiles } from '../support/leftovers.ts';
import { MixedLoad, surely } from '../support/mixed-load.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error('--minutes wants a number');
const stepMs = Math.min(60_000, minutes * 6000);
const KILL_EVERY_MS = 5000;

/** What may come and go: work under way, caches, what a burst needed. */
const MEMORY_SLACK = 128 * MiB;
const DESCRIPTORS_SLACK = 64;
const FILES_SLACK = 64;
const DISK_SLACK = 64 * MiB;

/** What the processes and the pool have at the end of a step. */
type Sample = Record<
  'supervisorBytes' | 'supervisorFds' | 'engineBytes' | 'engineFds' | 'files' | 'fullDiskBytes',
  number
>;

const slackOf: Sample = {
  supervisorBytes: MEMORY_SLACK,
  supervisorFds: 0,
  engineBytes: MEMORY_SLACK,
  engineFds: DESCRIPTORS_SLACK,
  files: FILES_SLACK,
  fullDiskBytes: DISK_SLACK,
};

async function sampleOf(suite: EngineSuite, rounds: FullDiskRounds): Promise<Sample> {
  const { supervisorPid, pool } = suite.standalone;
  const enginePid = await until('there is an engine process', () => suite.standalone.childPid());
  const filesOf = (dir: string): number => readdirSync(path.join(pool, dir)).length;
  return {
    supervisorBytes: residentBytes(supervisorPid),
    supervisorFds: descriptorsOf(supervisorPid),
    engineBytes: residentBytes(enginePid),
    engineFds: descriptorsOf(enginePid),
    files: filesOf('volumes') + filesOf('bitmaps'),
    fullDiskBytes: rounds.usedBytes,
  };
}

/** The least of the last half must not be above the most of the first one. */
function assertFlat(samples: Sample[]): void {
  const half = Math.ceil(samples.length / 2);
  for (const what of Object.keys(slackOf) as (keyof Sample)[]) {
    const values = samples.map((sample) => sample[what]);
    const first = Math.max(...values.slice(0, half));
    const last = Math.min(...values.slice(-half));
    assert.ok(last <= first + slackOf[what], `${what} went from ${first} to ${last}`);
  }
}

const mib = (bytes: number): string => `${Math.round(bytes / MiB)} MiB`;

async function soak(suite: EngineSuite, full: EngineSuite): Promise<void> {
  const load = new MixedLoad(suite);
  await load.begin();
  const rounds = await FullDiskRounds.begin(full);
  const samples: Sample[] = [];
  let kills = 0;
  let longestMs = 0;
  const beganAt = Date.now();
  const endAt = beganAt + minutes * 60_000;
  const said = (sample: Sample): string =>
    [
      `${((Date.now() - beganAt) / 60_000).toFixed(1)} min: ${kills} kills, longest host pause ${(longestMs / 1000).toFixed(2)} s`,
      `${load.writes} accounted writes, ${Object.entries(load.counts).map(([kind, times]) => `${times} ${kind}`)}`,
      `${rounds.rounds} full disks`,
      `engine ${mib(sample.engineBytes)} ${sample.engineFds} descriptors`,
      `supervisor ${mib(sample.supervisorBytes)} ${sample.supervisorFds} descriptors`,
      `${sample.files} files`,
    ].join('; ');
  for (let step = 0; Date.now() < endAt && load.failure === undefined; step++) {
    const stepEnd = Date.now() + stepMs;
    const round = rounds.round();
    round.catch(() => {}); // told when the step ends
    while (Date.now() < stepEnd) {
      if (step % 2 === 0) {
        await killOnce(suite);
        kills += 1;
        await surely(() => suite.engine.pool());
      }
      await sleep(Math.min(randomInt(2 * KILL_EVERY_MS), Math.max(0, stepEnd - Date.now())));
      longestMs = Math.max(longestMs, load.pauses.takeLongestMs());
    }
    await round;
    await surely(() => suite.engine.pool());
    samples.push(await sampleOf(suite, rounds));
    console.log(said(samples.at(-1)!));
  }
  await load.end();
  assertFlat(samples);
  console.log(`supervisor: ${describeDescriptors(suite.standalone.supervisorPid)}`);
  for (const { standalone } of [suite, full]) {
    await standalone.stop();
    assert.deepEqual(strayFiles(standalone.pool), []);
  }
  console.log(`${said(samples.at(-1)!)}\n0 violations`);
}

const cleanup = new Cleanup();
await cleanup.guard(async () => {
  const suite = new EngineSuite(cleanup);
  suite.begin();
  await suite.start();
  try {
    await soak(suite, new EngineSuite(cleanup));
  } catch (error) {
    console.log(`1 violation: ${(error as Error).message}`);
    throw error;
  }
});
