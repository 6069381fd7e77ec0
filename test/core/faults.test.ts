/**
 * The core on a disk that fails: what each fault costs, and what it does not. The disk of the simulation forgets what a
 * failed flush should have made durable, so that whoever trusts a later one is found out by the next loss of power.
 *
 *   npm run test:faults                              every I/O of the scenario, instead of every eleventh
 *   FAULT=217 npx mocha test/core/faults.test.ts     one I/O of the scenario alone
 */
import assert from 'node:assert/strict';
import { EIO, ENOSPC } from '../../src/base/errors.ts';
import { FAULT_HISTORIES } from '../sim/fault-histories.ts';
import { faultScenario } from '../sim/fault-scenario.ts';
import { FaultyPool } from '../sim/faulty-pool.ts';
import { BLOCK } from '../sim/sim-file.ts';

/** Of each history that goes on soon after an error. */
const SEEDS = 30;

const ALL = ['read', 'write', 'writev', 'flush', 'punch', 'extents', 'create', 'resize', 'remove'] as const;

describe('A disk that fails', () => {
  it('at one grain of a source breaks the snapshot that needs it, says where, and no other', () => {
    const pool = new FaultyPool(1);
    for (const name of ['v', 'w']) pool.volume(name);
    pool.snapshot('v-old', 'v');
    pool.write('v', 5);
    pool.snapshot('v-new', 'v');
    pool.snapshot('w-new', 'w');
    const file = pool.fileOf('v');
    pool.failReads('v', 9);
    pool.write('v', 8, 3);
    const { state, error } = pool.info('v-new');
    assert.equal(state, 'suspended');
    assert.equal(
      error,
      `grain 9 of v could not be copied: read of ${file} at byte ${9 * BLOCK} (${BLOCK} bytes) failed: EIO`,
    );
    assert.equal(pool.core.mapping('v-new').state, 'suspended');
    // The older one had to get it through the newer; it shows other grains, but not that instant.
    assert.match(pool.info('v-old').error, /grain 9 of v could not be copied/);
    for (const name of ['v', 'w', 'w-new']) assert.equal(pool.info(name).state, 'online', name);
    assert.ok(pool.logged('a copy is broken', { target: 'v-new', reason: error }));
    pool.fail();
    pool.verify();
    pool.dieAndLosePower();
  });

  it('at a grain that only the newest snapshot lacks leaves the older one whole', () => {
    const pool = new FaultyPool(2);
    pool.volume('v');
    pool.snapshot('old', 'v');
    pool.write('v', 5);
    pool.snapshot('new', 'v');
    pool.failReads('v', 5);
    pool.write('v', 4, 3);
    assert.deepEqual([pool.info('old').state, pool.info('new').state], ['online', 'suspended']);
    pool.fail();
    pool.verify();
    pool.dieAndLosePower();
  });

  it('fails the write instead, where the volume says failWrite', () => {
    const pool = new FaultyPool(3);
    pool.volume('v', { cowFailure: 'failWrite' });
    pool.snapshot('s', 'v');
    pool.failReads('v', 5);
    assert.match(pool.writeFails('v', 5), /read of .* at byte 20480 .* failed: EIO/);
    pool.write('v', 6);
    assert.equal(pool.info('s').state, 'online');
    pool.fail();
    pool.write('v', 5);
    pool.verify();
    pool.dieAndLosePower();
  });

  it('at a flush takes the volume offline for good; it is not flushed again, and its snapshots are served', () => {
    const pool = new FaultyPool(4);
    pool.volume('v');
    pool.write('v', 1);
    pool.snapshot('s', 'v');
    pool.write('v', 1, 4);
    const file = pool.fileOf('v');
    pool.fail({ kinds: ['flush'], path: new RegExp(file), errno: EIO, times: 1 });
    assert.match(pool.flushFails('v'), /flush of .* failed: EIO/);
    const { state, error } = pool.info('v');
    assert.deepEqual(
      [state, error],
      ['suspended', `a flush of its data failed: flush of ${file} failed: EIO`],
    );
    assert.match(pool.writeFails('v', 3), /offline/);
    assert.match(pool.flushFails('v'), /offline/);
    const flushes = pool.flushesOf(file);
    pool.churnLog('other');
    pool.verify();
    pool.die();
    assert.equal(pool.info('v').state, 'suspended');
    pool.churnLog('other');
    assert.equal(pool.flushesOf(file), flushes);
    pool.dieAndLosePower();
    assert.equal(pool.info('s').state, 'online');
  });

  it("at a copy's flush breaks that copy only, and the undo log goes on being emptied", () => {
    const pool = new FaultyPool(5);
    pool.volume('v');
    pool.snapshot('old', 'v');
    pool.write('v', 0, 8);
    pool.clone('copy', 'v', 0);
    pool.write('v', 4, 8);
    const file = pool.fileOf('copy');
    pool.fail({ kinds: ['flush'], path: new RegExp(file), errno: EIO, times: 1 });
    pool.write('copy', 20, 2);
    assert.match(pool.flushFails('copy'), /failed: EIO/);
    assert.deepEqual(
      ['v', 'old', 'copy'].map((name) => pool.info(name).state),
      ['online', 'online', 'suspended'],
    );
    assert.equal(pool.core.mapping('copy').state, 'suspended');
    assert.match(pool.core.mapping('copy').error, /flush of volumes\/\d+\.data failed: EIO/);
    const flushes = pool.flushesOf(file);
    pool.churnLog('v');
    pool.verify();
    pool.dieAndLosePower();
    assert.equal(pool.flushesOf(file), flushes);
    assert.equal(pool.info('old').state, 'online');
    pool.delete('copy');
    pool.settle();
    pool.verify();
  });

  it('at the cut of a snapshot does not have it reported, nor taken for made when it is asked for again', () => {
    const pool = new FaultyPool(6);
    pool.volume('v');
    pool.write('v', 1);
    pool.fail({ kinds: ['flush'], path: new RegExp(pool.fileOf('v')), errno: EIO, times: 1 });
    assert.match(pool.snapshotFails('s', 'v'), /flush/);
    assert.equal(pool.info('s').state, 'suspended');
    assert.match(pool.snapshotFails('s', 'v'), /offline/);
  });

  it('under the background copy is told by the mapping; the copy goes on when the disk does', () => {
    const pool = new FaultyPool(7);
    pool.volume('v');
    pool.failReads('v', 7);
    pool.clone('copy', 'v', 150);
    pool.wait(1000);
    const { state, error } = pool.core.mapping('copy');
    assert.equal(state, 'copying');
    assert.match(error, /read of volumes\/\d+\.data at byte \d+ \(\d+ bytes\) failed: EIO/);
    pool.fail();
    pool.settle();
    assert.deepEqual([pool.core.mapping('copy').state, pool.core.mapping('copy').error], ['copied', '']);
    pool.verify();
  });

  it('half-way through a write leaves what is read there as it was, whatever comes to it later', () => {
    const pool = new FaultyPool(10);
    pool.volume('v');
    // Zeros: what is not in the file of a copy is a hole there, and a hole is given without any I/O.
    pool.grow('v', 72);
    pool.clone('c', 'v', 0);
    const fault = { path: new RegExp(pool.fileOf('c')), errno: EIO, times: 1, half: true };
    for (const first of [64, 68]) {
      pool.fail({ ...fault, kinds: ['write'] });
      assert.match(pool.writeFails('c', first, 4), /write of .* failed: EIO/);
    }
    pool.fail();
    pool.verify();
    pool.write('v', 64, 2);
    pool.verify();
    pool.setCopyRate('c', 150);
    pool.settle();
    pool.verify();
    pool.dieAndLosePower();
  });

  it('at a flush is remembered, whatever else is being changed of that volume and its mapping', () => {
    for (let seed = 100; seed < 112; seed++) {
      const pool = new FaultyPool(seed);
      pool.volume('v');
      pool.clone('c', 'v', 0);
      pool.write('c', 1, 9);
      const file = pool.fileOf('c');
      pool.fail({ kinds: ['flush'], path: new RegExp(file), errno: EIO, times: 1 });
      pool.changeWhileFlushing('c', seed % 2 === 0 ? 'volume' : 'mapping');
      const { state, error } = pool.core.mapping('c');
      assert.deepEqual([pool.info('c').state, state], ['suspended', 'suspended'], `seed ${seed}`);
      assert.match(error, /flush of volumes.* failed: EIO/);
      const flushes = pool.flushesOf(file);
      pool.churnLog('v');
      assert.equal(pool.flushesOf(file), flushes, `seed ${seed}: flushed again`);
      pool.world.processDeath();
      pool.world.open();
      assert.deepEqual([pool.info('c').state, pool.core.mapping('c').state], ['suspended', 'suspended']);
      assert.equal(pool.flushesOf(file), flushes, `seed ${seed}: flushed by the next engine`);
    }
  });

  it('at a flush is known to the next engine, though the process died before the catalog had it', () => {
    let died = 0;
    for (let seed = 200; seed < 220; seed++) {
      const pool = new FaultyPool(seed);
      pool.volume('v');
      pool.volume('other');
      pool.snapshot('other-s', 'other');
      pool.write('other', 1, 9);
      pool.clone('c', 'v', 0);
      pool.write('c', 4, 9);
      pool.snapshot('reader', 'c');
      const file = pool.fileOf('c');
      pool.write('c', 20, 9);
      pool.fail({ kinds: ['flush'], path: new RegExp(file), errno: EIO, times: 1 });
      if (!pool.dieAtOffline('c', seed % 5)) continue;
      died += 1;
      const flushes = pool.flushesOf(file);
      pool.fail();
      pool.world.open();
      assert.equal(pool.info('c').state, 'suspended', `seed ${seed}`);
      assert.match(pool.info('c').error, /a flush of its data.* failed/);
      assert.equal(pool.flushesOf(file), flushes, `seed ${seed}: flushed by the next engine`);
      pool.verify();
      pool.churnLog('v');
      pool.dieAndLosePower();
      assert.deepEqual(
        ['c', 'v', 'other', 'other-s'].map((name) => pool.info(name).state),
        ['suspended', 'online', 'online', 'online'],
      );
    }
    assert.ok(died > 10, `${died} deaths before the catalog had it`);
  });

  it('where files are removed takes space, and undoes nothing', () => {
    const pool = new FaultyPool(11);
    pool.volume('v');
    pool.clone('c', 'v', 150);
    pool.settle();
    pool.churnLog('v');
    pool.write('v', 3, 9);
    pool.fail({ kinds: ['remove'], path: /./, errno: EIO, times: 1e9 });
    pool.sync('c');
    pool.settle();
    pool.verify();
    pool.snapshot('s', 'v');
    pool.write('v', 5, 3);
    pool.delete('s');
    pool.churnLog('v');
    pool.settle();
    const warned = pool.world.log.filter(({ message }) => /could not be removed/.test(message));
    const removed = (below: string) => warned.some(({ fields }) => String(fields['file']).startsWith(below));
    assert.ok(removed('bitmaps/') && removed('volumes/'), JSON.stringify(warned));
    pool.fail();
    pool.die();
    pool.sync('c');
    pool.settle();
    pool.verify();
    pool.dieAndLosePower();
  });

  it('under the undo log fails writes that need it; reads and other volumes go on, and so does the next engine', () => {
    const pool = new FaultyPool(8);
    for (const name of ['v', 'plain']) pool.volume(name);
    pool.snapshot('s', 'v');
    pool.fail({ kinds: ['flush'], path: /^log$/, errno: EIO, times: 1 });
    assert.match(pool.writeFails('v', 1), /the undo log takes no more records: flush of log failed: EIO/);
    assert.match(pool.writeFails('v', 2), /the undo log takes no more records/);
    pool.write('plain', 1);
    assert.ok(pool.warnings().some((text) => /undo log.*EIO/.test(text)));
    pool.verify();
    pool.die();
    pool.write('v', 1, 2);
    assert.deepEqual(pool.warnings(), []);
    pool.verify();
    pool.dieAndLosePower();
  });

  it('under bitmaps fails checkpoints until it works again, and loses nothing', () => {
    const pool = new FaultyPool(9);
    pool.volume('v');
    pool.snapshot('s', 'v');
    pool.fail({ kinds: ['write'], path: /^bitmaps/, errno: EIO, times: 1e9 });
    assert.match(pool.churnFails('v'), /write of bitmaps\/\d+\.\d+ at byte \d+ .* failed: EIO/);
    assert.ok(pool.warnings().some((text) => /bitmaps.*EIO/.test(text)));
    assert.equal(pool.info('s').state, 'online');
    pool.fail();
    pool.churnLog('v');
    pool.verify();
    pool.dieAndLosePower();
  });
});

