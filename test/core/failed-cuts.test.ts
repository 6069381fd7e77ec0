/** A cut whose commit fails leaves everything as it was. */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import { SmallPool } from '../sim/small-pool.ts';

/** Asserts that `act` fails with its commit, and that no page of bits is in use which was not before. */
function failsWithoutTrace(pool: SmallPool, act: () => void): void {
  const { disk, core } = pool.world;
  const { arena } = core['state'];
  const { taken } = arena;
  disk.faults = [{ kinds: ['commit'], path: /^$/, errno: EIO, times: 1 }];
  assert.throws(act, /EIO/);
  assert.equal(arena.taken, taken);
}

describe('A cut whose commit fails takes no memory', () => {
  it('for what a larger clone holds behind the end of its source', () => {
    const pool = new SmallPool(1);
    pool.volume('v', 4, 1);
    failsWithoutTrace(pool, () => pool.clone('c', 'v', 8));
    pool.clone('c', 'v', 8);
    for (const [grain, byte] of [1, 1, 1, 1, 0, 0, 0, 0].entries())
      assert.equal(pool.read('c', grain), byte, `grain ${grain}`);
  });

  it('for what has changed in a target that is started and has copies', () => {
    const pool = new SmallPool(2);
    pool.volume('v', 4, 1);
    pool.volume('t', 4, 2);
    pool.clone('copy', 't');
    pool.map('m', 'v', 't');
    const start = () => pool.world.run('start', pool.world.core.startMappings(['m']));
    failsWithoutTrace(pool, start);
    start();
    pool.world.run('sync', pool.world.core.syncMapping('copy', ''));
    for (const name of ['t', 'copy']) assert.equal(pool.read(name, 3), 1, name);
  });
});
