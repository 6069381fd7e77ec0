/** A checkpoint of bitmaps that are large, or many: some pages at a time, each as it is when its turn comes. */
import assert from 'node:assert/strict';
import { PAGE_BITS } from '../../src/core/arena.ts';
import { BITMAP_HISTORIES } from '../sim/bitmap-histories.ts';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const PAGES = 70;
const GRAINS = PAGES * PAGE_BITS;
const SEEDS = 40;
const MANY = 24;

function create(pool: SmallPool, name: string): void {
  const { core } = pool.world;
  const request = { name, sizeBytes: GRAINS * BLOCK, grainBytes: BLOCK };
  pool.world.run('create', core.createVolume(request));
}

/** Two grains of each page. */
const grains = Array.from({ length: PAGES * 2 }, (_, i) => Math.floor(i / 2) * PAGE_BITS + (i % 2) * 40);

describe('A checkpoint of large bitmaps', function () {
  this.timeout(60_000);

  it('takes a few pages of a few of them at a time', () => {
    const pool = new SmallPool(1);
    const { disk } = pool.world;
    create(pool, 'v');
    pool.snapshot('s', 'v');
    for (const grain of grains) pool.write('v', grain, 1);
    for (let i = 0; i < MANY; i++) {
      pool.volume(`v${i}`, 1, 1);
      pool.snapshot(`s${i}`, `v${i}`);
    }
    pool.emptyLog();
    pool.write('v', 1, 1);
    for (let i = 0; i < MANY; i++) pool.write(`v${i}`, 0, 2);
    const begun = new Set<string>();
    let together = 0;
    let longest = 0;
    const { submit } = disk;
    disk.submit = (io) => {
      const path = io.file?.path ?? '';
      if (path.startsWith('bitmaps/') && io.kind === 'create') begun.add(path);
      if (path.startsWith('bitmaps/') && io.kind === 'write') longest = Math.max(longest, io.length);
      together = Math.max(together, begun.size);
      if (io.kind === 'flush') begun.delete(path);
      submit.call(disk, io);
    };
    pool.emptyLog();
    assert.ok(longest > BLOCK && longest <= 32 * BLOCK, `${longest / BLOCK} pages`);
    assert.ok(together > 1 && together <= 16, `${together} bitmaps`);
  });

  it('beside writes says of no grain what is not durable, and misses none that was, nor a change', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = new Random(seed);
      const pool = new SmallPool(seed, 16 * 2 ** 20);
      const { core, runner } = pool.world;
      create(pool, 'v');
      for (const grain of grains) pool.write('v', grain, 1);
      pool.flush('v');
      pool.clone('c', 'v');
      for (const grain of grains) if (grain % PAGE_BITS === 0) pool.write('c', grain, 2);
      pool.flush('c');
      pool.emptyLog();
      const before = new Map(grains.map((grain) => [grain, pool.read('c', grain)]));
      const written = new Set<number>();
      // Something for it to do.
      pool.write('v', 40, 3);
      pool.write('c', 80, 3);
      pool.world.checkpoint();
      for (let left = random.between(1, 60); core['checkpointing']; left--) {
        for (let steps = random.int(20); steps > 0; steps--) runner.advance();
        if (left <= 0) continue;
        const grain = random.pick(grains);
        const name = random.pick(['c', 'v']);
        if (name === 'c') written.add(grain);
        runner.call('write', pool.writing(name, grain, 4), (error) => assert.equal(error, null));
      }
      runner.runUntilAnswered();
      // The next one cuts off what the log has of the changes that came meanwhile.
      if (random.chance(0.5)) pool.emptyLog();
      // Of these the copy needs the old content where its own is not durable.
      if (random.chance(0.5)) {
        for (const grain of grains) pool.write('v', grain, 5);
        pool.flush('v');
      }
      pool.cutPower();
      for (const grain of grains) {
        const found = pool.read('c', grain);
        const isRight = found === before.get(grain) || (written.has(grain) && found === 4);
        assert.ok(isRight, `seed ${seed}: grain ${grain} shows ${found}, not ${before.get(grain)}`);
      }
      pool.world.run('sync', pool.world.core.syncMapping('c'));
      for (const grain of grains)
        assert.equal(pool.read('c', grain), pool.read('v', grain), `seed ${seed}: grain ${grain}, synced`);
    }
  });
});

describe('Beside a checkpoint that writes a bitmap', () => {
  for (const { name, play } of BITMAP_HISTORIES)
    it(name, () => {
      for (let seed = 1; seed <= 10; seed++) play(seed);
    });
});
