/** Copies that break, for want of space or because their flush failed: what those keep that read through them. */
import assert from 'node:assert/strict';
import { EIO, ENOSPC } from '../../src/base/errors.ts';
import { flushFailed } from '../../src/core/offline.ts';
import type { VolumeRow } from '../../src/core/rows.ts';
import type { Volume } from '../../src/core/volume.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const SEEDS = 60;
const HOT = 60;

/** The file of this volume. */
const inCatalog = ({ world }: SmallPool, volume: Volume): VolumeRow =>
  JSON.parse(world.disk.catalog.get(`volume ${volume.id}`)!) as VolumeRow;

describe('A copy that is broken for want of space', () => {
  it('gives what it has to a target that is being synced from it', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 4, 1);
      pool.clone('c', 'v', 4);
      pool.clone('t', 'c', 4);
      pool.copyAll('t');
      pool.write('c', 0, 5);
      pool.write('v', 1, 6);
      const path = fileOf(pool.found('c'));
      disk.faults = [{ kinds: ['write'], path, errno: ENOSPC, times: Number.POSITIVE_INFINITY }];
      pool.world.checkpoint();
      let isSynced = false;
      runner.call('sync', core.syncMapping('t'), (error) => {
        isSynced = error === null;
      });
      runner.runFor(10_000);
      assert.equal(pool.read('t', 0), isSynced ? 5 : 1, `seed ${seed}`);
    }
  });
});

describe('A copy that is broken because a grain of its source cannot be read', () => {
  it('leaves an older one whole that has the grain, also after a power cut', () => {
    let tried = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 4, 1);
      pool.clone('older', 'v');
      pool.snapshot('newer', 'v');
      pool.world.run('rate', core.setCopyRate('older', 80));
      runner.runUntil(() => pool.found('older').held!.get(1));
      pool.world.run('rate', core.setCopyRate('older', 0));
      if (pool.found('older').holdsDurably(1, 1)) continue;
      tried++;
      disk.faults = [{ kinds: ['read'], path: fileOf(pool.found('v')), offset: BLOCK, errno: EIO, times: 9 }];
      pool.write('v', 1, 9);
      pool.flush('v');
      disk.faults = [];
      assert.match(pool.found('newer').offline, /grain 1 of v could not be copied/);
      pool.cutPower();
      assert.equal(pool.read('older', 1), 1, `seed ${seed}`);
    }
    assert.ok(tried > SEEDS / 6, `${tried}`);
  });
});

