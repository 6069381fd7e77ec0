/**
 * Hunts for histories that fail: many seeds of the model check, one after the other, going on after a failure.
 *
 *   npm run hunt -- --seeds 1000 --from 5000 --operations 2500
 *
 * Tells each seed that failed with what it said, and exits with 1 if there was one. `--log` writes the whole account of each
 * to DIR/SEED.txt.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { runHistory } from './history.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    operations: { type: 'string', default: '2500' },
    log: { type: 'string' },
  },
});
const first = Number(values.from);
const seeds = Number(values.seeds);
const operations = Number(values.operations);
const SEEDS_BETWEEN_REPORTS = 100;

const failed: number[] = [];
for (let done = 0; done < seeds; done++) {
  const seed = first + done;
  try {
    runHistory({ seed, operations });
  } catch (error) {
    failed.push(seed);
    const { message } = error as Error;
    console.log(message.split('\n')[0]);
    if (values.log !== undefined) {
      mkdirSync(values.log, { recursive: true });
      writeFileSync(path.join(values.log, `${seed}.txt`), (error as Error).stack ?? message);
    }
  }
  if ((done + 1) % SEEDS_BETWEEN_REPORTS === 0)
    console.log(`${done + 1} of ${seeds} seeds, ${failed.length} failed`);
}
if (failed.length > 0) {
  console.log(`failed: ${failed.join(' ')}`);
  process.exitCode = 1;
}
