/**
 * Whatever part of what describes the data is damaged: nobody is shown wrong content, who is not served is told which
 * file is to blame, and an offline check finds it. (trial.ts has the claims; `npm run test:damage` goes on for as long as
 * you like.)
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { summary, Trials } from './trials.ts';

const BUDGET_MS = 20_000;
const SEED = 1;
const TRIALS_MIN = 50;
const TRIALS_MAX = 3000;

describe('A damaged pool', () => {
  let top: string;
  before(() => {
    top = fs.mkdtempSync(path.join('/dev/shm', 'flashcopy-damage-'));
  });
  after(() => fs.rmSync(top, { recursive: true }));

  it('shows no wrong content, suspends whom it concerns, and is found out by the check', function () {
    this.timeout(10 * BUDGET_MS);
    const trials = new Trials(top, SEED);
    const failed: string[] = [];
    const until = Date.now() + BUDGET_MS;
    while (trials.count < TRIALS_MIN || (Date.now() < until && trials.count < TRIALS_MAX)) {
      const violation = trials.next();
      if (violation !== null) failed.push(violation);
    }
    trials.end();
    console.log(`      ${summary(trials)}`);
    assert.deepEqual(failed, []);
    for (const [outcome, n] of Object.entries(trials.outcomes)) assert.ok(n > 0, `some were ${outcome}`);
  });
});
