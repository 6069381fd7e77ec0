/**
 * Power cuts on the simulated machine: whatever a cut leaves, recovery shows what the host was told (explore.ts).
 * `npm run test:powerloss` looks at many more states, and shows one again that failed.
 */
import assert from 'node:assert/strict';
import { SCENARIOS } from '../sim/scenarios.ts';
import { explore } from './explore.ts';
import { exploreMany, type Tally } from './many.ts';

const STATES = 60_000;
/** Of each kind at least this many different ones. */
const KIND_MIN = 1000;
/**
 * Seeds and lengths of histories that have found something:
 *   287   epochs of a content that was exchanged, left by a power cut in a checkpoint, took the bits of one that was asked for
 *   51    a target took a grain of its source before that was flushed; the engine died, and its bits were made durable
 *   122   a record of the log that no bit spoke of when the engine died counted as filled, though a later one had the grain
 */
const FOUND = [
  [287, 60],
  [51, 60],
  [122, 60],
] as const;

describe('After a power cut every volume and snapshot shows what the host was told', function () {
  this.timeout(600_000);
  let tally: Tally;

  it(`in ${STATES} different states, also when the power is cut again during recovery`, async () => {
    tally = await exploreMany({ states: STATES, from: 1, threads: 2 });
    console.log(tally.table().replaceAll(/^/gm, '      '));
    assert.deepEqual(tally.violations, []);
  });

  it('in histories that once found something', () => {
    for (const [seed, operations] of FOUND) explore({ seed, operations });
  });

  it('in histories that are written out', () => {
    for (const { by, name } of SCENARIOS) if (by === 'power') explore({ seed: 1, scenario: name });
  });

  it('and the states are of every kind', () => {
    const rare = [...tally.kinds].filter(([, n]) => n < KIND_MIN);
    assert.deepEqual(rare, []);
    assert.deepEqual(
      tally.depths.filter((n) => n < KIND_MIN),
      [],
    );
  });
});
