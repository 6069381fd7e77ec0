/** Histories of mappings that end before their time. */
import assert from 'node:assert/strict';
import { type PoolHistory, poolHistory } from './pool-history.ts';
import { SmallPool } from './small-pool.ts';

const GRAINS = 8;

export const END_HISTORIES: readonly PoolHistory[] = [
  poolHistory('a half-copied target that is given up is empty, also when the power goes', (seed) => {
    const pool = new SmallPool(seed);
    const { world } = pool;
    pool.volume('v', GRAINS, 1);
    pool.volume('c', GRAINS, 5);
    pool.map('m', 'v', 'c');
    world.run('start', world.core.startMappings(['m']));
    for (let grain = 0; grain < GRAINS; grain += 2) pool.write('c', grain, 6);
    pool.flush('c');
    world.run('delete', world.core.deleteMapping('m', true));
    pool.cutPower();
    for (let grain = 0; grain < GRAINS; grain++) assert.equal(pool.read('c', grain), 0);
  }),
];
