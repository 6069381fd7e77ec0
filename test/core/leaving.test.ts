/** Volumes that leave the tree, deleted, stopped or broken: what those keep that read through them, and what comes between. */
import assert from 'node:assert/strict';
import { ENOSPC } from '../../src/base/errors.ts';
import { breakForSpace } from '../../src/core/break.ts';
import { op, type Plan } from '../../src/core/ops.ts';
import { fill, givenBehindGate, large, MIB, PIECE, writePiece } from '../sim/large-volumes.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const GRAINS = 64;
const SEEDS = 16;
const HOT = 48;
/** Of the machine, in which the broken target may still be leaving. */
const STEPS = 25;

/**
 * A volume `v` that has changed at every other grain since the mapping `m` to `c` was started; `isRead`: an older snapshot `old`
 * reads in `c` what was there.
 */
function copyOf(seed: number, isRead: boolean): SmallPool {
  const pool = new SmallPool(seed);
  const { core } = pool.world;
  pool.volume('v', GRAINS, 1);
  if (isRead) pool.snapshot('old', 'v');
  pool.volume('c', GRAINS, 5);
  pool.map('m', 'v', 'c');
  pool.world.run('start', core.startMappings(['m']));
  for (let grain = 0; grain < GRAINS; grain += 2) pool.write('v', grain, 2);
  return pool;
}

const mapping = ({ world }: SmallPool) => world.core['state'].findMapping('m');

function assertShows(pool: SmallPool, name: string, expected: (grain: number) => number, seed: number): void {
  for (let grain = 0; grain < pool.found(name).grains; grain++)
    assert.equal(pool.read(name, grain), expected(grain), `grain ${grain} of ${name}, seed ${seed}`);
}

describe('A mapping that is ended while the engine is being closed', () => {
  for (const how of ['stopped', 'deleted'] as const)
    it(`is not ${how}, and what snapshots read in its target stays`, () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const pool = copyOf(seed, true);
        const { world } = pool;
        const { core, runner } = world;
        let refusal: unknown = null;
        const plan: Plan<unknown> = how === 'stopped' ? core.stopMapping('m') : core.deleteMapping('m', true);
        runner.call(how, plan, (error) => {
          refusal = error;
        });
        runner.runUntil(() => mapping(pool).row.state === 'stopping');
        runner.call('close', core.close(), () => {});
        runner.runUntilAnswered();
        world.processDeath();
        if (seed % 2 === 0) world.losePower();
        world.open();
        assertShows(pool, 'old', () => 1, seed);
        assert.match((refusal as Error).message, /could not end before the engine does/);
        world.run('again', world.core.deleteMapping('m', true));
        assertShows(pool, 'old', () => 1, seed);
      }
    });
});

describe('A mapping that two ask to stop', () => {
  it('can be started again when the first is answered', () => {
    let tried = 0;
    for (let seed = 1; seed <= HOT; seed++) {
      const pool = copyOf(seed, true);
      const { core, runner } = pool.world;
      const stopped: string[] = [];
      for (const name of ['first', 'second']) {
        runner.call(name, core.stopMapping('m'), () => void stopped.push(name));
        runner.runUntil(() => mapping(pool).row.state === 'stopping');
      }
      runner.runUntil(() => stopped.length > 0);
      if (stopped.length === 1) tried++;
      pool.world.run('start', core.startMappings(['m']));
      runner.runUntilAnswered();
      assertShows(pool, 'c', (grain) => (grain % 2 === 0 ? 2 : 1), seed);
      pool.write('v', 1, 3);
      assert.equal(pool.read('c', 1), 1, `c shows what is written to v, seed ${seed}`);
    }
    assert.ok(tried > HOT / 4, `${tried} of ${HOT}`);
  });
});

/**
 * The snapshot `t` is being deleted, and its reader `o` is about to hang on `p`. Of the grains there `t` has half itself, so that `p`
 * needs them for `o` only.
 */
