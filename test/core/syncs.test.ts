/** Syncs beside writes, and those that fail. */
import assert from 'node:assert/strict';
import { ENOSPC } from '../../src/base/errors.ts';
import { fill, givenBehindGate, large, MIB, PIECE, writePiece } from '../sim/large-volumes.ts';
import { SmallPool } from '../sim/small-pool.ts';

describe('A sync that fails', function () {
  this.timeout(60_000);

  it('for want of space, leaves no change bits that keep what its target writes next from being marked', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const pool = new SmallPool(seed);
      const { core, runner, disk } = pool.world;
      pool.volume('v', 8, 1);
      pool.clone('t', 'v');
      pool.copyAll('t');
      pool.clone('u', 't');
      pool.copyAll('u');
      pool.emptyLog();
      pool.write('v', 0, 2);
      const t = pool.found('t');
      const { log } = core['state'];
      const began = t.row.epoch;
      let failure: Error | null = null;
      runner.call('sync', core.syncMapping('t'), (error) => {
        failure = error as Error;
      });
      runner.runUntil(() => t.row.epoch > began);
      let hasWritten = false;
      runner.call('late', pool.writing('v', 5, 3), () => {
        hasWritten = true;
      });
      runner.runUntil(() => hasWritten);
      // Neither the log nor a bitmap's file has room to say that this will change in `t`.
      log['lacks'] = () => true;
      runner.runUntil(() => t.gate['closed'] > 0);
      disk.faults = [{ kinds: ['create'], path: /^bitmaps/, errno: ENOSPC, times: Number.POSITIVE_INFINITY }];
      runner.runUntilAnswered();
      assert.match(String(failure), /ENOSPC/, `seed ${seed}`);
      Reflect.deleteProperty(log, 'lacks');
      pool.write('t', 5, 9);
      pool.flush('t');
      pool.world.losePower();
      disk.faults = [];
      pool.world.open();
      assert.equal(pool.read('t', 5), 9, `seed ${seed}`);
      pool.world.run('sync', pool.world.core.syncMapping('u'));
      pool.copyAll('u');
      assert.equal(pool.read('u', 5), 9, `seed ${seed}`);
    }
  });
});

describe('Hosts beside a sync', () => {
  const FIRST = 20;
  const ALL = 48;

  /** What reads through the copy, and who writes meanwhile. */
  for (const [reader, written] of [
    ['an older snapshot', 'its source'],
    ['a snapshot of the copy', 'its source'],
    ['an older snapshot', 'a newer copy'],
  ] as const)
    it(`do not wait until ${reader} has all that they have written meanwhile in ${written}, in one run`, () => {
      const pool = large(5, 'v', ALL);
      const { core, runner } = pool.world;
      if (reader === 'an older snapshot') pool.snapshot('s', 'v');
      pool.clone('t', 'v');
      pool.copyAll('t');
      if (reader === 'a snapshot of the copy') pool.snapshot('s', 't');
      fill(pool, 'v', 2, FIRST);
      pool.emptyLog();
      if (written === 'a newer copy') pool.clone('n', 'v');
      const given = givenBehindGate(pool);
      runner.call('sync', core.syncMapping('t'), () => {});
      const s = pool.found('s');
      runner.runUntil(() => s.held!.count > 0);
      for (let at = FIRST * MIB; at < ALL * MIB; at += PIECE)
        runner.call('write', writePiece(pool, written === 'a newer copy' ? 'n' : 'v', at, 2), () => {});
      runner.runUntilAnswered();
      assert.ok(given() <= 16 * MIB, `${given()} grains were given behind a closed gate`);
      assert.deepEqual([pool.read('s', 0), pool.read('s', ALL * MIB - 1)], [1, 1]);
      assert.deepEqual(
        [pool.read('t', 0), pool.read('t', ALL * MIB - 1)],
        [2, written === 'a newer copy' ? 1 : 2],
      );
    });
});
