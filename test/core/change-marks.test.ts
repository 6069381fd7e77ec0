/** A region of the source is marked in the undo log before something in it changes, and the next sync finds the mark (C2). */
import assert from 'node:assert/strict';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 40;

describe('A change mark', () => {
  it('outlives a checkpoint that cuts its record off before the write that it is for has gone on', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      const { core, runner } = world;
      pool.volume('v', 4, 1);
      const copy = { name: 'c', sizeBytes: 0, copyRate: 100, incremental: true };
      world.run('clone', core.cloneVolume('v', copy));
      runner.runUntil(() => core['state'].findMapping('c').row.state === 'copied');
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
      world.losePower();
      world.open();
      world.run('sync', world.core.syncMapping('c'));
      assert.equal(pool.read('c', 0), 2, `seed ${seed}`);
    }
  });
});
