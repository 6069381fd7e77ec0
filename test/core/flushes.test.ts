/** Flushes of one volume beside each other, and of very many grains. */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
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

describe('A flush of very many scattered grains', function () {
  this.timeout(60_000);

  it('says them in the file of the bitmap, and does not fill the log with them', () => {
    const grains = 140_000;
    const pool = new SmallPool(1);
    const { core } = pool.world;
    pool.world.run('create', core.createVolume({ name: 'v', sizeBytes: grains * BLOCK, grainBytes: BLOCK }));
    const looked = [0, 4, grains / 2, grains - 2];
    for (const grain of looked) pool.write('v', grain, 1);
    pool.clone('t', 'v');
    const t = pool.found('t');
    // Of one of them the log has something older.
    pool.write('v', 4, 2);
    pool.write('t', 4, 5);
    assert.ok(t.hasLogged(4, 1));
    for (let grain = 0; grain < grains; grain += 2)
      if (t.held!.setRange(grain, 1) > 0) t.addPending(grain, 1);
    const { commits } = core['state'].log;
    pool.flush('t');
    assert.ok(core['state'].log.commits - commits <= 1);
    assert.equal(t.pending.length, 0);
    pool.cutPower();
    assert.deepEqual(
      looked.map((grain) => pool.read('t', grain)),
      [0, 5, 0, 0],
    );
  });
});
