/** Where a grain's content is. */
import assert from 'node:assert/strict';
import { firstSegment, resolve, type Segment } from '../../src/core/content.ts';
import { Random } from '../sim/random.ts';
import { SmallPool } from '../sim/small-pool.ts';

const GRAINS = 200;
const LOOKS = 400;

const place = ({ owner, first, count, slot }: Segment) => ({ owner: owner.name, first, count, slot });

/** Snapshots and clones of clones; much of what they have is in the log only. */
function scattered(random: Random, seed: number): { pool: SmallPool; names: string[] } {
  const pool = new SmallPool(seed);
  pool.volume('v', GRAINS, 1);
  const names = ['v'];
  const writable = ['v'];
  for (let step = 0; step < 60; step++) {
    const source = random.pick(writable);
    if (random.chance(0.1)) {
      const name = `${source}-${step}`;
      names.push(name);
      if (random.chance(0.5)) pool.snapshot(name, source);
      else {
        pool.clone(name, source);
        writable.push(name);
      }
    } else if (random.chance(0.05)) pool.emptyLog();
    else {
      const first = random.int(GRAINS);
      const end = Math.min(GRAINS, first + 1 + random.int(8));
      for (let grain = first; grain < end; grain++) pool.write(source, grain, step);
    }
  }
  return { pool, names };
}

describe('The first segment of a range', () => {
  it('is the first of all its segments', () => {
    let logged = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const random = new Random(seed);
      const { pool, names } = scattered(random, seed);
      for (let look = 0; look < LOOKS; look++) {
        const volume = pool.found(random.pick(names));
        const first = random.int(GRAINS);
        const end = first + 1 + random.int(GRAINS - first);
        const found = firstSegment(volume, first, end);
        assert.deepEqual(place(found), place(resolve(volume, first, end)[0]!), `seed ${seed}`);
        if (found.slot >= 0) logged++;
      }
    }
    assert.ok(logged > LOOKS);
  });
});
