/**
 * Damages pools again and again, and counts what was not as it must be.
 *
 *   npm run test:damage -- --flips 20000 --seed 1
 *
 * Tells each trial that failed with its seed, and exits with 1 if there was one.
 */
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { summary, Trials } from './trials.ts';

const { values } = parseArgs({
  options: { flips: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' } },
});
const flips = Number(values.flips);
const top = fs.mkdtempSync(path.join('/dev/shm', 'flashcopy-damage-'));
try {
  const trials = new Trials(top, Number(values.seed));
  const REPORT = 1000;
  for (let i = 0; i < flips; i++) {
    const violation = trials.next();
    if (violation !== null) console.log(violation);
    if ((i + 1) % REPORT === 0) console.log(summary(trials));
  }
  console.log(summary(trials));
  process.exitCode = trials.violations === 0 ? 0 : 1;
} finally {
  fs.rmSync(top, { recursive: true });
}
