/** Writes of a host to a copy of which the undo log alone has something. */
import assert from 'node:assert/strict';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 20;

describe('A write to a copy that is to fail rather than break its own copies', () => {
  it('leaves what came to the copy before, and is in the undo log only', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 8, 1);
      const copy = { name: 'c', sizeBytes: 0, copyRate: 0, cowFailure: 'failWrite' } as const;
      world.run('clone', world.core.cloneVolume('v', copy));
      pool.write('v', 0, 2);
      assert.equal(pool.read('c', 0), 1);
      assert.equal(world.logIsEmpty, false);
      // The first one since the cut: its region is marked as changed.
      pool.write('c', 5, 9);
      assert.equal(pool.read('c', 0), 1, `seed ${seed}`);
      pool.emptyLog();
      assert.equal(pool.read('c', 0), 1, `seed ${seed}, when the log is empty`);
    }
  });
});
