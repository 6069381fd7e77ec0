/** What the catalog says of the undo log's tail, when a checkpoint moves it while the pool is being opened. */
import assert from 'node:assert/strict';
import { LOG_BYTES_MIN } from '../../src/core/undo-log.ts';
import type { Volume } from '../../src/core/volume.ts';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SimWorld } from '../sim/sim-world.ts';

const MIB = 2 ** 20;
const BLOCKS = 2560;
/** Histories in which the engine dies while a checkpoint fills the newer snapshot from a log that is half full. */
const WANTED = 6;
const SEEDS = 40;

/** One that the engine has died in, or null if the moment did not come. */
function diedInCheckpoint(seed: number): SimWorld | null {
  const world = new SimWorld(new Random(seed), 2 * LOG_BYTES_MIN);
  const { core, runner } = world;
  world.open();
  world.run('create', core.createVolume({ name: 'v', sizeBytes: BLOCKS * BLOCK, grainBytes: BLOCK }));
  const volume = core.volumeByName('v')!;
  const block = { bytes: new Uint8Array(MIB).fill(1), address: 0 };
  for (let at = 0; at < BLOCKS * BLOCK; at += MIB) world.run('write', core.write(volume, at, MIB, block, 0));
  world.run('flush', core.flush(volume));
  // The older one reads through the newer one, which is flushed for it.
  for (const name of ['older', 'newer'])
    world.run(name, core.createSnapshots([{ source: 'v', name, copyRate: 0 }]));
  const { log, names } = core['state'];
  const newer = names.get('newer') as Volume;
  const goal = 5 + 40 * (seed % 9);
  let isWriting = false;
  for (let at = 0; ; ) {
    if (!isWriting && at < BLOCKS * BLOCK) {
      isWriting = true;
      runner.call('write', core.write(volume, at, MIB, block, 0), () => {
        isWriting = false;
      });
      at += MIB;
    }
    if (!runner.advance()) return null;
    if (!isWriting && log.usedSlots * 2 > log.slots && newer.logged.size - newer.unfilled > goal) break;
  }
  world.processDeath();
  return world;
}

describe('A checkpoint that moves the tail of the log while the pool is being opened', function () {
  this.timeout(120_000);

  for (const death of ['process', 'machine'] as const)
    it(`is not undone in the catalog: after a death of the ${death} nothing is missing`, () => {
      let tried = 0;
      for (let seed = 1; seed <= SEEDS && tried < WANTED; seed++) {
        const world = diedInCheckpoint(seed);
        if (world === null) continue;
        tried++;
        world.open();
        if (death === 'process') world.processDeath();
        else world.losePower();
        world.open();
        assert.deepEqual(
          world.log.filter(({ message }) => message === 'volume is suspended'),
          [],
          `seed ${seed}`,
        );
      }
      assert.equal(tried, WANTED);
    });
});
