/** Flushes of one volume beside each other. */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const SEEDS = 200;

describe('A flush beside one that fails', () => {
  it('promises nothing that the other has lost: of both the disk may tell one only', () => {
    let toldOnes = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 4, 1);
      pool.write('v', 0, 2);
      const path = fileOf(pool.found('v'));
      disk.faults = [{ kinds: ['flush'], path, errno: EIO, times: seed % 4 === 0 ? 0 : 1, skip: seed % 2 }];
      let told = 0;
      for (let flush = 0; flush < 2; flush++)
        runner.call('flush', core.flush(pool.found('v')), (error) => {
          if (error === null) told++;
        });
      runner.runUntilAnswered();
      pool.cutPower();
      if (told === 0 || pool.found('v').offline !== '') continue;
      assert.equal(pool.read('v', 0), 2, `seed ${seed}`);
      toldOnes++;
    }
    assert.ok(toldOnes > 0);
  });
});
