/** Syncs that are cut off by a loss of power. */
import assert from 'node:assert/strict';
import type { EngineRow } from '../../src/core/rows.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 12;

describe('A sync that is cut off', () => {
  it('leaves a bitmap’s file under no number that the catalog has not given out', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 8, 1);
      pool.clone('t', 'v');
      pool.copyAll('t');
      pool.write('v', 2, 5);
      pool.emptyLog();
      const before = new Set(disk.files.keys());
      const made = () => [...disk.files.keys()].filter((file) => !before.has(file));
      runner.call('sync', core.syncMapping('t'), () => {});
      runner.runUntil(() => made().length > 0);
      const [, id] = /^bitmaps\/(\d+)\.1$/.exec(made().join())!;
      pool.world.losePower();
      const engine = disk.rows().find((row) => row.table === 'engine')!.row as EngineRow;
      assert.ok(Number(id) < engine.nextId, `seed ${seed}: ${id}, and ${engine.nextId} is the next one`);
    }
  });
});
