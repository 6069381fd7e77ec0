/** Starts of mappings: groups that cannot be started in one instant, and what goes on in the target while its file is another one. */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import type { Plan } from '../../src/core/ops.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';
import { START_HISTORIES } from '../sim/start-histories.ts';

const SEEDS = 16;
const HOT = 96;

const stateOf = (pool: SmallPool, mapping: string): string =>
  pool.world.core['state'].findMapping(mapping).row.state;

describe('A group of mappings', () => {
  it('of which one has the target of another as its source is refused, and everything stays as it was', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core } = pool.world;
      const shown = { s: 1, t: 2, u: 3, ts: 2 };
      for (const name of ['s', 't', 'u'] as const) pool.volume(name, 4, shown[name]);
      pool.snapshot('ts', 't');
      pool.map('first', 's', 't');
      pool.map('second', 't', 'u');
      const group = seed % 2 === 0 ? ['first', 'second'] : ['second', 'first'];
      assert.throws(() => pool.world.run('start', core.startMappings(group)), /t is a target and a source/);
      for (const [name, byte] of Object.entries(shown))
        for (let grain = 0; grain < 4; grain++) assert.equal(pool.read(name, grain), byte, name);
    }
  });
});

describe('A mapping that is started again', () => {
  /** Grains that the source discards. */
  const DISCARDED = 12;

  function* stopAndStart({ world: { core } }: SmallPool): Plan<void> {
    yield* core.stopMapping('m');
    yield* core.startMappings(['m']);
  }

  it('shows nothing of the cut before, which a checkpoint was bringing to the file of the target', () => {
    let tried = 0;
    for (let seed = 1; seed <= HOT; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      const { core, runner } = world;
      pool.volume('v', 16, 1);
      pool.volume('c', 16, 5);
      pool.map('m', 'v', 'c');
      world.run('start', core.startMappings(['m']));
      world.run('discard', core.discard(pool.found('v'), 0, DISCARDED * BLOCK));
      const { file } = pool.found('c');
      let isOver = false;
      runner.call('again', stopAndStart(pool), () => {
        isOver = true;
      });
      for (let step = 3 + (seed % 8); step > 0; step--) runner.advance();
      assert.equal(isOver, false);
      world.checkpoint();
      runner.runUntil(() => isOver);
      runner.runFor(50);
      if (pool.found('c').file !== file) tried++;
      // Its grains are zeros now: it gets holes.
      for (let grain = 0; grain < DISCARDED; grain++) pool.write('v', grain, 2);
      for (let grain = 0; grain < DISCARDED; grain++)
        assert.equal(pool.read('c', grain), 0, `grain ${grain}, seed ${seed}`);
    }
    assert.ok(tried > HOT / 2, `${tried} of ${HOT}`);
  });
});

describe('A mapping that is being prepared', () => {
  it('when the engine dies is prepared and started by the next one', () => {
    let died = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 8, 1);
      pool.volume('c', 8, 5);
      pool.map('m', 'v', 'c');
      pool.write('v', 1, 2);
      world.disk.slowFlushes.add(pool.found('v').file.path);
      world.runner.call('prepare', world.core.prepareMapping('m'), () => {});
      for (let step = seed; step > 0; step--) world.runner.advance();
      if (stateOf(pool, 'm') === 'preparing') died++;
      world.processDeath();
      world.open();
      if (seed % 2 === 0) world.run('prepare', world.core.prepareMapping('m'));
      else if (stateOf(pool, 'm') === 'preparing')
        assert.throws(() => world.run('start', world.core.startMappings(['m'])), /prepare it again/);
      world.run('prepare', world.core.prepareMapping('m'));
      world.run('start', world.core.startMappings(['m']));
      assert.equal(pool.read('c', 1), 2, `seed ${seed}`);
    }
    assert.ok(died > SEEDS / 4, `${died} of ${SEEDS}`);
  });

  it('by two at a time is prepared, or idle again where the flush fails, and a start beside that stays one', () => {
    let prepared = 0;
    for (let seed = 1; seed <= HOT / 2; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 8, 1);
      pool.volume('c', 8, 5);
      pool.map('m', 'v', 'c');
      pool.write('v', 1, 2);
      const path = fileOf(pool.found('v'));
      disk.faults.push({ kinds: ['flush'], path, errno: EIO, times: 1, skip: seed % 3 });
      let isStarted = false;
      for (let i = 0; i < 2; i++) runner.call('prepare', core.prepareMapping('m'), () => {});
      for (let step = seed % 24; step > 0; step--) runner.advance();
      runner.call('start', core.startMappings(['m']), (error) => {
        isStarted = error === null;
      });
      runner.runUntilAnswered();
      const state = stateOf(pool, 'm');
      if (isStarted) assert.equal(state, 'copying', `seed ${seed}`);
      else assert.ok(['idle', 'prepared', 'suspended'].includes(state), `${state}, seed ${seed}`);
      if (state === 'prepared') prepared++;
    }
    assert.ok(prepared > HOT / 16, `${prepared} of ${HOT / 2}`);
  });
});

