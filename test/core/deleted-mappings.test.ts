/** Mappings that are deleted: what their targets have after it, and those who read through them; also where it is cut off. */
import assert from 'node:assert/strict';
import { POOL } from '../sim/sim-world.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 24;
const GRAINS = 8;

const shown = (pool: SmallPool, name: string): string =>
  Array.from({ length: GRAINS }, (_, grain) => pool.read(name, grain)).join('');
const all = (byte: number): string => String(byte).repeat(GRAINS);
const mappings = ({ world }: SmallPool) => [...world.core['state'].mappings.values()];
const stateOf = ({ world }: SmallPool, mapping: string) => world.core['state'].findMapping(mapping).row.state;

/** The next engine finds the first row damaged of which this is true. */
function openDamaged(pool: SmallPool, table: string, isIt: (row: object) => boolean): void {
  const { world } = pool;
  world.losePower();
  const rows = world.disk.rows();
  const damaged = rows.find((r) => r.table === table && isIt(r.row))!;
  const input = {
    rows: rows.filter((r) => r !== damaged),
    damaged: [{ table, key: damaged.key, error: 'the row is damaged' }],
    badFiles: [],
    shmSurvived: false,
    pool: POOL,
  };
  world.run('open', world.core.open(input));
}

describe('A mapping that is deleted while it is started', () => {
  it('is started, or gone: no target reads on without one', () => {
    const outcomes = { started: 0, gone: 0 };
    for (let seed = 1; seed <= 4 * SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, runner } = pool.world;
      pool.volume('v', GRAINS, 1);
      pool.volume('t', GRAINS, 5);
      pool.map('m', 'v', 't');
      let startFailure: unknown = null;
      let deleteFailure: unknown = null;
      runner.call('start', core.startMappings(['m']), (error) => {
        startFailure = error;
      });
      for (let step = seed % 25; step > 0; step--) runner.advance();
      const isLate = stateOf(pool, 'm') !== 'idle';
      runner.call('delete', core.deleteMapping('m', seed % 2 === 0), (error) => {
        deleteFailure = error;
      });
      runner.runUntilAnswered();
      if (isLate) continue;
      const isGone = mappings(pool).length === 0;
      outcomes[isGone ? 'gone' : 'started']++;
      const failed = isGone ? startFailure : deleteFailure;
      assert.match(String(failed), isGone ? /has ended or was deleted/ : /WrongState: mapping m is copying/);
      assert.equal(pool.found('t').parent === null, isGone, `seed ${seed}`);
      assert.equal(shown(pool, 't'), all(isGone ? 5 : 1), `seed ${seed}`);
    }
    assert.ok(outcomes.gone > SEEDS / 4 && outcomes.started > SEEDS / 4, JSON.stringify(outcomes));
  });
});

describe('A target whose mapping is lost', () => {
  it('does not become the target of another one: it still reads', () => {
    const pool = new SmallPool(1);
    pool.volume('v', GRAINS, 1);
    pool.volume('x', GRAINS, 7);
    pool.clone('t', 'v');
    openDamaged(pool, 'mapping', () => true);
    assert.throws(() => pool.map('m', 'x', 't'), /t still reads from v, without a mapping/);
  });
});
