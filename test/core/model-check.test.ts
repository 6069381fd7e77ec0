/**
 * The core against the naive model: random histories on a simulated machine that loses its process and its power.
 *
 *   SEED=123 npx mocha test/core/model-check.test.ts                    one history; OPERATIONS=3000 for another length,
 *   VERBOSE=1 SEED=123 npx mocha test/core/model-check.test.ts          telling everything it does
 *   SEED=3 SCENARIO="NAME" npx mocha test/core/model-check.test.ts      one that is written out (test/sim/scenarios.ts)
 *   npm run hunt                                                        other seeds than these
 */
import assert from 'node:assert/strict';
import { type HistoryReport, runHistory } from '../sim/history.ts';
import { SCENARIOS, scenarioNamed } from '../sim/scenarios.ts';
import { SHAPES } from '../sim/shape.ts';

const OPERATIONS = Number(process.env['OPERATIONS'] ?? 1000);
const SEEDS = 108;
const SEEDS_AT_ONCE = 12;
/**
 * Histories that have found something, the longest after:
 *   700102, 700788, 700908   a log record that a process died writing, taken for damage after a loss of power
 *   700808                   a stop that was cut off and repeated, taken for that of a complete target
 *   700029, 700256           whole regions counted as changed after an orderly end
 */
const FOUND = [700102, 700788, 700808, 700908, 700029, 700256];
const FOUND_OPERATIONS = 2500;

const SCENARIO_SEEDS = 4;

/** Worlds of few volumes, synced with each other again and again. */
const SMALL_WORLDS = ['CHAINED', 'MANY', 'RESTORE', 'COARSE', 'MANY_IN_ORDER', 'COARSE_IN_ORDER'];
const SMALL_SEEDS = 30;
const SMALL_OPERATIONS = 400;

const RANGES = 'changed ranges: compared';
/** In so many histories the changed ranges of two snapshots have to have been what makes the one of the other. */
const RANGES_HISTORIES = 100;

/** What the histories together must have done at least this often, or they would prove little. */
const EXPECTED: Record<string, number> = {
  'snapshots: done': 300,
  'clone: done': 200,
  'createMapping: done': 100,
  'start: done': 50,
  'sync: done': 100,
  'stop: done': 30,
  'deleteMapping: done': 30,
  'delete: done': 300,
  'grow: done': 80,
  'crash: death': 100,
  'crash: power': 100,
  'crash: close': 20,
};

describe('The core shows what the naive model shows', () => {
  const only = process.env['SEED'];
  if (only !== undefined) {
    const name = process.env['SCENARIO'];
    const scenario = name === undefined ? {} : { scenario: scenarioNamed(name) };
    it(`seed ${only}, ${name ?? `${OPERATIONS} operations`}`, () =>
      void runHistory({ seed: Number(only), operations: OPERATIONS, ...scenario }));
    return;
  }

  const outcomes = new Map<string, number>();
  let histories = 0;
  const run = (seed: number, operations = OPERATIONS): HistoryReport => {
    const report = runHistory({ seed, operations });
    if ((report.outcomes.get(RANGES) ?? 0) > 0) histories++;
    for (const [outcome, n] of report.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + n);
    return report;
  };

  for (let from = 1; from <= SEEDS; from += SEEDS_AT_ONCE) {
    const seeds = Array.from({ length: SEEDS_AT_ONCE }, (_, i) => from + i);
    it(`in histories of ${OPERATIONS} operations, seeds ${from} to ${seeds.at(-1)}`, () => {
      for (const seed of seeds) run(seed);
    });
  }

  for (const name of SMALL_WORLDS)
    it(`in histories of the shape ${name}`, () => {
      const [operations, shape] = [SMALL_OPERATIONS, SHAPES[name]!];
      for (let seed = 1; seed <= SMALL_SEEDS; seed++) {
        const replay = `npm run hunt -- --seeds 1 --from ${seed} --operations ${operations} --shape ${name}`;
        runHistory({ seed, operations, shape, replay });
      }
    });

  it('in histories that once found something', () => {
    for (const seed of FOUND) run(seed, FOUND_OPERATIONS);
  });

  it('in histories that are written out', () => {
    for (const scenario of SCENARIOS)
      for (let seed = 1; seed <= SCENARIO_SEEDS; seed++) runHistory({ seed, operations: 0, scenario });
  });

  it('and changed ranges made the newer snapshot of the older one in more than a hundred histories', () => {
    console.log(`      in ${histories} histories, ${outcomes.get(RANGES)} times`);
    assert.ok(histories >= RANGES_HISTORIES);
  });

  it('and the histories have done everything often', () => {
    const rare = Object.entries(EXPECTED).filter(([outcome, least]) => (outcomes.get(outcome) ?? 0) < least);
    assert.deepEqual(
      rare.map(([outcome, least]) => `${outcome}: ${outcomes.get(outcome) ?? 0} of ${least}`),
      [],
    );
  });
});
