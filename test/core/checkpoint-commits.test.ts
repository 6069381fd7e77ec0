/** A checkpoint beside a commit that changes rows of bitmaps and fails for want of space. What the log had is kept until it is at its place. */
import { CHECKPOINT_HISTORIES } from '../sim/checkpoint-histories.ts';

const SEEDS = 20;

describe('A commit that fails', function () {
  this.timeout(60_000);
  it('beside a checkpoint loses nothing', () => {
    for (const { play } of CHECKPOINT_HISTORIES) for (let seed = 1; seed <= SEEDS; seed++) play(seed);
  });
});