function aboutToHang(seed: number): SmallPool | null {
  const pool = new SmallPool(seed);
  const { world } = pool;
  const { core, runner, disk } = world;
  const grains = 16;
  pool.volume('v', grains, 1);
  world.run('clone', core.cloneVolume('v', { name: 'o', sizeBytes: 0, copyRate: 0 }));
  for (const name of ['t', 'p']) pool.snapshot(name, 'v');
  for (let grain = 0; grain < grains - 1; grain++) pool.write('v', grain, 2);
  world.run('rate', core.setCopyRate('t', 50));
  const [o, t, p] = [pool.found('o'), pool.found('t'), pool.found('p')];
  runner.runUntil(() => t.held === null || t.held.count >= grains / 2);
  world.run('rate', core.setCopyRate('t', 0));
  for (const name of ['t', 'p', 'o']) pool.flush(name);
  if (t.parent !== p) return null;
  // It is flushed before it hangs on another one, and has something to flush.
  disk.slowFlushes.add(o.file.path);
  runner.call('delete', core.deleteSnapshot('t'), () => {});
  let isWriting = false;
  while (o.parent === t && !(p.gate['closed'] > 0 && disk.isUnderWay('flush', o.file.path))) {
    if (!isWriting) {
      isWriting = true;
      runner.call('write', pool.writing('o', 0, 9), () => {
        isWriting = false;
      });
    }
    runner.advanceOrFail();
  }
  return o.parent === t ? pool : null;
}

/** Its target's file does not take what comes there from the log. */
function failOnce(pool: SmallPool): void {
  const path = fileOf(pool.found('c'));
  pool.world.disk.faults = [{ kinds: ['write'], path, errno: ENOSPC, times: 1 }];
}

function dieWhileBroken(pool: SmallPool): void {
  const { world } = pool;
  failOnce(pool);
  world.checkpoint();
  world.runner.runUntil(() => mapping(pool).row.state === 'suspended');
  world.processDeath();
  world.disk.faults = [];
  world.open();
  assert.notEqual(pool.found('c').parent, null);
}

/** `c` is a volume of its own again, and its host uses it. */
function assertKeepsWrites(pool: SmallPool, seed: number): void {
  const written = [...Array(GRAINS / 8).keys()].map((i) => i * 8);
  for (const grain of written) pool.write('c', grain, 9);
  pool.flush('c');
  pool.world.runner.runFor(10_000);
  for (const grain of written) assert.equal(pool.read('c', grain), 9, `grain ${grain}, seed ${seed}`);
  assertShows(pool, 'old', () => 1, seed);
}

describe('A volume that is broken for want of space', () => {
  it('keeps what they need who are about to read through it', () => {
    let tried = 0;
    for (let seed = 1; seed <= HOT; seed++) {
      const pool = aboutToHang(seed);
      if (pool === null) continue;
      tried++;
      const { core, runner } = pool.world;
      const full = new Error('no space left');
      runner.call('break', breakForSpace(core['state'], pool.found('p'), full), () => {});
      runner.runUntilAnswered();
      assert.equal(runner.run('look', core.getVolume('o')).state, 'online');
      assertShows(pool, 'o', (grain) => (grain === 0 ? 9 : 1), seed);
    }
    assert.ok(tried > HOT / 4, `${tried} of ${HOT}`);
  });

  it('is not emptied when its mapping was deleted meanwhile and it has a new content', () => {
    let tried = 0;
    for (let seed = 1; seed <= HOT; seed++) {
      const pool = copyOf(seed, true);
      const { world } = pool;
      failOnce(pool);
      world.checkpoint();
      world.runner.runUntil(() => mapping(pool).row.state === 'suspended');
      for (let step = seed % STEPS; step > 0; step--) world.runner.advance();
      if (pool.found('c').parent !== null) tried++;
      world.run('delete', world.core.deleteMapping('m', true));
      assertKeepsWrites(pool, seed);
    }
    assert.ok(tried > HOT / 4, `${tried} of ${HOT}`);
  });

  for (const [when, isAfterDeath] of [
    ['while its mapping is being deleted', false],
    ['again, by the next engine, while its mapping is being deleted', true],
  ] as const)
    it(`${when} is not emptied when it has a new content`, () => {
      let tried = 0;
      for (let seed = 1; seed <= HOT; seed++) {
        const pool = copyOf(seed, true);
        const { world } = pool;
        if (isAfterDeath) dieWhileBroken(pool);
        let isDeleted = false;
        world.runner.call('delete', world.core.deleteMapping('m', true), () => {
          isDeleted = true;
        });
        if (!isAfterDeath) world.runner.runUntil(() => mapping(pool).row.state === 'stopping');
        failOnce(pool);
        const failures = world.disk.injected.length;
        world.checkpoint();
        world.runner.runUntil(() => isDeleted);
        tried += world.disk.injected.length - failures;
        assertKeepsWrites(pool, seed);
      }
      assert.ok(tried > HOT / 4, `${tried} of ${HOT}`);
    });
});

