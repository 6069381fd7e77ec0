/** Deleting beside what is still under way, and beside errors of the disk. */
import assert from 'node:assert/strict';
import { EIO, ENOSPC } from '../../src/base/errors.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const GRAINS = 16;
/** Commits of a deletion and what follows it, each of which fails in turn. */
const COMMITS = 4;
const SEEDS = 10;

describe('A snapshot that is deleted', () => {
  it('gives its space back, whichever commit of that has no space', () => {
    for (let skip = 0; skip < COMMITS; skip++) {
      const pool = new SmallPool(3);
      const { world } = pool;
      pool.volume('v', GRAINS, 1);
      pool.snapshot('s', 'v');
      for (let grain = 0; grain < GRAINS / 2; grain++) pool.write('v', grain, 2);
      world.checkpoint();
      pool.awaitEmptyLog();
      const { path } = pool.found('s').file;
      assert.ok(world.disk.files.has(path));
      world.disk.faults.push({ kinds: ['commit'], path: /^$/, errno: ENOSPC, times: 1, skip });
      world.runner.call('delete', world.core.deleteSnapshot('s'), () => {});
      world.runner.runFor(60_000);
      if (world.core.volumeByName('s') === undefined)
        assert.ok(!world.disk.files.has(path), `commit ${skip}`);
      else assert.equal(skip, 0, 'the deletion itself was refused');
    }
  });

  it('while its source is still flushed for its cut leaves its name to the next one', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', GRAINS, 1);
      pool.write('v', 0, 2);
      world.disk.slowFlushes.add(pool.found('v').file.path);
      let error: unknown = null;
      const cut = world.core.createSnapshots([{ name: 's', source: 'v', copyRate: 0 }]);
      world.runner.call('cut', cut, (failure) => {
        error = failure;
      });
      world.runner.runUntil(() => world.core['state'].counters.cuts === 1);
      world.run('delete', world.core.deleteSnapshot('s'));
      pool.volume('s', 1, 3);
      world.runner.runUntilAnswered();
      if (error !== null) assert.match((error as Error).message, /deleted|not found|no /);
      assert.equal(pool.read('s', 0), 3, `seed ${seed}`);
    }
  });
});

describe('A deleted volume', () => {
  it('is reclaimed though one that was deleted before cannot be, and that one too when it can', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, runner, disk } = pool.world;
      for (const name of ['bad', 'well']) {
        pool.volume(name, 4, 1);
        pool.snapshot(`${name}-s`, name);
      }
      const [bad, well] = [pool.found('bad'), pool.found('well')];
      // Its snapshot needs this grain.
      const path = fileOf(bad);
      disk.faults.push({ kinds: ['read'], path, offset: BLOCK, errno: EIO, times: Number.POSITIVE_INFINITY });
      for (const name of ['bad', 'well']) pool.world.run('delete', core.deleteVolume(name));
      const isThere = ({ id }: { id: number }) => core['state'].volumes.has(id);
      runner.runFor(60_000);
      assert.deepEqual([isThere(bad), isThere(well)], [true, false], `seed ${seed}`);
      disk.faults = [];
      runner.runFor(60_000);
      assert.equal(isThere(bad), false);
      for (const name of ['bad-s', 'well-s'])
        for (let grain = 0; grain < 4; grain++) assert.equal(pool.read(name, grain), 1, name);
    }
  });
});