describe('What follows from an error of the disk is durable in time:', () => {
  for (const { name, play } of FAULT_HISTORIES)
    it(name, () => {
      for (let seed = 1; seed <= SEEDS; seed++) play(seed);
    });
});

describe('Every single I/O of a busy pool may fail, and what is served after it is right', () => {
  const only = process.env['FAULT'];
  const step = process.env['FAULTS'] === 'all' ? 1 : 11;
  let total = 0;
  const cases = [
    { name: 'EIO', errno: EIO, kinds: ALL, path: /./, times: 1 },
    {
      name: 'EIO when half is done',
      errno: EIO,
      kinds: ['write', 'writev', 'punch'],
      path: /./,
      times: 1,
      half: true,
    },
    {
      name: 'no space',
      errno: ENOSPC,
      kinds: ['write', 'create', 'punch'],
      path: /^(volumes|bitmaps)/,
      times: 1,
    },
    {
      name: 'no space from there on',
      errno: ENOSPC,
      kinds: ['write', 'create', 'punch'],
      path: /^(volumes|bitmaps)/,
      times: 1e9,
    },
    { name: 'no space for a commit', errno: ENOSPC, kinds: ['commit'], path: /^$/, times: 1 },
    {
      name: 'no space for any commit from there on',
      errno: ENOSPC,
      kinds: ['commit'],
      path: /^$/,
      times: 1e9,
    },
  ] as const;
  for (const { name, ...fault } of cases) {
    it(name, () => {
      let injected = 0;
      for (let at = Number(only ?? 0); faultScenario(at, { ...fault, skip: at }); at += step) {
        injected += 1;
        if (only !== undefined) return;
      }
      assert.ok(injected * step > 150, `${injected}`);
      console.log(`      ${injected} faults injected, 0 violations`);
      total += injected;
    }).timeout(1_200_000);
  }

  after(() => console.log(`    ${total} faults injected, each in a history of its own`));
});
