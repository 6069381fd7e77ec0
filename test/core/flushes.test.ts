/** Flushes of one volume beside each other, and of very many grains. */
import assert from 'node:assert/strict';
import { EIO, ENOSPC } from '../../src/base/errors.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const SEEDS = 200;

describe('A flush beside one that fails', () => {
  it('promises nothing that the other has lost: of both the disk may tell one only', () => {
    let toldOnes = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 4, 1);
      pool.write('v', 0, 2);
      const path = fileOf(pool.found('v'));
      disk.faults = [{ kinds: ['flush'], path, errno: EIO, times: seed % 4 === 0 ? 0 : 1, skip: seed % 2 }];
      let told = 0;
      for (let flush = 0; flush < 2; flush++)
        runner.call('flush', core.flush(pool.found('v')), (error) => {
          if (error === null) told++;
        });
      runner.runUntilAnswered();
      pool.cutPower();
      if (told === 0 || pool.found('v').offline !== '') continue;
      assert.equal(pool.read('v', 0), 2, `seed ${seed}`);
      toldOnes++;
    }
    assert.ok(toldOnes > 0);
  });
});

/** `t` has every second grain, not flushed, and the log has something older of grain 4, and so many others. */
function scattered(grains: number, others = 0): SmallPool {
  const pool = new SmallPool(1);
  const { core } = pool.world;
  pool.world.run('create', core.createVolume({ name: 'v', sizeBytes: grains * BLOCK, grainBytes: BLOCK }));
  const odd = Array.from({ length: others }, (_, i) => 2 * i + 1);
  for (const grain of [0, 4, grains / 2, grains - 2, ...odd]) pool.write('v', grain, 1);
  pool.clone('t', 'v');
  const t = pool.found('t');
  for (const grain of [4, ...odd]) pool.write('v', grain, 2);
  pool.write('t', 4, 5);
  assert.equal(t.logged.size, 1 + others);
  for (let grain = 0; grain < grains; grain += 2) if (t.held!.setRange(grain, 1) > 0) t.addPending(grain, 1);
  return pool;
}

/** After a loss of power too. */
function assertFlushed(pool: SmallPool, grains: number): void {
  assert.equal(pool.found('t').pending.length, 0);
  pool.cutPower();
  const shown = [0, 4, grains / 2, grains - 2].map((grain) => pool.read('t', grain));
  assert.deepEqual(shown, [0, 5, 0, 0]);
}

describe('A flush of very many scattered grains', function () {
  this.timeout(60_000);
  const noBitmaps = {
    kinds: ['create' as const],
    path: /^bitmaps/,
    errno: ENOSPC,
    times: Number.POSITIVE_INFINITY,
  };

  for (const grains of [8800, 140_000])
    it(`says them in the file of the bitmap, and does not fill the log with them: ${grains / 2}`, () => {
      const pool = scattered(grains, 440);
      const { log } = pool.world.core['state'];
      const { commits } = log;
      pool.flush('t');
      assert.ok(log.commits - commits <= 1);
      assertFlushed(pool, grains);
    });

  it('says them in the log where no such file can be made', () => {
    const grains = 140_000;
    const pool = scattered(grains);
    pool.world.disk.faults = [noBitmaps];
    pool.flush('t');
    assertFlushed(pool, grains);
  });

  it('is not made again for each write that the source gets there', () => {
    const grains = 140_000;
    const pool = scattered(grains);
    const { disk } = pool.world;
    const before = disk.submitted.get('flush') ?? 0;
    for (let write = 0; write < 100; write++) pool.write('v', grains / 2 + write * 2, 3);
    assert.ok(disk.submitted.get('flush')! - before <= 4);
    pool.flush('v');
    pool.cutPower();
    for (let write = 0; write < 100; write++) assert.equal(pool.read('t', grains / 2 + write * 2), 0);
  });

  it('fails where neither takes them all', () => {
    const pool = scattered(400_000);
    pool.world.disk.faults = [noBitmaps];
    assert.throws(() => pool.flush('t'), { code: 'OutOfSpace' });
    pool.world.disk.faults = [];
    pool.flush('t');
    assertFlushed(pool, 400_000);
  });
});
