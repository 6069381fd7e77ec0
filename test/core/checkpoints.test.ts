/** A checkpoint beside files that cannot be written, and beside flushes, syncs and writes under way; what its files tell others. */
import assert from 'node:assert/strict';
import { EIO, ENOSPC } from '../../src/base/errors.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 20;
const HOT = 40;
/** Grains of volumes, one of which keeps a checkpoint busy before it comes to the other. */
const BUSY = 32;

describe('A checkpoint', () => {
  it('that could not write one bitmap writes the others again before it cuts the log', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      for (const name of ['v', 'w']) {
        pool.volume(name, 4, 1);
        pool.clone(`${name}-c`, name, 4);
        pool.write(`${name}-c`, 0, 2);
        pool.flush(`${name}-c`);
      }
      pool.world.disk.faults = [{ kinds: ['write'], path: /^bitmaps/, errno: EIO, times: 1, skip: 1 }];
      pool.world.checkpoint();
      pool.world.runner.runUntil(() => pool.world.logIsEmpty);
      pool.awaitCheckpoint();
      pool.cutPower();
      for (const name of ['v-c', 'w-c']) assert.equal(pool.read(name, 0), 2, `${name}, seed ${seed}`);
    }
  });

  it('that ends while a flush is under way leaves it what is to be flushed', () => {
    let tried = 0;
    for (let seed = 1; seed <= HOT; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      for (const name of ['v', 'w']) {
        pool.volume(name, BUSY, 1);
        pool.clone(`${name}-c`, name, BUSY);
      }
      for (let grain = 0; grain < BUSY; grain += 2) pool.write('w', grain, 3);
      const { path } = pool.found('v-c').file;
      disk.slowFlushes.add(path);
      pool.world.checkpoint();
      // The log has an older copy of the grain, in a record that this checkpoint does not cut off.
      pool.write('v', 0, 4);
      pool.write('v-c', 0, 5);
      const isFlushing = () => disk.isUnderWay('flush', path);
      if (isFlushing()) continue;
      runner.runUntil(() => isFlushing() || !core['checkpointing']);
      // Between the end of the checkpoint's flush and that of this one the checkpoint ends.
      runner.runFor(60);
      if (isFlushing()) tried++;
      pool.flush('v-c');
      pool.cutPower();
      assert.equal(pool.read('v-c', 0), 5, `seed ${seed}`);
    }
    assert.ok(tried > HOT / 3, `${tried} of ${HOT}`);
  });

  it('that has to break a copy does not wait for a sync that waits for it', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 4, 1);
      pool.clone('c', 'v', 4);
      pool.snapshot('s', 'c');
      pool.write('c', 0, 2);
      const { file } = pool.found('s').row;
      world.disk.faults = [
        {
          kinds: ['write'],
          path: new RegExp(`/${file}.data`),
          errno: ENOSPC,
          times: Number.POSITIVE_INFINITY,
        },
      ];
      world.checkpoint();
      world.run('sync', world.core.syncMapping('c'));
      pool.awaitCheckpoint();
      assert.equal(pool.read('c', 0), 1, `seed ${seed}`);
    }
  });

  it('that could not write what one volume has recorded writes what the others have before it cuts the log', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      for (const name of ['v', 'w']) pool.volume(name, 4, 1);
      pool.clone('c', 'v');
      pool.copyAll('c');
      pool.emptyLog();
      pool.snapshot('s', 'w');
      for (const name of ['v', 'w']) {
        pool.write(name, 0, 2);
        pool.flush(name);
      }
      const { id } = pool.found('w').open!.bitmap;
      const path = new RegExp(`^bitmaps/${id}\\.`);
      world.disk.faults = [{ kinds: ['create', 'write'], path, errno: ENOSPC, times: 1 }];
      pool.emptyLog();
      assert.equal(world.disk.injected.length, 1);
      pool.cutPower();
      world.run('sync', world.core.syncMapping('c'));
      assert.equal(pool.read('c', 0), 2, `seed ${seed}`);
    }
  });

  it('that cuts the record of a change mark off before the write that it is for has gone on keeps the mark', () => {
    for (let seed = 1; seed <= HOT; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      const { core, runner } = world;
      pool.volume('v', 4, 1);
      pool.clone('c', 'v');
      pool.copyAll('c');
      const { log } = core['state'];
      const { commits } = log;
      let isWritten = false;
      runner.call('write', pool.writing('v', 0, 2), () => {
        isWritten = true;
      });
      runner.runUntil(() => log.commits > commits);
      // Which of the two goes on first the seed decides.
      world.checkpoint();
      runner.runUntil(() => isWritten && world.logIsEmpty);
      pool.flush('v');
      pool.cutPower();
      world.run('sync', world.core.syncMapping('c'));
      assert.equal(pool.read('c', 0), 2, `seed ${seed}`);
    }
  });
});

describe('What a volume has recorded of its changes', () => {
  it('is kept where that of the time before could not be read at one start of the engine', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      for (const name of ['v', 'w']) pool.volume(name, 8, 1);
      pool.clone('c', 'v');
      pool.copyAll('c');
      pool.write('v', 0, 2);
      pool.snapshot('s', 'v');
      pool.write('v', 1, 3);
      pool.flush('v');
      pool.emptyLog();
      pool.snapshot('s2', 'v');
      pool.emptyLog();
      // Nobody asks what changed between the two snapshots any more: their times can become one.
      world.run('delete', world.core.deleteSnapshot('s'));
      const { volumes } = world.core['state'];
      world.runner.runUntil(() => [...volumes.values()].every(({ row }) => !row.retired));
      // For the next engine's checkpoint.
      pool.snapshot('ws', 'w');
      pool.write('w', 5, 4);
      const { epochs } = pool.found('v');
      assert.equal(epochs.length, 3);
      const path = new RegExp(`^bitmaps/${epochs[0]!.bitmap.id}\\.`);
      world.disk.faults = [{ kinds: ['read'], path, errno: EIO, times: 1 }];
      pool.cutPower();
      world.runner.runFor(5000);
      assert.notEqual(pool.found('v').offline, '');
      world.close(false);
      world.open();
      assert.equal(pool.found('v').offline, '');
      world.run('sync', world.core.syncMapping('c'));
      assert.deepEqual([pool.read('c', 0), pool.read('c', 1)], [2, 3], `seed ${seed}`);
    }
  });

  it('names whole regions in its file, and a scrub does not take that for damage', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 4, 1);
      pool.snapshot('s', 'v');
      pool.write('v', 0, 2);
      pool.emptyLog();
      world.run('scrub', world.core.startScrub(2 ** 30, []));
      const state = world.core['state'];
      world.runner.runUntil(() => state.scrub?.state === 'done');
      assert.deepEqual(state.scrub?.findings, [], `seed ${seed}`);
    }
  });
});
