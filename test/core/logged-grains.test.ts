/** What is said of a run of grains concerns those of them that are in the undo log, however long it is. */
import assert from 'node:assert/strict';
import { Random } from '../sim/random.ts';
import { SmallPool } from '../sim/small-pool.ts';

/** Longer than any volume: no loop over its grains comes to its end. */
const ALL = 2 ** 50;

describe('Of the grains of a run those in the undo log', () => {
  it('count as filled, and as older than what the file has, and no others do', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = new Random(seed);
      const pool = new SmallPool(seed);
      const { log } = pool.world.core['state'];
      pool.volume('v', 24, 1);
      pool.snapshot('s', 'v');
      const written = random
        .shuffled(Array.from({ length: 24 }, (_, grain) => grain))
        .slice(0, random.int(24));
      for (const grain of written) pool.write('v', grain, 2);
      const s = pool.found('s');
      const first = random.int(24);
      const count = random.chance(0.2) ? ALL : random.int(24);
      const said = written.filter((grain) => grain >= first && grain < first + count);
      assert.equal(s.hasLogged(first, count), said.length > 0, `seed ${seed}`);
      log.noteFilled(s, first, count);
      s.noteNewer(first, count);
      assert.deepEqual(s.newer, new Set(said), `seed ${seed}`);
      assert.equal(s.unfilled, written.length - said.length, `seed ${seed}`);
      const filled = [...s.logged].filter(([, at]) => at % 2 === 1).map(([grain]) => grain);
      assert.deepEqual(new Set(filled), new Set(said), `seed ${seed}`);
      const live = [...s.logged.values()].filter((at) => log['arena'].slotLive(Math.floor(at / 2)));
      assert.equal(live.length, s.unfilled, `seed ${seed}`);
    }
  }).timeout(60_000);
});
