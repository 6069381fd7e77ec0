/** All of these histories, by name. */
import { BITMAP_HISTORIES } from './bitmap-histories.ts';
import { CHECKPOINT_HISTORIES } from './checkpoint-histories.ts';
import { CUT_HISTORIES } from './cut-histories.ts';
import { END_HISTORIES } from './end-histories.ts';
import { FAULT_HISTORIES } from './fault-histories.ts';
import type { PoolHistory } from './pool-history.ts';
import { START_HISTORIES } from './start-histories.ts';

export const POOL_HISTORIES: readonly PoolHistory[] = [
  ...FAULT_HISTORIES,
  ...CUT_HISTORIES,
  ...CHECKPOINT_HISTORIES,
  ...BITMAP_HISTORIES,
  ...START_HISTORIES,
  ...END_HISTORIES,
];

export function poolHistoryNamed(name: string): PoolHistory {
  const found = POOL_HISTORIES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no history of a pool ${JSON.stringify(name)}`);
  return found;
}
