/** Mappings that are deleted: what their targets have after it, and those who read through them; also where it is cut off. */
import assert from 'node:assert/strict';
import { EIO, ENOSPC } from '../../src/base/errors.ts';
import { END_HISTORIES } from '../sim/end-histories.ts';
import { BLOCK, SimFile } from '../sim/sim-file.ts';
import { POOL } from '../sim/sim-world.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const SEEDS = 24;
const GRAINS = 8;

const shown = (pool: SmallPool, name: string): string =>
  Array.from({ length: GRAINS }, (_, grain) => pool.read(name, grain)).join('');
const all = (byte: number): string => String(byte).repeat(GRAINS);

const mappings = ({ world }: SmallPool) => [...world.core['state'].mappings.values()];
const has = (pool: SmallPool, mapping: string) => mappings(pool).some(({ row }) => row.name === mapping);
const stateOf = ({ world }: SmallPool, mapping: string) => world.core['state'].findMapping(mapping).row.state;
const remove = ({ world }: SmallPool, mapping: string, force: boolean) =>
  world.run('delete', world.core.deleteMapping(mapping, force));

/** One flush of the volume fails, and perhaps the commits that would say so. */
function failFlush(pool: SmallPool, name: string, commits = 0): void {
  const { core, disk, runner } = pool.world;
  const path = fileOf(pool.found(name));
  disk.faults.push({ kinds: ['flush'], path, errno: EIO, times: 1 });
  if (commits > 0) disk.faults.push({ kinds: ['commit'], path: /^$/, errno: EIO, times: commits });
  runner.call('flush', core.flush(pool.found(name)), (error) => assert.ok(error !== null));
  runner.runUntilAnswered();
  runner.runFor(100);
}

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

describe('A mapping that was never started, deleted', () => {
  for (const force of [false, true])
    it(`leaves its target as it is, also where that is offline, ${force ? 'with' : 'without'} force`, () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const pool = new SmallPool(seed);
        const { world } = pool;
        pool.volume('x', GRAINS, 7);
        pool.volume('v', GRAINS, 1);
        pool.snapshot('s', 'v');
        pool.write('v', 0, 2);
        pool.emptyLog();
        pool.write('v', 1, 3);
        const isFirst = seed % 2 === 0;
        if (isFirst) pool.map('m', 'x', 'v');
        if (seed % 4 === 0) world.run('prepare', world.core.prepareMapping('m'));
        failFlush(pool, 'v');
        if (!isFirst) pool.map('m', 'x', 'v');
        const { offline } = pool.found('v');
        remove(pool, 'm', force);
        for (const when of ['now', 'after a power cut']) {
          assert.equal(shown(pool, 's'), all(1), `seed ${seed}, ${when}`);
          assert.equal(pool.found('v').offline, offline, when);
          assert.ok(!has(pool, 'm'));
          pool.cutPower();
        }
      }
    });
});

describe('A mapping that was stopped when its target held all, deleted', () => {
  it('leaves the snapshots of that target what they show, where its flush has failed since', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', GRAINS, 1);
      pool.clone('c', 'v');
      pool.copyAll('c');
      world.run('stop', world.core.stopMapping('c'));
      pool.snapshot('s', 'c');
      pool.write('c', 0, 2);
      failFlush(pool, 'c', seed % 2);
      if (seed % 3 === 0) {
        pool.emptyLog();
        pool.cutPower();
      }
      assert.throws(() => remove(pool, 'c', false), /mapping c is suspended/);
      remove(pool, 'c', true);
      for (const when of ['now', 'after a power cut']) {
        assert.equal(shown(pool, 's'), all(1), `seed ${seed}, ${when}`);
        assert.equal(shown(pool, 'c'), all(0), `seed ${seed}, ${when}`);
        pool.cutPower();
      }
    }
  });
});

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
      runner.call('delete', core.deleteMapping('m', false), (error) => {
        deleteFailure = error;
      });
      runner.runUntilAnswered();
      if (isLate) continue;
      const isGone = mappings(pool).length === 0;
      outcomes[isGone ? 'gone' : 'started']++;
      const failed = isGone ? startFailure : deleteFailure;
      assert.match(
        String(failed),
        isGone ? /has ended or was deleted/ : /WrongState: mapping m (is|has become) copying/,
      );
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

