/** Several requests for the same names at a time. */
import assert from 'node:assert/strict';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 96;

describe('A group of snapshots', () => {
  it('is not told to be there while another request still makes one of them', () => {
    let told = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      const { core, runner } = world;
      pool.volume('v', 4, 1);
      pool.volume('w', 4, 1);
      const a = { name: 'a', source: 'v' };
      const b = { name: 'b', source: 'w' };
      runner.call('b', core.createSnapshots([b]), () => {});
      runner.runUntil(() => core['state'].names.has('b'));
      // It waits for b, and then a is asked for as well.
      let isTold: boolean | null = null;
      runner.call('group', core.createSnapshots([a, b]), (error) => {
        isTold = error === null;
      });
      for (let step = seed % 3; step > 0; step--) runner.advance();
      runner.call('a', core.createSnapshots([a]), () => {});
      runner.runUntil(() => isTold !== null);
      if (isTold !== true) continue;
      told++;
      pool.cutPower();
      for (const name of ['a', 'b']) assert.ok(world.core.volumeByName(name), `${name}, seed ${seed}`);
    }
    assert.ok(told > SEEDS / 4, `told in ${told} of ${SEEDS}`);
  });
});