describe('A copy that is synced while a volume that it reads through is broken and leaves', () => {
  it('hangs elsewhere by then: it takes no more of that, and is not broken where it has no room', () => {
    for (let seed = 1; seed <= 3; seed++) {
      const pool = large(seed, 'v', 32);
      const { world } = pool;
      const { core, runner, disk } = world;
      pool.clone('c', 'v');
      pool.snapshot('s', 'v');
      fill(pool, 'v', 2, 32);
      pool.emptyLog();
      const [c, s, v] = [pool.found('c'), pool.found('s'), pool.found('v')];
      runner.call('break', breakForSpace(core['state'], s, new Error('no space left')), () => {});
      runner.runUntil(() => c.held!.count > 0);
      world.run('sync', core.syncMapping('c'));
      assert.equal(c.parent, v);
      assert.notEqual(s.leaving, null, `seed ${seed}`);
      disk.faults = [{ kinds: ['write'], path: fileOf(c), errno: ENOSPC, times: Number.POSITIVE_INFINITY }];
      runner.runUntilAnswered();
      assert.deepEqual([c.offline, c.held!.count], ['', 0], `seed ${seed}`);
      assert.deepEqual([pool.read('c', 0), pool.read('c', 32 * MIB - 1)], [2, 2]);
    }
  });
});

describe('A mapping that is deleted with force', () => {
  it('leaves an empty volume, also while a checkpoint brings to it what it was to have', () => {
    let tried = 0;
    for (let seed = 1; seed <= 2 * HOT; seed++) {
      const pool = copyOf(seed, false);
      const { world } = pool;
      const { core, runner } = world;
      let isOver = false;
      runner.call('delete', core.deleteMapping('m', true), () => {
        isOver = true;
      });
      for (let step = (seed * 7) % 200; step > 0 && !isOver; step--) runner.advance();
      if (isOver) continue;
      tried++;
      world.checkpoint();
      runner.runUntil(() => isOver);
      for (let grain = 0; grain < 16; grain += 2) runner.call('write', pool.writing('c', grain, 9), () => {});
      runner.runUntilAnswered();
      pool.flush('c');
      runner.runFor(5000);
      assertShows(pool, 'c', (grain) => (grain < 16 && grain % 2 === 0 ? 9 : 0), seed);
    }
    assert.ok(tried > HOT / 6, `${tried} of ${2 * HOT}`);
  });
});

describe('A copy that is larger than its source', () => {
  it('gives its readers what it has behind the source when it leaves between them and another such copy', () => {
    const pool = new SmallPool(1);
    pool.volume('v', 4, 1);
    pool.clone('a', 'v', 8);
    pool.write('a', 6, 7);
    pool.world.run('sync', pool.world.core.syncMapping('a'));
    pool.clone('x', 'a', 8);
    pool.clone('b', 'v', 8);
    pool.write('b', 6, 9);
    pool.world.run('sync', pool.world.core.syncMapping('b'));
    assert.equal(pool.read('x', 6), 7);
    pool.world.run('delete', pool.world.core.deleteVolume('a'));
    pool.world.runner.runFor(10_000);
    assert.equal(pool.read('x', 6), 7);
  });
});

