/**
 * Random operations on a disk that fails now and then, with deaths and power cuts: whatever has failed, what is served is right.
 *
 *   SEED=123 npx mocha test/core/fault-hunt.test.ts    one history; VERBOSE=1 tells everything it does
 *   npm run hunt -- --faults                           other seeds than these
 */
import assert from 'node:assert/strict';
import { FAULT_OPERATIONS, huntFaults } from '../sim/fault-hunt.ts';

const SEEDS = 120;
const SEEDS_AT_ONCE = 20;

/** What the histories together must have done at least this often, or they would prove little. */
const INJECTED_MIN = 250;
const EXPECTED: Record<string, number> = {
  'write: done': 1500,
  'write: IoError': 60,
  'write: OutOfSpace': 30,
  'flush: done': 300,
  'discard: done': 150,
  'snapshot: done': 200,
  'clone: done': 150,
  'start: done': 40,
  'sync: done': 600,
  'sync: IoError': 20,
  'sync: OutOfSpace': 20,
  'deleteMapping: done': 12,
  'delete: done': 80,
  death: 30,
  power: 30,
  deathThenPower: 20,
  close: 8,
};

describe('On a disk that fails now and then every volume shows what it may show', () => {
  const only = process.env['SEED'];
  if (only !== undefined) {
    it(`seed ${only}`, () => void huntFaults(Number(only)));
    return;
  }

  const outcomes = new Map<string, number>();
  let injected = 0;

  for (let from = 1; from <= SEEDS; from += SEEDS_AT_ONCE)
    it(`in histories of ${FAULT_OPERATIONS} operations, seeds ${from} to ${from + SEEDS_AT_ONCE - 1}`, () => {
      for (let seed = from; seed < from + SEEDS_AT_ONCE; seed++) {
        const report = huntFaults(seed);
        injected += report.injected;
        for (const [outcome, n] of report.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + n);
      }
    });

  it('and the histories have done everything often, and met errors in it', () => {
    console.log(`      ${injected} I/Os failed`);
    assert.ok(injected >= INJECTED_MIN, `${injected} I/Os failed`);
    const rare = Object.entries(EXPECTED).filter(([outcome, least]) => (outcomes.get(outcome) ?? 0) < least);
    assert.deepEqual(
      rare.map(([outcome, least]) => `${outcome}: ${outcomes.get(outcome) ?? 0} of ${least}`),
      [],
    );
  });
});
