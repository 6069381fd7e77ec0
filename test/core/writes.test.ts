/** Writes of a host to a copy of which the undo log alone has something, and to the source of one that has something in memory only. */
import assert from 'node:assert/strict';
import { BLOCK } from '../sim/sim-file.ts';
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

describe('Writes to the source of a copy that has much in memory only', () => {
  /** Runs of grains that wait for a flush of the copy; writers that each hit one of them, and beside it what the log alone has. */
  const WAITING = 5000;
  const WRITERS = 48;

  it('are answered: they bring into the undo log no more than there is room for', () => {
    for (let seed = 1; seed <= 3; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      const { core, runner } = world;
      const sizeBytes = 2 * (WRITERS + WAITING) * BLOCK;
      world.run('create', core.createVolume({ name: 'v', sizeBytes, grainBytes: BLOCK }));
      for (let grain = 0; grain < 2 * WRITERS; grain++) pool.write('v', grain, 1);
      pool.flush('v');
      pool.clone('c', 'v');
      for (let i = 0; i < WRITERS + WAITING; i++) pool.write('c', 2 * i + 1, 2);
      for (let i = 0; i < WRITERS; i++) pool.write('v', 2 * i, 3);
      const block = { bytes: new Uint8Array(2 * BLOCK).fill(4), address: 0 };
      for (let i = 0; i < WRITERS; i++) {
        const writing = core.write(pool.found('v'), 2 * i * BLOCK, 2 * BLOCK, block, 0);
        runner.call('write', writing, (error) => assert.equal(error, null));
      }
      runner.runUntilAnswered();
      pool.flush('v');
      pool.cutPower();
      for (let grain = 0; grain < 2 * WRITERS; grain++)
        assert.equal(pool.read('c', grain), grain % 2 === 0 ? 1 : 2, `grain ${grain}, seed ${seed}`);
    }
  });
});
