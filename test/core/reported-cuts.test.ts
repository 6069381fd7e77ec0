/**
 * A cut is told to be there when all that it shows is durable: also one of a copy whose own sync is not told yet, one that is
 * asked for again meanwhile, and one that a newer one came after.
 */
import assert from 'node:assert/strict';
import type { Plan } from '../../src/core/ops.ts';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SimWorld } from '../sim/sim-world.ts';

const SEEDS = 20;
const EIO = 5;

const snapshotOf = (world: SimWorld, source: string, name: string): Plan<unknown> =>
  world.core.createSnapshots([{ name, source, copyRate: 0 }]);

const fileOf = (world: SimWorld, name: string): string => `volumes/${world.core.volumeByName(name)!.id}.data`;

function firstByte(world: SimWorld, name: string): number {
  const block = { bytes: new Uint8Array(BLOCK), address: 0 };
  world.run('read', world.core.read(world.core.volumeByName(name)!, 0, BLOCK, block, 0));
  return block.bytes[0]!;
}

function write(world: SimWorld, name: string, byte: number): void {
  const block = { bytes: new Uint8Array(BLOCK).fill(byte), address: 0 };
  world.run('write', world.core.write(world.core.volumeByName(name)!, 0, BLOCK, block, 0));
}

/** With a volume `v` of one block, which shows 1, and an incremental copy `c` of it; nothing is flushed. */
function worldOf(seed: number): SimWorld {
  const world = new SimWorld(new Random(seed), 4096 * BLOCK);
  const { core } = world;
  world.open();
  world.run('create', core.createVolume({ name: 'v', sizeBytes: BLOCK, grainBytes: BLOCK }));
  write(world, 'v', 1);
  world.run('clone', core.cloneVolume('v', { name: 'c', sizeBytes: 0, copyRate: 0, incremental: true }));
  return world;
}

/** `v` shows 2, and a cut of it is made and not told. */
function begin(world: SimWorld, cut: Plan<unknown>): { isTold: () => boolean } {
  const { core, runner } = world;
  write(world, 'v', 2);
  world.disk.slowFlushes.add(fileOf(world, 'v'));
  const before = core['state'].counters.cuts;
  let told = false;
  runner.call('cut', cut, () => {
    told = true;
  });
  runner.runUntil(() => core['state'].counters.cuts > before);
  assert.equal(told, false, 'the flush of the source was meant to be slow');
  return { isTold: () => told };
}

function losePower(world: SimWorld): void {
  world.losePower();
  world.open();
}

describe('A cut is not told to be there before all that it shows is durable', () => {
  it('when it is one of a copy whose sync is not told yet', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = worldOf(seed);
      begin(world, world.core.syncMapping('c'));
      world.run('snapshot', snapshotOf(world, 'c', 's'));
      assert.equal(firstByte(world, 's'), 2);
      losePower(world);
      assert.equal(firstByte(world, 's'), 2, `seed ${seed}`);
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
        const world = worldOf(seed);
        begin(world, ask(world));
        world.run(`${name} again`, ask(world));
        losePower(world);
        assert.equal(firstByte(world, shows), 2, `${name}, seed ${seed}`);
      }
  });

  it('when its source cannot be flushed, and a newer one came after it', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = worldOf(seed);
      const { core, runner, disk } = world;
      write(world, 'v', 2);
      disk.slowFlushes.add(fileOf(world, 'v'));
      disk.faults.push({ kinds: ['flush'], path: new RegExp(fileOf(world, 'v')), errno: EIO, times: 9 });
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
