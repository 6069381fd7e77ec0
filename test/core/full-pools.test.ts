/** Where the pool's filesystem is full: what moves makes the room that it needs, and takes no more along than has to go. */
import assert from 'node:assert/strict';
import { ENOSPC } from '../../src/base/errors.ts';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

/** Grains of one block. */
const MIB = 256;
const LOG_BYTES = 64 * 2 ** 20;
const PIECE = 128;

/** What the last snapshot is to hold is more than is moved at once. */
const SIZE = 20 * MIB;

function fill(pool: SmallPool, byte: number, from = 0, to = SIZE): void {
  const { core } = pool.world;
  const block = { bytes: new Uint8Array(PIECE * BLOCK).fill(byte), address: 0 };
  for (let at = from; at < to; at += PIECE)
    pool.world.run('write', core.write(pool.found('v'), at * BLOCK, PIECE * BLOCK, block, 0));
}

/**
 * `older` shows 1. `old` shows 3 in its first MiB and 1 behind that, `new` 4 in its second MiB and else the same. All that `v` had until
 * `end` is in `new` alone.
 */
function snapshots(seed: number, end: number): SmallPool {
  const pool = new SmallPool(seed, LOG_BYTES);
  pool.world.run(
    'create',
    pool.world.core.createVolume({ name: 'v', sizeBytes: SIZE * BLOCK, grainBytes: BLOCK }),
  );
  fill(pool, 1);
  pool.flush('v');
  pool.snapshot('older', 'v');
  fill(pool, 3, 0, MIB);
  pool.snapshot('old', 'v');
  fill(pool, 4, MIB, 2 * MIB);
  pool.snapshot('new', 'v');
  fill(pool, 2, 0, end);
  pool.flush('v');
  pool.emptyLog();
  return pool;
}

function assertShown(pool: SmallPool, names: readonly string[], what: string): void {
  const expected = (name: string, grain: number) => {
    if (name === 'v') return 2;
    return name === 'old' && grain < MIB ? 3 : 1;
  };
  for (const name of names)
    for (let grain = 0; grain < SIZE; grain += 61)
      assert.equal(pool.read(name, grain), expected(name, grain), `grain ${grain} of ${name}, ${what}`);
}

const retired = (pool: SmallPool): number[] =>
  [...pool.world.core['state'].volumes.values()].flatMap((v) => (v.row.retired ? [v.id] : []));

describe('A full pool', function () {
  this.timeout(120_000);

  for (const free of [0, 1, 3])
    it(`breaks the snapshot that has no room, and none that reads through it: ${free} MiB are free`, () => {
      const pool = snapshots(1 + free, SIZE - 4 * MIB);
      pool.world.fillDisk(
        free * MIB,
        Array.from({ length: 16 }, () => MIB),
      );
      fill(pool, 2, SIZE - 4 * MIB);
      pool.flush('v');
      pool.world.checkpoint();
      pool.world.runner.runFor(60_000);
      assert.match(pool.found('new').offline, /cannot have what it needs.*ENOSPC/);
      assertShown(pool, ['v', 'old', 'older'], 'before');
      pool.cutPower();
      assertShown(pool, ['v', 'old', 'older'], 'after a power cut');
    });

  for (const free of [0, 4, 13])
    it(`gives a deleted snapshot's space back as what is needed of it moves: ${free} MiB are free`, () => {
      const pool = snapshots(1 + free, SIZE);
      const { world } = pool;
      world.fillDisk(free * MIB, [MIB]);
      const used = world.disk.usedBlocks;
      world.run('delete', world.core.deleteSnapshot('new'));
      world.runner.runFor(60_000);
      assert.deepEqual(retired(pool), []);
      assert.ok(world.disk.usedBlocks <= used);
      assertShown(pool, ['v', 'old', 'older'], 'after the deletion');
    });

  it('goes on giving it back after deaths and power cuts', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const random = new Random(seed * 31);
      const pool = snapshots(seed, SIZE);
      const { world } = pool;
      const reserves = () => Array.from({ length: 4 }, () => MIB);
      world.fillDisk(random.int(3 * MIB), reserves());
      world.run('delete', world.core.deleteSnapshot('new'));
      const both = random.chance(0.5);
      if (both) world.run('delete', world.core.deleteSnapshot('old'));
      for (let deaths = 1 + random.int(3); deaths > 0; deaths--) {
        for (let steps = random.int(4000); steps > 0; steps--) world.runner.advance();
        if (random.chance(0.5)) world.processDeath();
        else world.losePower();
        world.open();
      }
      world.runner.runFor(60_000);
      assert.deepEqual(retired(pool), [], `seed ${seed}`);
      assertShown(pool, both ? ['v', 'older'] : ['v', 'old', 'older'], `seed ${seed}`);
    }
  });

  it('goes on giving it back after a death while grains move, where no block and no reserve is left', () => {
    let tried = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const random = new Random(seed * 77);
      const pool = snapshots(seed, SIZE);
      const { world } = pool;
      world.fillDisk((1 + random.int(12)) * MIB, []);
      world.run('delete', world.core.deleteSnapshot('new'));
      world.runner.runUntil(() => world.disk.freeBytes < MIB * BLOCK || retired(pool).length === 0);
      for (let steps = random.int(150); steps > 0; steps--) world.runner.advance();
      if (retired(pool).length > 0) tried++;
      world.processDeath();
      world.open();
      world.runner.runFor(60_000);
      assert.deepEqual(retired(pool), [], `seed ${seed}`);
      assertShown(pool, ['v', 'old', 'older'], `seed ${seed}`);
    }
    assert.ok(tried > 4, `${tried} of 8`);
  });
});

describe('A filesystem that has room and takes no further file', () => {
  it('has no snapshot broken: writes fail when the log is full, and go on when files can be made again', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      const names = ['a', 'b', 'c'];
      for (const name of names) {
        pool.volume(name, 2 * MIB, 1);
        pool.snapshot(`${name}-snap`, name);
      }
      pool.emptyLog();
      world.disk.capacityBlocks = world.disk.usedBlocks + 8 * 1024 * MIB;
      Object.assign(world['space'], { freeBytes: () => world.disk.freeBytes });
      // As where no inode is left.
      world.disk.faults = [
        { kinds: ['create'], path: /^bitmaps\//, errno: ENOSPC, times: Number.POSITIVE_INFINITY },
      ];
      const written = new Map(names.map((name) => [name, 0]));
      const fill = () => {
        for (let grain = 0; grain < 2 * MIB; grain++)
          for (const name of names) {
            pool.write(name, grain, 2);
            written.set(name, grain + 1);
          }
      };
      assert.throws(fill, { code: 'OutOfSpace' }, `seed ${seed}`);
      const assertShown = () => {
        for (const name of names)
          for (let grain = 0; grain < 2 * MIB; grain += 13) {
            assert.equal(pool.read(`${name}-snap`, grain), 1, `grain ${grain} of ${name}-snap, seed ${seed}`);
            if (grain < written.get(name)!)
              assert.equal(pool.read(name, grain), 2, `of ${name}, seed ${seed}`);
          }
      };
      assertShown();
      world.disk.faults = [];
      world.runner.runFor(5000);
      fill();
      assertShown();
    }
  });
});
