/**
 * `npm run test:kills -- --kills 1000 --volumes 300`: the engine's process is killed that often under a mixed load, with
 * so many volumes attached beside it. Prints what it sees as it goes, and ends with 1 at the first violation.
 */
import { parseArgs } from 'node:util';
import { Cleanup } from '../support/cleanup.ts';
import { EngineSuite } from '../support/engine-suite.ts';
import { type KillReport, killUnderLoad } from '../support/kill-load.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    volumes: { type: 'string', default: '300' },
    every: { type: 'string', default: '50' },
  },
});
const kills = Number(values.kills);
const idleVolumes = Number(values.volumes);
const every = Number(values.every);
if (!(kills > 0 && idleVolumes >= 0 && every > 0))
  throw new Error('--kills, --volumes and --every want numbers');

/** Of the engine's log, after a violation. */
const LOG_LINES = 12;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

function figures(report: KillReport): string {
  const sorted = [...report.pausesMs].sort((a, b) => a - b);
  const at = (part: number): string => seconds(sorted[Math.floor(part * (sorted.length - 1))] ?? 0);
  const did = Object.entries(report.did).map(([kind, times]) => `${times} ${kind}`);
  return [
    `${report.kills} kills`,
    `host pause: median ${at(0.5)}, 99 % ${at(0.99)}, longest ${at(1)}`,
    `with a second kill during recovery, longest ${seconds(Math.max(0, ...report.recoveryPausesMs))}`,
    `${report.writes} accounted writes`,
    did.join(', '),
  ].join('; ');
}

const cleanup = new Cleanup();
await cleanup.guard(async () => {
  const suite = new EngineSuite(cleanup);
  suite.begin();
  await suite.start();
  console.log(`${kills} kills under load, ${idleVolumes} more volumes attached`);
  try {
    const report = await killUnderLoad(suite, {
      kills,
      idleVolumes,
      tell: (so) => so.kills % every === 0 && console.log(figures(so)),
    });
    console.log(`${figures(report)}\n0 violations`);
  } catch (error) {
    const log = suite.log.split('\n').slice(-LOG_LINES).join('\n');
    console.log(`1 violation: ${(error as Error).message}\nThe engine's log ends:\n${log}`);
    throw error;
  }
});
