/**
 * `npm run soak -- --minutes 60`: the mixed load, its engine being killed every few seconds in every second step of the first
 * quarter, and beside it a pool whose disk is filled again and again. A step takes a minute, or a tenth of shorter runs; after
 * each a line tells what was done and what the processes have. Ends with 1 at the first violation, and if anything grows:
 * growth.ts has what is too much, and the end tells what each thing grew by.
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
import { Growth, type Measures } from './growth.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error('--minutes wants a number');
const stepMs = Math.min(60_000, minutes * 6000);
const KILL_EVERY_MS = 5000;

/** Of the run: afterwards the engine is left alone, so that one process is seen to live long. */
const KILLS_PART = 0.25;

async function measure(
  suite: EngineSuite,
  rounds: FullDiskRounds,
  growth: Growth,
  hours: number,
): Promise<Measures> {
  const { supervisorPid, pool } = suite.standalone;
  const enginePid = await until('there is an engine process', () => suite.standalone.childPid());
  const filesOf = (dir: string): number => readdirSync(path.join(pool, dir)).length;
  const measures: Measures = {
    supervisorBytes: residentBytes(supervisorPid),
    supervisorFds: descriptorsOf(supervisorPid),
    engineBytes: residentBytes(enginePid),
    engineFds: descriptorsOf(enginePid),
    files: filesOf('volumes') + filesOf('bitmaps'),
    fullDiskBytes: rounds.usedBytes,
  };
  growth.add(hours, enginePid, measures);
  return measures;
}

const mib = (bytes: number): string => `${Math.round(bytes / MiB)} MiB`;

async function soak(suite: EngineSuite, full: EngineSuite): Promise<void> {
  const load = new MixedLoad(suite);
  await load.begin();
  const rounds = await FullDiskRounds.begin(full);
  const growth = new Growth();
  let last: Measures | undefined;
  let kills = 0;
  let longestMs = 0;
  const beganAt = Date.now();
  const endAt = beganAt + minutes * 60_000;
  const killsUntil = beganAt + minutes * 60_000 * KILLS_PART;
  const hours = (): number => (Date.now() - beganAt) / 3_600_000;
  const said = (sample: Measures): string =>
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
      if (step % 2 === 0 && Date.now() < killsUntil) {
        await killOnce(suite);
        kills += 1;
        await surely(() => suite.engine.pool());
      }
      await sleep(Math.min(randomInt(2 * KILL_EVERY_MS), Math.max(0, stepEnd - Date.now())));
      longestMs = Math.max(longestMs, load.pauses.takeLongestMs());
    }
    await round;
    await surely(() => suite.engine.pool());
    last = await measure(suite, rounds, growth, hours());
    console.log(said(last));
  }
  await load.end();
  for (const line of growth.told()) console.log(line);
  assert.deepEqual(growth.found(), []);
  console.log(`supervisor: ${describeDescriptors(suite.standalone.supervisorPid)}`);
  for (const { standalone } of [suite, full]) {
    await standalone.stop();
    assert.deepEqual(strayFiles(standalone.pool), []);
  }
  if (last !== undefined) console.log(said(last));
  console.log('0 violations');
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
