/** Starts on the shared words of an engine that died: what counts as durable of what it had in memory. */
import assert from 'node:assert/strict';
import { EIO, ENOSPC } from '../../src/base/errors.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

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

  it('and cannot write a bitmap tells no cut to be there before the power takes nothing of what it shows', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 4, 1);
      pool.clone('c', 'v');
      pool.emptyLog();
      pool.write('c', 0, 7);
      disk.slowFlushes.add(pool.found('c').file.path);
      const snapshots = [{ name: 's', source: 'c', copyRate: 0 }];
      runner.call('snapshot', core.createSnapshots(snapshots), () => assert.fail('the cut is told'));
      runner.runUntil(() => pool.found('c').children.length > 0);
      pool.world.processDeath();
      disk.slowFlushes.clear();
      disk.faults = [{ kinds: ['create'], path: /^bitmaps/, errno: ENOSPC, times: Number.POSITIVE_INFINITY }];
      pool.world.open();
      pool.snapshot('s', 'c');
      disk.faults = [];
      pool.cutPower();
      assert.equal(pool.read('s', 0), 7, `seed ${seed}`);
    }
  });

  it('and cannot flush a copy takes those along that need what that had in memory only, and no others', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 1, 1);
      pool.snapshot('old', 'v');
      pool.write('v', 0, 2);
      for (const name of ['reader', 'c']) pool.clone(name, 'v');
      pool.flush('v');
      // That one needs it too: the power may take what it has.
      if (seed % 2 === 0) pool.write('reader', 0, 3);
      pool.world.run('rate', core.setCopyRate('c', 150));
      const c = pool.found('c');
      runner.runUntil(() => c.held!.get(0));
      assert.ok(!c.holdsDurably(0, 1));
      disk.faults.push({ kinds: ['flush'], path: fileOf(c), errno: EIO, times: 1 });
      pool.world.processDeath();
      pool.world.open();
      assert.match(pool.found('c').offline, /flush of its data failed/);
      pool.write('v', 0, 4);
      pool.flush('v');
      pool.cutPower();
      assert.match(pool.found('reader').offline, /needs grains of c/, `seed ${seed}`);
      assert.equal(pool.read('old', 0), 1, `seed ${seed}`);
    }
  });

  /** A pool whose engine died with a write that is acknowledged and not flushed; another one, without its words, has begun. */
  function beside(seed: number, other: (pool: SmallPool) => void): SmallPool {
    const pool = new SmallPool(seed);
    const { world } = pool;
    pool.volume('v', 4, 1);
    pool.snapshot('s', 'v');
    pool.write('v', 0, 2);
    const left = world['words'].slice();
    world.loseWords();
    other(pool);
    world.processDeath();
    world['words'].set(left);
    world['wordsSurvived'] = true;
    return pool;
  }
  const STALE = /shared memory .* is not the one that the catalog names/;

  it('is refused when another engine served the pool without them', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = beside(seed, ({ world }) => world.open());
      assert.throws(() => pool.world.open(), STALE, `seed ${seed}`);
    }
  });

  it('goes on while another one that died on its way had committed nothing', () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 3; seed++)
      for (let steps = 0; steps < 32; steps += 2) {
        const pool = beside(seed, ({ world }) => {
          world.beginOpen(() => {});
          world.runner.runFor(steps);
        });
        const engine = pool.world.disk.rows().find(({ table }) => table === 'engine')?.row;
        const isChanged = (engine as { memoryId: number }).memoryId !== 1;
        outcomes.add(`changed: ${isChanged}`);
        if (isChanged) assert.throws(() => pool.world.open(), STALE);
        else {
          pool.world.open();
          assert.deepEqual([pool.read('v', 0), pool.read('s', 0)], [2, 1], `seed ${seed}, steps ${steps}`);
        }
      }
    assert.equal(outcomes.size, 2);
  });
});
