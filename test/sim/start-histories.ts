/** Histories of a mapping that is started while something else changes its target. */
import assert from 'node:assert/strict';
import { type PoolHistory, poolHistory } from './pool-history.ts';
import { BLOCK } from './sim-file.ts';
import { SmallPool } from './small-pool.ts';

export const START_HISTORIES: readonly PoolHistory[] = [
  poolHistory(
    'a target that grows while it is started has a file of its size when the power goes',
    (seed) => {
      const pool = new SmallPool(seed);
      const { core, runner } = pool.world;
      pool.volume('v', 4, 1);
      pool.volume('c', 4, 5);
      pool.map('m', 'v', 'c');
      runner.call('grow', core.growVolume('c', 8 * BLOCK), () => {});
      for (let step = seed % 12; step > 0; step--) runner.advance();
      runner.call('start', core.startMappings(['m']), () => {});
      runner.runUntilAnswered();
      pool.cutPower();
      assert.equal(pool.found('c').offline, '');
    },
  ),
];
