/** A cut of a copy, reported before the copy's own sync is: what it shows outlives the power all the same. */
import assert from 'node:assert/strict';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SimWorld } from '../sim/sim-world.ts';

const SEEDS = 20;

function firstByte(world: SimWorld, name: string): number {
  const block = { bytes: new Uint8Array(BLOCK), address: 0 };
  world.run('read', world.core.read(world.core.volumeByName(name)!, 0, BLOCK, block, 0));
  return block.bytes[0]!;
}

function write(world: SimWorld, name: string, byte: number): void {
  const block = { bytes: new Uint8Array(BLOCK).fill(byte), address: 0 };
  world.run('write', world.core.write(world.core.volumeByName(name)!, 0, BLOCK, block, 0));
}

describe('A snapshot of a copy whose sync is not reported yet', () => {
  it('is reported when all that it shows is durable', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = new SimWorld(new Random(seed), 4096 * BLOCK);
      const { core, runner } = world;
      world.open();
      world.run('create', core.createVolume({ name: 'v', sizeBytes: BLOCK, grainBytes: BLOCK }));
      write(world, 'v', 1);
      world.run('clone', core.cloneVolume('v', { name: 'c', sizeBytes: 0, copyRate: 0, incremental: true }));
      write(world, 'v', 2);
      world.disk.slowFlushes.add(`volumes/${core.volumeByName('v')!.id}.data`);
      let synced = false;
      runner.call('sync', core.syncMapping('c'), () => {
        synced = true;
      });
      runner.runUntil(() => world.core['state'].counters.cuts === 2);
      assert.equal(synced, false, 'the source was meant to be slow');
      world.run('snapshot', core.createSnapshots([{ name: 's', source: 'c', copyRate: 0 }]));
      assert.equal(firstByte(world, 's'), 2);
      world.losePower();
      world.open();
      assert.equal(firstByte(world, 's'), 2, `seed ${seed}`);
    }
  });
});
