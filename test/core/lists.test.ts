/** What the list of mappings says, beside a simple count. */
import assert from 'node:assert/strict';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const GRAINS = 40;

/** Grains that were written since a copy's cut, in its source or in itself. */
type Changed = Map<string, { source: string; grains: Set<number> }>;

function writeSome(pool: SmallPool, changed: Changed, random: Random): void {
  const name = random.pick(['v', 'w', ...[...changed.keys()].filter((copy) => copy.startsWith('clone'))]);
  const grain = random.int(GRAINS);
  pool.write(name, grain, 2);
  for (const [copy, { source, grains }] of changed) if (copy === name || source === name) grains.add(grain);
}

describe('The list of mappings', function () {
  this.timeout(60_000);

  it('says of each how much has changed since its cut, in its source or in itself, as it says of one alone', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = new Random(seed);
      const pool = new SmallPool(seed);
      const { core } = pool.world;
      for (const name of ['v', 'w']) pool.volume(name, GRAINS, 1);
      const changed: Changed = new Map();
      for (let step = 0; step < 60; step++) {
        const source = random.pick(['v', 'w', ...changed.keys()]);
        const name = `${random.pick(['clone', 'snap'])}-${step}`;
        if (random.chance(0.2)) {
          if (name.startsWith('clone')) pool.clone(name, source);
          else pool.snapshot(name, source);
          changed.set(name, { source, grains: new Set() });
        } else if (changed.size > 0 && random.chance(0.1)) {
          const synced = random.pick([...changed.keys()]);
          if (synced.startsWith('snap')) continue;
          const { grains } = changed.get(synced)!;
          // All of these may change in it.
          for (const copy of changed.values())
            if (copy.source === synced) for (const grain of grains) copy.grains.add(grain);
          grains.clear();
          pool.world.run('sync', core.syncMapping(synced));
        } else writeSome(pool, changed, random);
        if (random.chance(0.05)) pool.emptyLog();
      }
      const list = pool.world.run('list', core.listMappings());
      assert.deepEqual(
        new Map(list.map((mapping) => [mapping.name, mapping.changedBytes / BLOCK])),
        new Map([...changed].map(([name, { grains }]) => [name, grains.size])),
        `seed ${seed}`,
      );
      for (const one of list) assert.deepEqual(pool.world.run('one', core.getMapping(one.name)), one);
    }
  });
});
