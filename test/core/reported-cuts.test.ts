/**
 * A cut is told to be there when all that it shows is durable: also one of a copy whose own sync is not told yet, one that is
 * asked for again meanwhile, and one that a newer one came after.
 */
import { CUT_HISTORIES } from '../sim/cut-histories.ts';

const SEEDS = 40;

describe('A cut is not told to be there before all that it shows is durable:', () => {
  for (const { name, play } of CUT_HISTORIES)
    it(name, () => {
      for (let seed = 1; seed <= SEEDS; seed++) play(seed);
    });
});