describe('A copy whose flush failed', () => {
  it('keeps what it held durably for those who read through it, also after a power cut', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 4, 1);
      pool.clone('c', 'v', 4);
      pool.snapshot('s', 'c');
      pool.copyAll('c');
      const path = fileOf(pool.found('c'));
      world.disk.faults = [{ kinds: ['flush'], path, errno: EIO, times: 1 }];
      world.checkpoint();
      pool.awaitCheckpoint();
      pool.write('v', 0, 2);
      pool.flush('v');
      assert.equal(pool.read('s', 0), 1, `seed ${seed}`);
      pool.cutPower();
      assert.equal(pool.read('s', 0), 1, `seed ${seed}, after a power cut`);
    }
  });

  it('is not copied to any more by the next engine either, where only a checkpoint could record that', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, log } = pool.world;
      pool.volume('v', 4, 1);
      pool.clone('c', 'v', 4);
      pool.write('c', 0, 2);
      const path = fileOf(pool.found('c'));
      disk.faults = [
        { kinds: ['flush'], path, errno: EIO, times: 1 },
        { kinds: ['commit'], path: /^$/, errno: EIO, times: 1 },
      ];
      pool.world.runner.call('flush', core.flush(pool.found('c')), () => {});
      pool.world.runner.runUntil(() => log.some((l) => l.message.startsWith('could not record')));
      pool.emptyLog();
      pool.cutPower();
      const { row } = pool.world.core['state'].findMapping('c');
      assert.equal(row.state, 'suspended', `seed ${seed}`);
      assert.match(row.error, /a flush of its data failed/);
    }
  });

  it('does not fall back to what the log had of a grain before the host wrote it', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 4, 1);
      pool.clone('c', 'v', 4);
      pool.write('v', 0, 2);
      pool.write('c', 0, 3);
      pool.snapshot('s', 'c');
      const path = fileOf(pool.found('c'));
      world.disk.faults = [{ kinds: ['flush'], path, errno: EIO, times: 1 }];
      assert.throws(() => pool.flush('c'));
      assert.equal(pool.read('s', 0), 3, `seed ${seed}`);
    }
  });

  it('takes no grain any more that was under way, and nobody counts on having that', () => {
    let tried = 0;
    for (let seed = 1; seed <= HOT / 2; seed++) {
      const pool = new SmallPool(seed);
      const { core, runner } = pool.world;
      pool.volume('v', 64, 1);
      pool.snapshot('s', 'v');
      pool.snapshot('c', 'v');
      runner.runFor(100);
      const c = pool.found('c');
      pool.world.run('rate', core.setCopyRate('c', 90));
      runner.runUntil(() => pool.world.disk.isUnderWay('write', c.file.path));
      if (c.held!.count > 0) continue;
      tried++;
      flushFailed(core['state'], c, new Error('EIO'));
      for (let grain = 0; grain < 64; grain++) runner.call('write', pool.writing('v', grain, 2), () => {});
      runner.runUntilAnswered();
      pool.flush('v');
      pool.cutPower();
      if (pool.found('s').offline !== '') continue;
      for (let grain = 0; grain < 64; grain++)
        assert.equal(pool.read('s', grain), 1, `grain ${grain}, seed ${seed}`);
    }
    assert.ok(tried > HOT / 8, `${tried} of ${HOT / 2}`);
  });

  it('takes those along that have what it had in memory only: none shows what the source gets later', () => {
    let tried = 0;
    for (let seed = 1; seed <= HOT; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 1, 1);
      for (const name of ['reader', 'c']) pool.clone(name, 'v');
      pool.emptyLog();
      pool.world.run('rate', core.setCopyRate('c', 150));
      const c = pool.found('c');
      runner.runUntil(() => c.held!.get(0));
      pool.write('reader', 0, 3);
      disk.faults.push({ kinds: ['flush'], path: fileOf(c), errno: EIO, times: 1 });
      runner.call('flush', core.flush(c), () => {});
      runner.runUntilAnswered();
      if (c.offline === '') continue;
      tried++;
      pool.write('v', 0, 2);
      pool.flush('v');
      pool.cutPower();
      if (pool.found('reader').offline === '') assert.notEqual(pool.read('reader', 0), 2, `seed ${seed}`);
    }
    assert.ok(tried > HOT / 2, `${tried} of ${HOT}`);
  });

  it('has one broken that cannot take what it needs, at whatever distance, and the log is emptied', () => {
    for (const errno of [EIO, ENOSPC])
      for (let seed = 1; seed <= 6; seed++) {
        const pool = new SmallPool(seed);
        const { core, disk, runner } = pool.world;
        pool.volume('v', 32, 1);
        pool.snapshot('reader', 'v');
        pool.snapshot('older', 'v');
        for (let grain = 0; grain < 16; grain++) pool.write('v', grain, 2);
        pool.emptyLog();
        pool.snapshot('newer', 'v');
        for (let grain = 16; grain < 32; grain++) pool.write('v', grain, 3);
        const path = fileOf(pool.found('reader'));
        disk.faults.push({ kinds: ['write', 'punch'], path, errno, times: Number.POSITIVE_INFINITY });
        for (const name of ['newer', 'older']) flushFailed(core['state'], pool.found(name), new Error('EIO'));
        runner.runFor(60_000);
        assert.ok(pool.world.logIsEmpty, `seed ${seed}`);
        assert.match(pool.found('reader').offline, /cannot have what it needs/);
      }
  });

  it('can be deleted before it has left, and is gone once', () => {
    for (let seed = 1; seed <= SEEDS / 3; seed++) {
      const pool = new SmallPool(seed);
      const { core, runner, log } = pool.world;
      pool.volume('v', 64, 1);
      pool.clone('c', 'v');
      for (let grain = 0; grain < 64; grain += 2) pool.write('c', grain, 2);
      pool.flush('c');
      pool.snapshot('s', 'c');
      pool.write('v', 1, 3);
      const state = core['state'];
      flushFailed(state, pool.found('c'), new Error('EIO'));
      if (seed % 2 === 0) runner.runUntil(() => state.leavers.size > 0);
      pool.world.run('delete', core.deleteVolume('c'));
      runner.runUntil(() => [...state.volumes.values()].every(({ row }) => !row.retired));
      pool.emptyLog();
      runner.runFor(10_000);
      assert.equal(state.leavers.size, 0);
      assert.deepEqual(
        log.filter(({ message }) => /reclaimed/.test(message)),
        [],
      );
      assert.deepEqual([pool.read('s', 0), pool.read('s', 1)], [2, 1], `seed ${seed}`);
    }
  });

  it('does not keep the log from being emptied while its readers get what they need', () => {
    const pool = new SmallPool(2);
    const { core, runner } = pool.world;
    pool.volume('v', 512, 1);
    pool.clone('c', 'v');
    pool.snapshot('s', 'c');
    for (let grain = 0; grain < 512; grain += 2) pool.write('c', grain, 2);
    pool.flush('c');
    pool.emptyLog();
    pool.volume('w', 4, 1);
    pool.snapshot('ws', 'w');
    pool.write('w', 0, 2);
    const { path } = pool.found('s').file;
    pool.world.disk.slowFlushes.add(path);
    flushFailed(core['state'], pool.found('c'), new Error('EIO'));
    assert.ok(!pool.world.logIsEmpty);
    runner.runUntil(() => pool.world.logIsEmpty);
    assert.ok(pool.found('c').children.length > 0, 'its readers have what they need already');
  });

  it('is offline in the catalog before a write is answered that could give it nothing', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 4, 1);
      pool.snapshot('s', 'v');
      pool.write('v', 0, 2);
      pool.emptyLog();
      pool.write('v', 3, 2);
      const s = pool.found('s');
      world.disk.faults = [
        { kinds: ['flush'], path: fileOf(s), errno: EIO, times: 1 },
        { kinds: ['read'], path: fileOf(pool.found('v')), offset: BLOCK, errno: EIO, times: 9 },
      ];
      world.checkpoint();
      world.runner.runUntil(() => s.offline !== '');
      pool.write('v', 1, 9);
      assert.match(inCatalog(pool, s).offline, /a flush of its data failed/, `seed ${seed}`);
    }
  });

  it('is offline in the catalog before such a write is answered, also where another commit failed that was to say so', () => {
    let tried = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 4, 1);
      pool.clone('c', 'v');
      pool.emptyLog();
      pool.awaitCheckpoint();
      pool.write('c', 0, 5);
      const c = pool.found('c');
      pool.tick();
      disk.faults = [
        { kinds: ['commit'], path: /^$/, errno: EIO, times: 1, late: true },
        { kinds: ['read'], path: fileOf(pool.found('v')), offset: BLOCK, errno: EIO, times: 9 },
        { kinds: ['flush'], path: fileOf(c), errno: EIO, times: 1, late: true },
      ];
      runner.call('flush', core.flush(c), () => {});
      runner.runUntil(() => disk.isUnderWay('flush', c.file.path));
      runner.call('write', pool.writing('v', 1, 2), () => {});
      runner.runUntilAnswered();
      if (c.offline === '') continue;
      tried++;
      disk.faults = [];
      pool.write('v', 0, 2);
      pool.flush('v');
      pool.cutPower();
      assert.notEqual(pool.found('c').offline, '', `seed ${seed}`);
    }
    assert.ok(tried > SEEDS / 2, `${tried} of ${SEEDS}`);
  });

  it('keeps no copy from being synced that it reads through, and who reads through it has what it needs', () => {
    for (let seed = 1; seed <= SEEDS / 2; seed++) {
      const pool = new SmallPool(seed);
      const { core } = pool.world;
      pool.volume('v', 8, 1);
      pool.snapshot('reader', 'v');
      pool.snapshot('s', 'v');
      for (let grain = 0; grain < 8; grain += 2) pool.write('v', grain, 2);
      pool.clone('c', 'v');
      pool.copyAll('c');
      pool.clone('own', 'c');
      pool.emptyLog();
      for (const name of ['s', 'own']) flushFailed(core['state'], pool.found(name), new Error('EIO'));
      for (let grain = 0; grain < 8; grain++) pool.write('v', grain, 3);
      if (seed % 2 === 0) {
        pool.flush('v');
        pool.cutPower();
      }
      pool.world.run('sync', pool.world.core.syncMapping('c'));
      pool.flush('v');
      for (const when of ['', ', after a power cut']) {
        for (let grain = 0; grain < 8; grain++) {
          assert.equal(pool.read('c', grain), 3, `seed ${seed}${when}`);
          assert.equal(pool.read('reader', grain), 1, `seed ${seed}${when}`);
        }
        assert.match(pool.found('s').offline, /a flush of its data failed/);
        pool.cutPower();
      }
    }
  });
});

