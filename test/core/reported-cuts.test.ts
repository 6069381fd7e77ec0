/**
 * A cut is told to be there when all that it shows is durable: also one of a copy whose own sync is not told yet, one that is
 * asked for again meanwhile, and one that a newer one came after.
 */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import type { Plan } from '../../src/core/ops.ts';
import type { SimWorld } from '../sim/sim-world.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 20;

const snapshotOf = (world: SimWorld, source: string, name: string): Plan<unknown> =>
  world.core.createSnapshots([{ name, source, copyRate: 0 }]);

/** With a volume `v` of one block, which shows 1, and an incremental copy `c` of it. */
function poolOf(seed: number): SmallPool {
  const pool = new SmallPool(seed);
  pool.volume('v', 1, 1);
  const clone = pool.world.core.cloneVolume('v', { name: 'c', sizeBytes: 0, copyRate: 0, incremental: true });
  pool.world.run('clone', clone);
  return pool;
}

/** `v` shows 2, and a cut of it is made and not told. */
function begin(pool: SmallPool, cut: Plan<unknown>): void {
  const { core, runner, disk } = pool.world;
  pool.write('v', 0, 2);
  disk.slowFlushes.add(pool.found('v').file.path);
  const before = core['state'].counters.cuts;
  let told = false;
  runner.call('cut', cut, () => {
    told = true;
  });
  runner.runUntil(() => core['state'].counters.cuts > before);
  assert.equal(told, false, 'the flush of the source was meant to be slow');
}

function losePower(world: SimWorld): void {
  world.losePower();
  world.open();
}

describe('A cut is not told to be there before all that it shows is durable', () => {
  it('when it is one of a copy whose sync is not told yet', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = poolOf(seed);
      begin(pool, pool.world.core.syncMapping('c'));
      pool.snapshot('s', 'c');
      assert.equal(pool.read('s', 0), 2);
      losePower(pool.world);
      assert.equal(pool.read('s', 0), 2, `seed ${seed}`);
    }
  });

  it('when it is asked for again meanwhile', () => {
    const again: [name: string, shows: string, ask: (world: SimWorld) => Plan<unknown>][] = [
      ['a snapshot', 's', (world) => snapshotOf(world, 'v', 's')],
      ['a clone', 'd', (world) => world.core.cloneVolume('v', { name: 'd', sizeBytes: 0, copyRate: 0 })],
      ['a sync', 'c', (world) => world.core.syncMapping('c', 'request-1')],
    ];
    for (const [name, shows, ask] of again)
      for (let seed = 1; seed <= SEEDS; seed++) {
        const pool = poolOf(seed);
        const { world } = pool;
        begin(pool, ask(world));
        world.run(`${name} again`, ask(world));
        losePower(world);
        assert.equal(pool.read(shows, 0), 2, `${name}, seed ${seed}`);
      }
  });

  it('when its source cannot be flushed, and a newer one came after it', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = poolOf(seed);
      const { world } = pool;
      const { core, runner, disk } = world;
      const { path } = pool.found('v').file;
      pool.write('v', 0, 2);
      disk.slowFlushes.add(path);
      disk.faults.push({ kinds: ['flush'], path: new RegExp(path), errno: EIO, times: 9 });
      const told: string[] = [];
      for (const name of ['older', 'newer'])
        runner.call(name, snapshotOf(world, 'v', name), (error) => {
          told.push(error === null ? name : (error as Error).message);
        });
      runner.runUntil(() => told.length === 2);
      for (const message of told) assert.match(message, /failed/);
      for (const name of ['older', 'newer']) {
        assert.equal(runner.run('look', core.getVolume(name)).state, 'suspended', `${name}, seed ${seed}`);
        assert.throws(() => world.run('again', snapshotOf(world, 'v', name)), /offline/);
      }
    }
  });
});
