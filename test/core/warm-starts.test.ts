/** Starts on the shared words of an engine that died: what counts as durable of what it had in memory. */
import assert from 'node:assert/strict';
import { ENOSPC } from '../../src/base/errors.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 30;

describe('An engine that goes on from the shared words of one that died', () => {
  it('and cannot write a bitmap has a flush say nothing of what is in the undo log only', () => {
    let tried = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 8, 1);
      pool.clone('c', 'v');
      pool.emptyLog();
      pool.write('c', 5, 4);
      pool.write('v', 3, 2);
      pool.flush('v');
      world.processDeath();
      world.disk.faults = [
        { kinds: ['create', 'write'], path: /^bitmaps/, errno: ENOSPC, times: Number.POSITIVE_INFINITY },
      ];
      world.open();
      if (!pool.found('c').holdsDurably(5, 1)) tried++;
      pool.flush('c');
      world.disk.faults = [];
      pool.cutPower();
      assert.deepEqual([pool.read('c', 3), pool.read('c', 5)], [1, 4], `seed ${seed}`);
    }
    assert.equal(tried, SEEDS);
  });
});
