/**
 * Histories of a checkpoint beside a commit that changes rows of bitmaps and fails for want of space. What the log had is kept
 * until it is at its place. Run by seed, by their test and on broken cores (test/mutants).
 */
import assert from 'node:assert/strict';
import { ENOSPC } from '../../src/base/errors.ts';
import type { Plan } from '../../src/core/ops.ts';
import { type PoolHistory, poolHistory } from './pool-history.ts';
import { BLOCK } from './sim-file.ts';
import { SmallPool } from './small-pool.ts';

const GRAINS = 8;

/** With a volume `v` that shows 1. */
const history = (name: string, play: (pool: SmallPool) => void): PoolHistory =>
  poolHistory(name, (seed) => {
    const pool = new SmallPool(seed);
    pool.volume('v', GRAINS, 1);
    play(pool);
  });

const plainClone = ({ world }: SmallPool, name: string): void =>
  void world.run(name, world.core.cloneVolume('v', { name, sizeBytes: 0, copyRate: 0 }));

/** A commit of `plan` fails, after `skip` others, and late. */
function failLate({ world }: SmallPool, plan: Plan<unknown>, skip: number): void {
  const { disk, runner } = world;
  disk.faults = [{ kinds: ['commit'], path: /^$/, errno: ENOSPC, times: 1, skip, late: true }];
  runner.call('plan', plan, () => {});
  runner.runUntil(() => disk.injected.length === 1);
}

/** A checkpoint that is begun meanwhile goes on as far as it can. */
function failBesideCheckpoint(pool: SmallPool, plan: Plan<unknown>, skip = 0): void {
  pool.tick();
  failLate(pool, plan, skip);
  pool.emptyLog();
}

export const CHECKPOINT_HISTORIES: readonly PoolHistory[] = [
  history('a checkpoint beside a commit that fails, of a sync keeps what the target held', (pool) => {
    const { core, disk, runner } = pool.world;
    pool.clone('t', 'v');
    pool.volume('w', GRAINS, 1);
    pool.clone('busy', 'w');
    pool.emptyLog();
    pool.write('v', 3, 2); // the grain comes to the log
    pool.write('busy', 0, 5);
    const { path } = pool.found('busy').file;
    disk.slowFlushes.add(path);
    pool.tick();
    pool.world.checkpoint();
    // It has filled t's file, which a sync would keep it from.
    runner.runUntil(() => disk.isUnderWay('flush', path));
    failLate(pool, core.syncMapping('t'), 1);
    pool.awaitEmptyLog();
    pool.cutPower();
    assert.equal(pool.read('t', 3), 1);
  }),

  history(
    'a checkpoint beside a commit that fails, of the end of a background copy keeps what the target held',
    (pool) => {
      plainClone(pool, 't');
      pool.emptyLog();
      for (let grain = 0; grain < GRAINS; grain++) pool.write('v', grain, 2);
      failBesideCheckpoint(pool, pool.world.core.setCopyRate('t', 150), 1);
      assert.notEqual(pool.found('t').held, null);
      pool.cutPower();
      assert.equal(pool.read('t', 3), 1);
    },
  ),

  history(
    'a checkpoint beside a commit that fails, of a growth does not say that the target holds what would have been added',
    (pool) => {
      plainClone(pool, 't');
      pool.emptyLog();
      pool.write('v', 3, 2);
      failBesideCheckpoint(pool, pool.world.core.growVolume('t', 3 * GRAINS * BLOCK));
      pool.world.processDeath();
      pool.world.open();
      pool.world.runner.runFor(500);
      assert.equal(pool.read('t', 5), 1);
    },
  ),

  history(
    'a checkpoint beside a commit that fails, of a start keeps what the target has recorded of its changes',
    (pool) => {
      pool.volume('x', GRAINS, 3);
      pool.clone('y', 'x');
      pool.copyAll('y');
      pool.map('m', 'v', 'x');
      pool.emptyLog();
      pool.write('x', 3, 4);
      pool.flush('x');
      failBesideCheckpoint(pool, pool.world.core.startMappings(['m']));
      pool.cutPower();
      pool.world.run('sync', pool.world.core.syncMapping('y'));
      assert.equal(pool.read('y', 3), 4);
    },
  ),
];
