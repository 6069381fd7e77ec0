/**
 * All mutants, and in which order trials are made of one.
 *
 * What caught a mutant last is kept in caught.json, and tried first, so that a run takes a moment for each. It is a hint: the
 * core changes, and with it what happens in a history. Then the others are tried.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { POOL_HISTORIES } from '../sim/pool-histories.ts';
import { SCENARIOS } from '../sim/scenarios.ts';
import { MUTANTS, type Mutant } from './mutants.ts';
import { siteMutants } from './sites.ts';
import type { Caught, Trial } from './trial.ts';

export const hintsFile = path.join(import.meta.dirname, 'caught.json');

/** Of each kind. */
const SEEDS = 70;
const SCENARIO_SEEDS = 8;
const POOL_SEEDS = 40;

/** Without those to histories that have another name by now. */
export function hints(): Record<string, Caught> {
  const names = new Set([...SCENARIOS, ...POOL_HISTORIES].map(({ name }) => name));
  const all: [string, Caught][] = Object.entries(JSON.parse(readFileSync(hintsFile, 'utf8')));
  return Object.fromEntries(all.filter(([, { scenario }]) => scenario === undefined || names.has(scenario)));
}

export const allMutants = (): Mutant[] => [...MUTANTS, ...siteMutants()];

export const trialOf = ({ by, seed, scenario }: Trial): Trial => ({
  by,
  seed,
  ...(scenario !== undefined && { scenario }),
});

/**
 * Seed by seed: histories that are written out, those that check their pool themselves, and those by chance, short ones of the power-loss simulator and
 * long ones of the model check.
 */
export function allTrials(): Trial[] {
  const trials: Trial[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    if (seed <= SCENARIO_SEEDS)
      for (const { by, name } of SCENARIOS) trials.push({ by, seed, scenario: name });
    if (seed <= POOL_SEEDS)
      for (const { name } of POOL_HISTORIES) trials.push({ by: 'pool', seed, scenario: name });
    trials.push({ by: 'power', seed }, { by: 'model', seed: 1000 + seed });
  }
  return trials;
}

/** Does `work` for each, so many at a time. */
export async function inLanes<T>(
  lanes: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const lane = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, () => lane()));
}
