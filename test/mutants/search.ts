/**
 * Looks for what notices each mutant, and keeps it in caught.json:
 *
 *   npm run mutants                      those that are not caught by what caught them last
 *   npm run mutants -- --all             all, from the beginning
 *   npm run mutants -- --only REGEXP     some
 *
 * Exits 1 if one is not caught and nobody has said why that is right (unnoticed.ts).
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Mutant } from './mutants.ts';
import { allMutants, allTrials, hints, hintsFile, inLanes, trialOf } from './plan.ts';
import { type Caught, editsOf, firstComplaint } from './trial.ts';
import { UNNOTICED } from './unnoticed.ts';

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    threads: { type: 'string', default: '2' },
  },
});

const known = hints();
const wanted = new RegExp(values.only);
let uncaught = 0;

async function look(mutant: Mutant): Promise<void> {
  const { what } = mutant;
  const hint = values.all ? undefined : known[what];
  const first = hint === undefined ? [] : [trialOf(hint)];
  const caught = await firstComplaint(editsOf(mutant), [...first, ...allTrials()]);
  if (caught !== null) known[what] = caught;
  else {
    delete known[what];
    if (UNNOTICED[what] === undefined) uncaught++;
  }
  console.log(`${what}\n    ${caught === null ? 'NOT CAUGHT' : `${caught.by} ${caught.said}`}`);
  save();
}

function save(): void {
  const there = new Set(allMutants().map(({ what }) => what));
  const sorted: [string, Caught][] = Object.entries(known).filter(([what]) => there.has(what));
  sorted.sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(hintsFile, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
}

await inLanes(
  Number(values.threads),
  allMutants().filter(({ what }) => wanted.test(what) && !(what in UNNOTICED && values.only === '')),
  look,
);
if (uncaught > 0) process.exitCode = 1;