describe('Of a group whose start fails where one source is flushed', () => {
  const sources = ['a', 'b'] as const;

  it('the others are copied', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      for (const source of sources) {
        pool.volume(source, 8, 1);
        pool.volume(`t${source}`, 8, 5);
        const request = { source, target: `t${source}`, copyRate: 150, incremental: true };
        pool.world.run('map', core.createMapping({ name: `m${source}`, ...request }));
      }
      pool.write('a', 1, 2);
      disk.faults.push({
        kinds: ['flush'],
        path: fileOf(pool.found('a')),
        errno: EIO,
        times: 1,
      });
      assert.throws(() => pool.world.run('start', core.startMappings(['ma', 'mb'])), /flush of .* failed/);
      runner.runFor(60_000);
      assert.deepEqual([stateOf(pool, 'ma'), stateOf(pool, 'mb')], ['suspended', 'copied'], `seed ${seed}`);
    }
  });

  it('so are snapshots', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      for (const source of sources) pool.volume(source, 8, 1);
      pool.write('a', 1, 2);
      disk.faults.push({
        kinds: ['flush'],
        path: fileOf(pool.found('a')),
        errno: EIO,
        times: 1,
      });
      const group = sources.map((source) => ({ name: `s${source}`, source, copyRate: 150 }));
      assert.throws(() => pool.world.run('snapshots', core.createSnapshots(group)), /flush of .* failed/);
      runner.runFor(60_000);
      assert.ok(pool.found('sb').parent === null, `seed ${seed}`);
    }
  });
});

describe('A mapping that is started while its target grows', () => {
  it('leaves the target a file of its size', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      const { core, runner } = world;
      pool.volume('v', 4, 1);
      pool.volume('c', 4, 5);
      pool.map('m', 'v', 'c');
      const failures: unknown[] = [];
      const told = (error: unknown): void => {
        if (error !== null) failures.push(error);
      };
      runner.call('start', core.startMappings(['m']), told);
      runner.call('grow', core.growVolume('c', 8 * BLOCK), told);
      runner.runUntilAnswered();
      assert.deepEqual(failures, []);
      pool.write('c', 1, 9);
      pool.flush('c');
      if (seed % 2 === 0) world.losePower();
      else world.close(false);
      world.open();
      assert.equal(pool.found('c').offline, '', `seed ${seed}`);
      assert.equal(pool.read('c', 1), 9, `seed ${seed}`);
    }
  });
});

describe('When a mapping is started,', () => {
  for (const { name, play } of START_HISTORIES)
    it(name, () => {
      for (let seed = 1; seed <= HOT; seed++) play(seed);
    });
});

describe('A flush of what a target had before it was started', () => {
  it('takes nothing offline that it shows now, where it fails', () => {
    let tried = 0;
    for (let seed = 1; seed <= HOT; seed++) {
      const pool = new SmallPool(seed);
      const { core, disk, runner } = pool.world;
      pool.volume('v', 8, 1);
      pool.volume('c', 8, 5);
      pool.map('m', 'v', 'c');
      const { file } = pool.found('c');
      disk.faults.push({ kinds: ['flush'], path: fileOf({ file }), errno: EIO, times: 1 });
      disk.slowFlushes.add(file.path);
      runner.call('start', core.startMappings(['m']), () => {});
      for (let step = seed % 8; step > 0; step--) runner.advance();
      runner.call('flush', core.flush(pool.found('c')), () => {});
      runner.runUntilAnswered();
      if (pool.found('c').file === file || disk.injected.length === 0) continue;
      tried++;
      assert.equal(pool.found('c').offline, '', `seed ${seed}`);
    }
    assert.ok(tried > HOT / 4, `${tried} of ${HOT}`);
  });
});

describe('A volume', () => {
  it('does not become the target of its own target that a sync would hang on it again', () => {
    const pool = new SmallPool(1);
    const { core } = pool.world;
    pool.volume('v', 4, 1);
    for (const name of ['a', 'c']) {
      pool.clone(name, 'v');
      pool.copyAll(name);
    }
    // It stands alone, and the older one stays where it is.
    pool.world.run('stop', core.stopMapping('c'));
    pool.write('v', 0, 2);
    const back = (): void => {
      pool.map('back', 'a', 'v');
      pool.world.run('start', core.startMappings(['back']));
      pool.world.run('sync', core.syncMapping('a'));
      pool.read('v', 0);
    };
    assert.throws(back, /v is where a still reads from/);
    assert.equal(pool.read('v', 0), 2);
  });
});
