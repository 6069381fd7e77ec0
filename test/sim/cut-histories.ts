/**
 * Histories of a cut that is made and not told, because the flush of what it shows is slow; something else that depends on it is
 * told meanwhile, and the power goes. Run by seed, by their test and on broken cores (test/mutants).
 */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import type { Plan } from '../../src/core/ops.ts';
import { type PoolHistory, poolHistory } from './pool-history.ts';
import { SmallPool } from './small-pool.ts';

/** Histories may make another end of it. */
export class CutPool extends SmallPool {
  snapshotOf(source: string, name: string): Plan<unknown> {
    return this.world.core.createSnapshots([{ name, source, copyRate: 0 }]);
  }

  /** `source` shows 2, and a cut of it is made and not told. */
  begin(source: string, cut: Plan<unknown>): void {
    const { core, runner, disk } = this.world;
    this.write(source, 0, 2);
    disk.slowFlushes.add(this.found(source).file.path);
    const before = core['state'].counters.cuts;
    let isTold = false;
    runner.call('cut', cut, () => {
      isTold = true;
    });
    runner.runUntil(() => core['state'].counters.cuts > before);
    assert.equal(isTold, false, 'the flush of the source was meant to be slow');
  }

  afterPowerLoss(name: string): void {
    const { disk } = this.world;
    // What was not flushed is lost, all of it.
    disk.processDeath();
    for (const file of disk.files.values()) file.losePower(() => 'lost');
    this.cutPower();
    assert.equal(this.read(name, 0), 2, `${name} shows something else after the power was lost`);
  }
}

/** With a volume `v` of one block, which shows 1, and an incremental copy `c` of it. */
const history = (name: string, play: (pool: CutPool, seed: number) => void): PoolHistory =>
  poolHistory(name, (seed) => {
    const pool = new CutPool(seed);
    pool.volume('v', 1, 1);
    pool.clone('c', 'v');
    play(pool, seed);
  });

/** `ask`: makes a cut of `v` that `copy` shows. */
const again = (what: string, copy: string, ask: (pool: CutPool) => Plan<unknown>): PoolHistory =>
  history(`${what} is asked for again while its cut is not told`, (pool) => {
    pool.begin('v', ask(pool));
    pool.world.run('again', ask(pool));
    pool.afterPowerLoss(copy);
  });

/** Where a sync of `c` is when the host's flush of `v` fails. The process dies soon: what was not told is not told later either. */
function failAndDie(pool: CutPool, seed: number, isThere: (path: string) => boolean): void {
  const { core, disk, runner } = pool.world;
  const v = pool.found('v');
  const { path } = v.file;
  pool.write('v', 0, 2);
  pool.tick();
  disk.slowFlushes.add(path);
  let told: unknown = 'not yet';
  runner.call('sync', core.syncMapping('c', 'request-1'), (error) => {
    told = error;
  });
  runner.runUntil(() => isThere(path));
  disk.slowFlushes.clear();
  disk.faults.push({ kinds: ['flush'], path: new RegExp(path), errno: EIO, times: 1 });
  runner.call('flush', core.flush(v), () => {});
  runner.runUntil(() => v.offline !== '');
  for (let step = seed % 8; step > 0; step--) runner.advance();
  if (told === null) return; // its own flush came before
  pool.world.processDeath();
  pool.world.open();
  assert.throws(() => pool.world.run('again', pool.world.core.syncMapping('c', 'request-1')), /offline/);
}

export const CUT_HISTORIES: readonly PoolHistory[] = [
  history('a snapshot is made of a copy whose sync is not told', (pool) => {
    pool.begin('v', pool.world.core.syncMapping('c'));
    pool.snapshot('s', 'c');
    assert.equal(pool.read('s', 0), 2);
    pool.afterPowerLoss('s');
  }),

  history('a copy is synced with one whose own sync is not told', (pool) => {
    pool.clone('d', 'c');
    pool.begin('v', pool.world.core.syncMapping('c'));
    pool.world.run('sync', pool.world.core.syncMapping('d'));
    assert.equal(pool.read('d', 0), 2);
    pool.afterPowerLoss('d');
  }),

  history(
    'a snapshot is made of a copy whose sync is not told, and whose source has another content by then',
    (pool) => {
      const { core } = pool.world;
      pool.clone('d', 'c');
      pool.volume('w', 1, 1);
      pool.world.run('stop', core.stopMapping('c'));
      pool.world.run('delete', core.deleteMapping('c', false));
      pool.world.run('create', core.createMapping({ name: 'm', source: 'w', target: 'c', copyRate: 0 }));
      pool.begin('c', core.syncMapping('d'));
      pool.world.run('start', core.startMappings(['m']));
      // Its flush is of what has come to that place.
      pool.snapshot('s', 'd');
      pool.afterPowerLoss('s');
    },
  ),

  again('a snapshot', 's', (pool) => pool.snapshotOf('v', 's')),
  again('a clone', 'd', ({ world }) => world.core.cloneVolume('v', { name: 'd', sizeBytes: 0, copyRate: 0 })),
  again('a sync', 'c', ({ world }) => world.core.syncMapping('c', 'request-1')),

  history('a sync is not told and its source cannot be flushed, and the process dies', (pool, seed) =>
    failAndDie(pool, seed, (path) => pool.world.disk.isUnderWay('flush', path)),
  ),
  history('a sync is being made and its source cannot be flushed, and the process dies', (pool, seed) =>
    failAndDie(pool, seed, () => JSON.stringify(pool.world.disk.nextCommit).includes('request-1')),
  ),

  poolHistory('the source of a start that is not told is stopped, and the process dies', (seed) => {
    const pool = new CutPool(seed);
    const { core, runner } = pool.world;
    for (const name of ['v', 'x']) pool.volume(name, 2, 1);
    pool.clone('c', 'v');
    pool.map('m', 'c', 'x');
    // What is written to it later leaves its bits as they are: no checkpoint of the next engine has to flush it.
    pool.write('c', 0, 3);
    pool.flush('c');
    pool.emptyLog();
    pool.begin('c', core.startMappings(['m'], 'request-1'));
    runner.call('stop', core.stopMapping('c'), () => {});
    runner.runUntil(() => pool.found('c').offline !== '');
    pool.world.processDeath();
    pool.world.open();
    pool.world.run('again', pool.world.core.startMappings(['m'], 'request-1'));
    pool.afterPowerLoss('x');
  }),

  history('the source cannot be flushed after a cut, and a newer one came after it', (pool) => {
    const { core, runner, disk } = pool.world;
    const { path } = pool.found('v').file;
    pool.write('v', 0, 2);
    disk.slowFlushes.add(path);
    disk.faults.push({ kinds: ['flush'], path: new RegExp(path), errno: EIO, times: 9 });
    const told: string[] = [];
    for (const name of ['older', 'newer'])
      runner.call(name, pool.snapshotOf('v', name), (error) => {
        told.push(error === null ? name : (error as Error).message);
      });
    runner.runUntil(() => told.length === 2);
    for (const message of told) assert.match(message, /failed/);
    for (const name of ['older', 'newer']) {
      assert.equal(runner.run('look', core.getVolume(name)).state, 'suspended', name);
      assert.throws(() => pool.world.run('again', pool.snapshotOf('v', name)), /offline/);
    }
  }),
];
