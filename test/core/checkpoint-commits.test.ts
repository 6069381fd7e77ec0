/** A checkpoint beside a commit that changes rows of bitmaps and fails for want of space. What the log had is kept until it is at its place. */
import { CHECKPOINT_HISTORIES } from '../sim/checkpoint-histories.ts';

const SEEDS = 20;

describe('Nothing is lost beside a commit that fails:', () => {
  for (const { name, play } of CHECKPOINT_HISTORIES)
    it(name, () => {
      for (let seed = 1; seed <= SEEDS; seed++) play(seed);
    });
});
