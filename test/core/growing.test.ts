/** Growing a volume: on a disk that fails, and beside cuts of it. */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 32;

describe('A growth whose flush fails', () => {
  it('takes the volume offline: no later flush, and no other growth, is told to have worked (B3)', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 8, 1);
      pool.write('v', 2, 5);
      const path = new RegExp(pool.found('v').file.path);
      world.disk.faults.push({ kinds: ['flush'], path, errno: EIO, times: 1 });
      const grow = () => world.run('grow', world.core.growVolume('v', 16 * BLOCK));
      assert.throws(grow, /flush of volumes.* failed: EIO/);
      assert.throws(() => pool.flush('v'), /v is offline: a flush of its data failed/);
      assert.throws(grow, /v is not flushed any more/);
      assert.equal(pool.found('v').sizeBytes, 8 * BLOCK);
      world.runner.runFor(1000);
      pool.cutPower();
      assert.match(pool.found('v').offline, /a flush of its data failed/);
    }
  });
});
