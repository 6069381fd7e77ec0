/**
 * The engine's process is killed again and again under a mixed load. Nobody may see an I/O error or a difference, and
 * nothing may pile up.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from './commands.ts';
import { GiB } from './disks.ts';
import type { EngineSuite } from './engine-suite.ts';
import { loopDevicesBelow } from './filesystems.ts';
import { descriptorsOf, strayFiles } from './leftovers.ts';
import { MixedLoad, surely } from './mixed-load.ts';

/** One in so many kills comes while the next engine is still starting. */
const IN_RECOVERY = 10;
const PAUSE_MAX_MS = 150;
/** Before one in so many, the load comes to do something. */
const CALM = 3;
const ACT_MS = 3000;

export type KillReport = {
  kills: number;
  /** How long a read of a host waited at the most, for each kill. */
  pausesMs: number[];
  /** Of those kills that met an engine in its recovery: two starts are in one pause. */
  recoveryPausesMs: number[];
  writes: number;
  did: Record<string, number>;
};

export type KillOptions = {
  kills: number;
  /** Attached beside those that are used. */
  idleVolumes: number;
  /** Called after each kill. */
  tell?: (report: KillReport) => void;
};

/** Throws if anything is not as it must be. Stops the engine in the end, to look at the pool. */
export async function killUnderLoad(suite: EngineSuite, options: KillOptions): Promise<KillReport> {
  const { engine } = suite;
  for (let i = 0; i < options.idleVolumes; i++) await suite.volume(`idle-${i}`, GiB);
  const load = new MixedLoad(suite);
  await load.begin();
  const supervised = descriptorsOf(suite.standalone.supervisorPid);
  const report: KillReport = { kills: 0, pausesMs: [], recoveryPausesMs: [], writes: 0, did: load.counts };
  let isSecond = false;
  while (report.kills < options.kills && load.failure === undefined) {
    // Calls that are cut off by one kill after the other would be all that there is otherwise.
    if (report.kills % CALM === 0 && !isSecond) await load.untilActed(ACT_MS);
    const isFirst = report.kills % IN_RECOVERY === IN_RECOVERY - 2;
    await killOnce(suite, isSecond);
    report.kills += 1;
    if (!isFirst) {
      await surely(() => engine.pool());
      (isSecond ? report.recoveryPausesMs : report.pausesMs).push(load.pauses.takeLongestMs());
    }
    isSecond = isFirst;
    report.writes = load.writes;
    options.tell?.(report);
  }
  await surely(() => engine.pool());
  await load.end();
  const loops = await loopDevicesBelow(suite.standalone.runDirectory);
  const attached = (await engine.listVolumes()).filter(({ device }) => device !== '');
  assert.equal(loops.length, attached.length, 'a loop device for each attached volume');
  assert.equal(descriptorsOf(suite.standalone.supervisorPid), supervised, 'descriptors of the supervisor');
  const { pool } = suite.standalone;
  await suite.standalone.stop();
  assert.deepEqual(strayFiles(pool), []);
  return report;
}

/** At a random moment. Returns when the next process is there, in its recovery. */
export async function killOnce(suite: EngineSuite, inRecovery = false): Promise<void> {
  await sleep(randomInt(inRecovery ? PAUSE_MAX_MS : 2 * PAUSE_MAX_MS));
  const killed = await suite.standalone.killChild();
  await until('there is another process', () => {
    const pid = suite.standalone.childPid();
    return pid !== undefined && pid !== killed;
  });
}