describe('Hosts of the source of a volume that leaves', () => {
  it('do not wait for all that another needs which comes to hang on it meanwhile', () => {
    const pool = large(5, 'v', 20);
    const { core, runner } = pool.world;
    pool.snapshot('older', 'v');
    pool.snapshot('old', 'v');
    pool.world.run('clone', core.cloneVolume('v', { name: 'c', sizeBytes: 0, copyRate: 0 }));
    fill(pool, 'v', 2, 19);
    pool.emptyLog();
    const old = pool.found('old');
    const given = givenBehindGate(pool);
    let isStopped = false;
    runner.call('stop', core.stopMapping('c'), () => {
      isStopped = true;
    });
    runner.runUntil(() => old.held!.count > 0);
    runner.call('delete', core.deleteSnapshot('old'), () => {});
    runner.runUntil(() => isStopped);
    assert.ok(given() < MIB, `${given()} grains were given behind a closed gate`);
    assert.deepEqual([pool.read('older', 0), pool.read('older', 20 * MIB - 1)], [1, 1]);
  });

  /** `new` is deleted, `old` reads through it, and others have the turn to change the tree until `go`; what is left of its leaving is next. */
  function awaitTurn(pool: SmallPool): { go: () => void } {
    const { core, runner } = pool.world;
    const { structure } = core['state'];
    pool.snapshot('old', 'v');
    pool.snapshot('new', 'v');
    const turns = structure['locks']['entries'];
    const over = new Set<string>();
    const others = function* (name: string): Plan<void> {
      while (!over.has(name)) yield op.sleep(1);
    };
    const inTurn = (name: string, plan: Plan<unknown>): void => {
      const before = turns.length;
      runner.call(name, plan, () => {});
      runner.runUntil(() => turns.length > before);
    };
    inTurn('before', structure.run(others('before')));
    inTurn('delete', core.deleteSnapshot('new'));
    inTurn('after', structure.run(others('after')));
    over.add('before');
    runner.runUntil(() => pool.found('old').parent!.row.retired && turns.length === 2);
    return { go: () => over.add('after') };
  }

  function writeAll(pool: SmallPool, fromMib: number, toMib: number): void {
    for (let at = fromMib * MIB; at < toMib * MIB; at += PIECE)
      pool.world.runner.call('write', writePiece(pool, 'v', at, 2), () => {});
  }

  it('do not wait for all that has changed while others had the turn to change the tree', () => {
    const pool = large(5, 'v', 20);
    const { runner } = pool.world;
    const { go } = awaitTurn(pool);
    writeAll(pool, 0, 20);
    runner.runUntil(() => runner.calls === 1);
    const given = givenBehindGate(pool);
    go();
    runner.runUntil(() => pool.found('old').parent === pool.found('v'));
    assert.ok(given() < MIB, `${given()} grains were given behind a closed gate`);
    assert.equal(pool.read('old', 0), 1);
  });

  it('do not wait for all that changes while what has changed before is given', () => {
    const pool = large(5, 'v', 48);
    const { runner } = pool.world;
    const { go } = awaitTurn(pool);
    writeAll(pool, 0, 20);
    runner.runUntil(() => runner.calls === 1);
    const given = givenBehindGate(pool);
    const old = pool.found('old');
    go();
    runner.runUntil(() => old.held!.count > 0);
    writeAll(pool, 20, 48);
    runner.runUntil(() => old.parent === pool.found('v'));
    assert.ok(given() <= 16 * MIB, `${given()} grains were given behind a closed gate`);
    assert.deepEqual([pool.read('old', 0), pool.read('old', 48 * MIB - 1)], [1, 1]);
  });

  it('do not wait for a look at each run of grains that its reader has already', () => {
    const grains = 4096;
    const pool = new SmallPool(5, 64 * 2 ** 20);
    const { core, runner } = pool.world;
    pool.volume('v', grains, 1);
    pool.snapshot('old', 'v');
    pool.snapshot('new', 'v');
    for (let grain = 0; grain < grains; grain += 2) pool.write('v', grain, 2);
    const old = pool.found('old');
    const { gate } = pool.found('v');
    const held = old.held!;
    let looks = 0;
    const nextClear = held.nextClear.bind(held);
    held.nextClear = (from, end) => {
      if (gate['closed'] > 0) looks++;
      return nextClear(from, end);
    };
    pool.world.run('delete', core.deleteSnapshot('new'));
    runner.runUntil(() => old.parent === pool.found('v'));
    assert.equal(held.count, grains / 2);
    assert.ok(looks < 16, `${looks} looks behind a closed gate`);
  });
});

describe('Holes that are given to those who read through a volume', () => {
  const GRAIN = 2 ** 20;
  /** 4 GiB with 4 KiB of data in them. */
  function empty(): SmallPool {
    const pool = new SmallPool(2);
    const { world } = pool;
    world.disk.vagueExtents = false;
    world.run(
      'create',
      world.core.createVolume({ name: 'v', sizeBytes: 4 * 1024 * GRAIN, grainBytes: GRAIN }),
    );
    const block = { bytes: new Uint8Array(BLOCK).fill(1), address: 0 };
    world.run('write', world.core.write(pool.found('v'), 0, BLOCK, block, 0));
    return pool;
  }
  const seconds = ({ world }: SmallPool): number => world.disk.now / 1e6;

  it('do not count as copied bytes for the copy rate', () => {
    const pool = empty();
    const { core } = pool.world;
    const before = seconds(pool);
    pool.world.run(
      'clone',
      core.cloneVolume('v', { name: 'c', sizeBytes: 0, copyRate: 50, incremental: true }),
    );
    pool.awaitCopied('c');
    assert.ok(seconds(pool) - before < 60, 'at that rate 4 GiB take half an hour');
    assert.equal(pool.read('c', 0), 1);
  });

  it('do not keep the engine from being closed', () => {
    const pool = empty();
    const { core } = pool.world;
    pool.snapshot('s', 'v');
    const before = seconds(pool);
    pool.world.run('delete', core.deleteVolume('v'));
    pool.world.runner.runFor(500);
    pool.world.close(false);
    assert.ok(seconds(pool) - before < 10, 'they were waited for');
  });
});
