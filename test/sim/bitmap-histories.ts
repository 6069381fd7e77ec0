/**
 * Histories of changes that come to a bitmap while a checkpoint writes it, behind the place reached: they are for the next one. Run by
 * seed, by their test and on broken cores (test/mutants).
 */
import assert from 'node:assert/strict';
import { REGION_GRAINS } from '../../src/core/volume.ts';
import { type PoolHistory, poolHistory } from './pool-history.ts';
import { BLOCK } from './sim-file.ts';
import { SmallPool } from './small-pool.ts';

/** In another region than the first grain. */
const FAR = REGION_GRAINS;

/** With a volume `v` that shows 1 in its first grain and in that one, and with an incremental clone `c` of it. */
const history = (name: string, play: (pool: SmallPool) => void): PoolHistory =>
  poolHistory(name, (seed) => {
    const pool = new SmallPool(seed);
    const { core } = pool.world;
    const request = { name: 'v', sizeBytes: (FAR + 1) * BLOCK, grainBytes: BLOCK };
    pool.world.run('create', core.createVolume(request));
    for (const grain of [0, FAR]) pool.write('v', grain, 1);
    pool.flush('v');
    pool.clone('c', 'v');
    pool.emptyLog();
    play(pool);
  });

/** The pages of the bitmap's next generation are in its file, and the flush of that takes long. */
function beginWriting({ world }: SmallPool, id: number): void {
  const { disk, runner } = world;
  const { gen } = world.core['state'].bitmaps.get(id)!;
  const path = `bitmaps/${id}.${gen + 1}`;
  disk.slowFlushes.add(path);
  world.checkpoint();
  runner.runUntil(() => disk.isUnderWay('flush', path));
}

export const BITMAP_HISTORIES: readonly PoolHistory[] = [
  history('a change of what is being written is known to the next sync', (pool) => {
    pool.tick();
    pool.write('v', 0, 2);
    beginWriting(pool, pool.found('v').open!.bitmap.id);
    pool.write('v', FAR, 2);
    pool.awaitCheckpoint();
    // The log's record of it is cut off.
    pool.emptyLog();
    pool.flush('v');
    pool.cutPower();
    pool.world.run('sync', pool.world.core.syncMapping('c'));
    assert.equal(pool.read('c', FAR), 2);
  }),

  history('a grain that comes to be held meanwhile is not durable when all is written', (pool) => {
    pool.tick();
    pool.write('c', 0, 2);
    beginWriting(pool, pool.found('c').held!.id);
    pool.write('c', FAR, 2);
    pool.awaitCheckpoint();
    pool.write('v', FAR, 3);
    pool.flush('v');
    pool.cutPower();
    assert.notEqual(pool.read('c', FAR), 3);
  }),
];
