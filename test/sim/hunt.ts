/**
 * Hunts for histories that fail: many seeds of the model check, one after the other, going on after a failure.
 *
 *   npm run hunt -- --seeds 1000 --from 5000 --operations 2500
 *   npm run hunt -- --shape RESTORE --operations 400              in a world of another shape (test/sim/shape.ts)
 *   npm run hunt -- --faults --operations 80                      on a disk that fails (test/sim/fault-hunt.ts)
 *   VERBOSE=1 npm run hunt -- --seeds 1 --from 5001               telling everything that one does
 *
 * Tells each seed that failed with what it said, and exits with 1 if there was one. `--log` writes the whole account of each
 * to DIR/SEED.txt.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { FAULT_OPERATIONS, huntFaults } from './fault-hunt.ts';
import { runHistory } from './history.ts';
import { SHAPES } from './shape.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    operations: { type: 'string' },
    shape: { type: 'string', default: 'LARGE' },
    faults: { type: 'boolean', default: false },
    log: { type: 'string' },
  },
});
const first = Number(values.from);
const seeds = Number(values.seeds);
const operations = Number(values.operations ?? (values.faults ? FAULT_OPERATIONS : 2500));
const shape = SHAPES[values.shape];
if (shape === undefined)
  throw new Error(`there is no shape ${values.shape}; there are ${Object.keys(SHAPES).join(', ')}`);
const SEEDS_BETWEEN_REPORTS = 100;

const replayOf = (seed: number): string =>
  `npm run hunt -- --seeds 1 --from ${seed} --operations ${operations} --shape ${values.shape}`;

const failed: number[] = [];
for (let done = 0; done < seeds; done++) {
  const seed = first + done;
  try {
    if (values.faults) huntFaults(seed, operations);
    else runHistory({ seed, operations, shape, replay: replayOf(seed) });
  } catch (error) {
    failed.push(seed);
    const { message } = error as Error;
    console.log(message.split('\n')[0]);
    if (values.log !== undefined) {
      mkdirSync(values.log, { recursive: true });
      writeFileSync(path.join(values.log, `${seed}.txt`), (error as Error).stack ?? message);
    }
  }
  if ((done + 1) % SEEDS_BETWEEN_REPORTS === 0 || done + 1 === seeds)
    console.log(`${done + 1} of ${seeds} seeds, ${failed.length} failed`);
}
if (failed.length > 0) {
  console.log(`failed: ${failed.join(' ')}`);
  process.exitCode = 1;
}