describe('A mapping that is deleted half-copied', () => {
  for (const how of ['a death', 'a power cut', 'EIO', 'a commit that has no space'] as const)
    it(`and cut off by ${how} is deleted when asked again, and leaves an empty volume`, () => {
      let cutOff = 0;
      for (let seed = 1; seed <= 2 * SEEDS; seed++) {
        const pool = new SmallPool(seed);
        const { world } = pool;
        pool.volume('v', GRAINS, 1);
        pool.volume('c', GRAINS, 5);
        pool.map('m', 'v', 'c');
        world.run('start', world.core.startMappings(['m']));
        pool.write('v', 1, 2);
        pool.write('c', 2, 6);
        pool.clone('d', 'c');
        const path = fileOf(pool.found('c'));
        const { faults } = world.disk;
        if (how === 'EIO')
          faults.push({ kinds: ['flush', 'punch'], path, errno: EIO, times: 1, skip: seed % 3 });
        if (how === 'a commit that has no space')
          faults.push({ kinds: ['commit'], path: /^$/, errno: ENOSPC, times: 1, skip: seed % 8 });
        let isOver = false;
        let failure: unknown = null;
        world.runner.call('delete', world.core.deleteMapping('m', true), (error) => {
          isOver = true;
          failure = error;
        });
        const isBroken = how === 'a death' || how === 'a power cut';
        if (!isBroken) world.runner.runUntilAnswered();
        else for (let step = 3 * seed; step > 0 && !isOver; step--) world.runner.advance();
        if (isOver && failure === null) continue;
        cutOff++;
        if (how === 'a death') world.processDeath();
        if (how === 'a power cut') world.losePower();
        if (isBroken) world.open();
        // Or it was so far that it is gone.
        if (has(pool, 'm')) remove(pool, 'm', true);
        for (const when of ['now', 'after a power cut']) {
          assert.equal(pool.found('c').offline, '', `seed ${seed}, ${when}`);
          assert.equal(shown(pool, 'c'), all(0), `seed ${seed}, ${when}`);
          assert.equal(shown(pool, 'd'), '11611111', `seed ${seed}, ${when}`);
          pool.flush('c');
          pool.cutPower();
        }
        // To the clone of it, all of it has changed.
        world.run('sync', world.core.syncMapping('d'));
        assert.equal(shown(pool, 'd'), all(0), `seed ${seed}`);
      }
      assert.ok(cutOff > SEEDS / 2, `${cutOff}`);
    });
});

describe('A mapping that is suspended while its target is served', () => {
  /** An epoch of the source is not there any more. */
  function suspended(seed: number, isWhole: boolean): SmallPool {
    const pool = new SmallPool(seed);
    pool.volume('v', GRAINS, 1);
    pool.clone('t', 'v');
    pool.snapshot('s', 't');
    for (let grain = 0; grain < 4; grain++) pool.write('v', grain, 2);
    pool.write('t', 5, 6);
    if (isWhole) pool.copyAll('t');
    for (const name of ['t', 'v']) pool.flush(name);
    pool.emptyLog();
    const { id } = pool.found('v');
    openDamaged(pool, 'epoch', (row) => (row as { volume: number }).volume === id);
    assert.equal(stateOf(pool, 't'), 'suspended');
    assert.equal(shown(pool, 't'), '11111611');
    return pool;
  }

  for (const isWhole of [false, true])
    it(`leaves, deleted, ${isWhole ? 'its target as it is, which holds all' : 'an empty target'}`, () => {
      const left = isWhole ? '11111611' : all(0);
      for (let seed = 1; seed <= SEEDS; seed++) {
        const pool = suspended(seed, isWhole);
        assert.throws(() => remove(pool, 't', false), /mapping t is suspended/);
        assert.throws(
          () => pool.world.run('stop', pool.world.core.stopMapping('t')),
          /mapping t is suspended/,
        );
        remove(pool, 't', true);
        for (const when of ['now', 'after a power cut']) {
          assert.ok(pool.found('t').parent === null);
          assert.equal(pool.found('t').offline, '', `seed ${seed}, ${when}`);
          assert.equal(shown(pool, 't'), left, `seed ${seed}, ${when}`);
          assert.equal(shown(pool, 's'), all(1), `seed ${seed}, ${when}`);
          pool.cutPower();
        }
      }
    });

  it('and whose deletion the power cuts off shows what it did, or is offline, until it is deleted', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = suspended(seed, false);
      const { world } = pool;
      let isOver = false;
      world.runner.call('delete', world.core.deleteMapping('t', true), () => {
        isOver = true;
      });
      for (let step = 4 * seed; step > 0 && !isOver; step--) world.runner.advance();
      pool.cutPower();
      if (!isOver && pool.found('t').offline === '' && has(pool, 't'))
        assert.equal(shown(pool, 't'), '11111611', `seed ${seed}`);
      assert.equal(shown(pool, 's'), all(1), `seed ${seed}`);
      if (has(pool, 't')) remove(pool, 't', true);
      assert.equal(shown(pool, 't'), all(0), `seed ${seed}`);
      assert.equal(shown(pool, 's'), all(1), `seed ${seed}`);
    }
  });
});

describe('A mapping that is suspended while a data file is not there', () => {
  it('goes on when it is, also where its copy rate was changed meanwhile', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      const { disk } = world;
      pool.volume('v', GRAINS, 1);
      pool.clone('t', 'v');
      pool.emptyLog();
      const { path } = pool.found('v').file;
      world.close(false);
      const whole = disk.files.get(path)!;
      disk.files.set(path, SimFile.durable(4 * BLOCK, [...whole.durableBlocks].slice(0, 4)));
      world.open();
      world.run('rate', world.core.setCopyRate('t', 0));
      assert.equal(stateOf(pool, 't'), 'suspended');
      world.close(false);
      disk.files.set(path, whole);
      world.open();
      pool.write('v', 0, 2);
      world.run('sync', world.core.syncMapping('t'));
      pool.copyAll('t');
      assert.equal(shown(pool, 't'), '21111111', `seed ${seed}`);
    }
  });
});

describe('When a mapping is deleted,', () => {
  for (const { name, play } of END_HISTORIES)
    it(name, () => {
      for (let seed = 1; seed <= SEEDS; seed++) play(seed);
    });
});
