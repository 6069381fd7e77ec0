/**
 * The power-loss simulator, for long:
 *
 *   npm run test:powerloss                                    1,000,000 states
 *   npm run test:powerloss -- --states 50000 --from 7000      fewer, from another seed on
 *   npm run test:powerloss -- --seed 12 --at "62 subset 2"    one state of one history, as a violation names it
 *   npm run test:powerloss -- --seed 12 --scenario "NAME"     a history that is written out (test/sim/scenarios.ts)
 *
 * Prints what was explored, and each violation with the command that shows it again. Exits 1 if there was one.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { explore } from './explore.ts';
import { exploreMany } from './many.ts';

const { values } = parseArgs({
  options: {
    states: { type: 'string', default: '1000000' },
    from: { type: 'string', default: '1' },
    threads: { type: 'string', default: String(Math.max(2, availableParallelism())) },
    operations: { type: 'string' },
    seed: { type: 'string' },
    scenario: { type: 'string' },
    at: { type: 'string' },
  },
});
const operations = values.operations === undefined ? {} : { operations: Number(values.operations) };

if (values.seed !== undefined) {
  const only = values.at === undefined ? {} : { only: values.at };
  const scenario = values.scenario === undefined ? {} : { scenario: values.scenario };
  const report = explore({ seed: Number(values.seed), ...operations, ...scenario, ...only });
  console.log(`seed ${values.seed}: ${report.compared} states compared, no violation`);
} else {
  const started = Date.now();
  let toldAt = started;
  let violations = 0;
  const tally = await exploreMany({
    states: Number(values.states),
    from: Number(values.from),
    threads: Number(values.threads),
    ...operations,
    onSeed: (so) => {
      for (; violations < so.violations.length; violations++) console.log(so.violations[violations]);
      if (Date.now() - toldAt < 30_000) return;
      toldAt = Date.now();
      console.log(`${so.states.toLocaleString('en')} states of ${so.seeds} histories`);
    },
  });
  console.log(tally.table());
  console.log(`in ${Math.round((Date.now() - started) / 1000)} s on ${values.threads} threads`);
  if (tally.violations.length > 0) process.exitCode = 1;
}
