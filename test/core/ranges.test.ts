/** Allocated ranges where very many grains lie scattered. */
import assert from 'node:assert/strict';
import type { RangePage } from '../../src/base/model.ts';
import type { Plan } from '../../src/core/ops.ts';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const GRAINS = 9000;

describe('Allocated ranges', function () {
  this.timeout(60_000);

  it('of very many scattered grains are looked at in parts, and are the grains that were written', () => {
    const random = new Random(1);
    const pool = new SmallPool(1, 64 * 2 ** 20);
    const { core, disk } = pool.world;
    disk.vagueExtents = false;
    const request = { name: 'v', sizeBytes: GRAINS * BLOCK, grainBytes: BLOCK };
    pool.world.run('create', core.createVolume(request));
    const written = new Set<number>();
    const write = (name: string, times: number): void => {
      for (let i = 0; i < times; i++) {
        const grain = GRAINS / 3 + random.int((GRAINS * 2) / 3);
        pool.write(name, grain, 1);
        written.add(grain);
      }
    };
    write('v', 500);
    pool.clone('c', 'v');
    write('c', 1500);
    const found: number[] = [];
    let most = 0;
    const watched = function* <T>(plan: Plan<T>): Plan<T> {
      let step = plan.next(0);
      for (; !step.done; step = plan.next(yield step.value))
        if (Array.isArray(step.value)) most = Math.max(most, step.value.length);
      return step.value;
    };
    for (let from: number | null = 0; from !== null; ) {
      const page: RangePage = pool.world.run('ranges', watched(core.allocatedRanges('c', from, 200)));
      for (const { offset, length } of page.ranges)
        for (let at = offset; at < offset + length; at += BLOCK) found.push(at / BLOCK);
      from = page.next;
    }
    assert.ok(most > 500 && most <= 1024, `${most} looks together`);
    assert.deepEqual(
      found,
      [...written].sort((a, b) => a - b),
    );
  });
});