describe('A copy whose file does not take what the undo log has of it', () => {
  it('shows a reader who is there at that moment what it had, or an error', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 4, 1);
      pool.clone('c', 'v');
      pool.write('v', 0, 2);
      const path = fileOf(pool.found('c'));
      disk.faults = [{ kinds: ['write'], path, errno: EIO, times: 1 }];
      pool.world.checkpoint();
      for (let reads = 0; reads < 20; reads++) {
        const block = { bytes: new Uint8Array(BLOCK), address: 0 };
        runner.call('read', core.read(pool.found('c'), 0, BLOCK, block, 0), (error) => {
          if (error === null) assert.equal(block.bytes[0], 1, `seed ${seed}`);
        });
        for (let step = 0; step < seed % 7; step++) runner.advance();
      }
      runner.runUntilAnswered();
    }
  });
});

describe('A copy that is synced while one that it reads through is broken', () => {
  it('is not broken where its file does not take what it needed before', () => {
    let tried = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 4, 1);
      for (const name of ['older', 'newer', 'broken']) pool.clone(name, 'v');
      pool.clone('own', 'broken');
      // From here on both of the others read through the one that is to break, and are given what the log has of it in this order.
      pool.world.run('sync', core.syncMapping('newer'));
      pool.write('newer', 0, 2);
      const [own, older, broken] = [pool.found('own'), pool.found('older'), pool.found('broken')];
      assert.deepEqual(
        broken.children.map((c) => c.name),
        ['own', 'older'],
      );
      disk.slowFlushes.add(own.file.path);
      disk.faults = [{ kinds: ['write'], path: fileOf(broken), errno: EIO, times: 1 }];
      pool.world.checkpoint();
      runner.runUntil(() => broken.offline !== '');
      pool.world.run('sync', core.syncMapping('older'));
      const before = disk.injected.length;
      disk.faults = [{ kinds: ['write'], path: fileOf(older), errno: ENOSPC, times: 1 }];
      runner.runFor(1000);
      tried += disk.injected.length - before;
      assert.deepEqual([older.offline, older.parent?.name], ['', 'v'], `seed ${seed}`);
      assert.deepEqual([pool.read('own', 0), pool.read('older', 0)], [1, 1], `seed ${seed}`);
    }
    assert.ok(tried > SEEDS / 6, `${tried} of ${SEEDS}`);
  });
});
