/** Growing a volume: on a disk that fails, and beside cuts of it. */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import type { Plan } from '../../src/core/ops.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const SEEDS = 32;

describe('A growth whose flush fails', () => {
  it('takes the volume offline: no later flush, and no other growth, is told to have worked (B3)', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 8, 1);
      pool.write('v', 2, 5);
      const path = fileOf(pool.found('v'));
      world.disk.faults.push({ kinds: ['flush'], path, errno: EIO, times: 1 });
      const grow = () => world.run('grow', world.core.growVolume('v', 16 * BLOCK));
      assert.throws(grow, /flush of volumes.* failed: EIO/);
      assert.throws(() => pool.flush('v'), /v is offline: a flush of its data failed/);
      assert.throws(grow, /v is not flushed any more/);
      assert.equal(pool.found('v').sizeBytes, 8 * BLOCK);
      world.runner.runFor(1000);
      pool.cutPower();
      assert.match(pool.found('v').offline, /a flush of its data failed/);
    }
  });
});

/** A cut is asked for, and before it is made `v` grows, is written behind its old end, and snapshot `later` is made. */
function growBefore(pool: SmallPool, cut: Plan<unknown>): Error | null {
  const { core, runner } = pool.world;
  const early = { error: null as Error | null };
  runner.call('cut', cut, (error) => {
    early.error = error as Error | null;
  });
  runner.advance();
  runner.run('grow', core.growVolume('v', 8 * BLOCK));
  pool.write('v', 6, 5);
  pool.snapshot('later', 'v');
  runner.runUntilAnswered();
  return early.error;
}

describe('A volume that grows while a copy of it is being made', () => {
  const COPIES: Record<string, (pool: SmallPool) => Plan<unknown>> = {
    'a snapshot': ({ world }) => world.core.createSnapshots([{ name: 'c', source: 'v' }]),
    'one of a group of snapshots': (pool) => {
      const group = ['c', 'w1', 'w2', 'w3'].map((name) => ({
        name,
        source: name === 'c' ? 'v' : `${name}-v`,
      }));
      for (const { source } of group.slice(1)) pool.volume(source, 1, 1);
      return pool.world.core.createSnapshots(group);
    },
    'a clone': ({ world }) => world.core.cloneVolume('v', { name: 'c', sizeBytes: 0, copyRate: 0 }),
  };

  for (const [what, ask] of Object.entries(COPIES))
    it(`gives ${what} the size that it has at the cut, and a later snapshot all that it needs`, () => {
      let tried = 0;
      for (let seed = 1; seed <= SEEDS; seed++) {
        const pool = new SmallPool(seed);
        pool.volume('v', 4, 1);
        assert.equal(growBefore(pool, ask(pool)), null);
        const copy = pool.found('c');
        if (pool.found('later').parent !== copy) continue;
        tried++;
        assert.equal(copy.sizeBytes, 8 * BLOCK);
        pool.write('v', 6, 9);
        for (const name of ['c', 'later']) assert.equal(pool.read(name, 6), 5, `${name}, seed ${seed}`);
        pool.cutPower();
        for (const name of ['c', 'later']) assert.equal(pool.read(name, 6), 5, `${name}, seed ${seed}`);
      }
      assert.ok(tried > 0, `${tried} of ${SEEDS}`);
    });

  it('refuses a clone that was asked for with less than it has at the cut, and leaves nothing of it', () => {
    let refused = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk } = pool.world;
      pool.volume('v', 4, 1);
      const files = disk.files.size;
      const error = growBefore(pool, core.cloneVolume('v', { name: 'c', sizeBytes: 4 * BLOCK, copyRate: 0 }));
      if (error === null) continue;
      refused++;
      assert.match(error.message, /a clone of 16384 bytes of v, which has 32768: ask for at least as much/);
      assert.equal(core.volumeByName('c'), undefined);
      assert.equal(disk.files.size, files + 1, 'the file of the later snapshot');
      pool.write('v', 6, 9);
      assert.equal(pool.read('later', 6), 5);
    }
    assert.ok(refused > 0, `${refused} of ${SEEDS}`);
  });

  it('does not make it another copy: whoever asks for the clone again gets the one that is there', () => {
    for (const sizeBytes of [0, 4 * BLOCK]) {
      const pool = new SmallPool(1);
      const { world } = pool;
      pool.volume('v', 4, 1);
      const ask = () =>
        world.run('clone', world.core.cloneVolume('v', { name: 'c', sizeBytes, copyRate: 0 }));
      const { id } = ask();
      world.run('grow', world.core.growVolume('v', 8 * BLOCK));
      assert.equal(ask().id, id);
      assert.equal(pool.found('c').sizeBytes, 4 * BLOCK);
    }
  });
});
