/** A copy's file takes only a part of what it is given. */
import assert from 'node:assert/strict';
import { ENOSPC } from '../../src/base/errors.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const SEEDS = 12;
const GRAINS = 8;

describe('A copy whose file had no room for all that it was given', () => {
  it('is not damaged: a scrub finds nothing, and it can be copied when there is room', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', GRAINS, 1);
      pool.clone('c', 'v');
      const c = pool.found('c');
      disk.faults = [
        { kinds: ['write'], path: fileOf(c), errno: ENOSPC, times: Number.POSITIVE_INFINITY, half: true },
      ];
      pool.world.run('rate', core.setCopyRate('c', 150));
      runner.runUntil(() => core['state'].findMapping('c').row.error !== '');
      pool.world.run('rate', core.setCopyRate('c', 0));
      disk.faults = [];
      pool.world.run('scrub', core.startScrub(0, []));
      runner.runUntil(() => core['state'].scrub!.state === 'done');
      assert.deepEqual(core['state'].scrub!.findings, [], `seed ${seed}`);
      pool.copyAll('c');
      for (let grain = 0; grain < GRAINS; grain++) assert.equal(pool.read('c', grain), 1);
    }
  });
});
