/**
 * A full undo log: what one copy, or one change of the tree, has to say of many scattered grains does not keep the others
 * from going on, and nothing that was promised is lost for it.
 */
import assert from 'node:assert/strict';
import { EIO, ENOSPC } from '../../src/base/errors.ts';
import type { CowFailure } from '../../src/base/model.ts';
import { flushFailed } from '../../src/core/offline.ts';
import { type Plan, Signal } from '../../src/core/ops.ts';
import { LOG_BYTES_MIN } from '../../src/core/undo-log.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

/** So many that a flush says of every second one in the file of the bitmap that it is held. */
const MANY = 60_000;
/** So many that it says that in the log while there is room. */
const SOME = 8000;
const BUSY = 1200;

/** A target of `source` that has every second grain, and of that nothing in the log. */
function scattered(
  pool: SmallPool,
  name: string,
  source: string,
  grains: number,
  cowFailure: CowFailure = 'breakSnapshot',
): void {
  const { core, runner } = pool.world;
  const request = { name: source, sizeBytes: grains * BLOCK, grainBytes: BLOCK, cowFailure };
  pool.world.run('create', core.createVolume(request));
  for (const grain of [1, 3]) pool.write(source, grain, 1);
  pool.clone(name, source);
  for (let grain = 0; grain < grains; grain += 1024) pool.write(name, grain, 7);
  pool.emptyLog();
  for (let grain = 0; grain < grains; grain += 2) {
    runner.call('write', pool.writing(name, grain, 7), () => {});
    if (runner.calls > 64) runner.runUntil(() => runner.calls < 32);
  }
  runner.runUntilAnswered();
}

/** Of a neighbour, so many that hosts wait for room in the log. */
function busyWrites(pool: SmallPool): void {
  for (let grain = 0; grain < BUSY; grain++)
    pool.world.runner.call('write', pool.writing('busy', grain, 2), () => {});
}

function busyVolume(pool: SmallPool): void {
  pool.volume('busy', BUSY, 1);
  pool.snapshot('busy-s', 'busy');
  pool.volume('other', 1, 1);
  pool.clone('other-c', 'other');
  pool.write('other-c', 0, 1);
  pool.flush('other-c');
  pool.emptyLog();
  pool.awaitCheckpoint();
}

/** Something that takes until it is told to end. */
function held() {
  const over = new Signal();
  let isOver = false;
  const plan = function* (): Plan<void> {
    while (!isOver) yield over;
  };
  const end = (pool: SmallPool): void => {
    isOver = true;
    pool.world.runner.fire(over);
  };
  return { plan, end };
}

/**
 * The log is full for hosts, and no checkpoint can empty it before a write of `first` has ended, which has its room and waits
 * for a grain of its target. That target's lock is given back by the function that is returned.
 */
function fullLog(pool: SmallPool, first: () => Plan<void>, target: string): () => void {
  const { core, runner } = pool.world;
  const { log } = core['state'];
  const { locks } = pool.found(target);
  const slow = held();
  const copying = function* (): Plan<void> {
    const lock = yield* locks.take(3, 1);
    yield* slow.plan();
    locks.give(lock);
  };
  runner.call('slow', copying(), () => {});
  runner.runUntil(() => locks['entries'].length === 1);
  runner.call('first', first(), () => {});
  runner.runUntil(() => locks['entries'].length === 2);
  busyWrites(pool);
  runner.runUntil(() => log.line.length > 0 && runner.calls === log.line.length + 2);
  return () => slow.end(pool);
}

/** Flushes of others have taken what is kept free for bits. */
function fillBits(pool: SmallPool): void {
  const { log } = pool.world.core['state'];
  const volume = pool.found('other-c');
  const bit = { volume, bitmap: volume.held!, first: 0, count: 1, block: null, start: 0, marks: null };
  const fill = function* (): Plan<void> {
    for (let isFull = false; !isFull; ) isFull = yield* log.appendBits([bit]);
  };
  pool.world.run('fill', fill());
}

const four = (pool: SmallPool, name: string, byte: number) => (): Plan<void> => {
  const block = { bytes: new Uint8Array(4 * BLOCK).fill(byte), address: 0 };
  return pool.world.core.write(pool.found(name), 0, 4 * BLOCK, block, 0);
};

describe('A full undo log', function () {
  this.timeout(120_000);

  it('is emptied though it has grains of a copy whose flush failed, and its readers need much of what that copy has', () => {
    const pool = new SmallPool(1);
    const { core, runner } = pool.world;
    scattered(pool, 'c', 'v', MANY);
    pool.flush('c');
    pool.snapshot('s', 'c');
    busyVolume(pool);
    pool.write('v', 1, 3);
    const c = pool.found('c');
    assert.equal(c.unfilled, 1);
    flushFailed(core['state'], c, new Error('EIO'));
    busyWrites(pool);
    runner.runUntilAnswered();
    assert.ok(c.children.length > 0, 'nobody has waited for its leaving');
    assert.deepEqual([pool.read('s', 0), pool.read('s', 1)], [7, 1]);
    pool.emptyLog();
    assert.equal(pool.found('s').offline, '');
    runner.runUntil(() => c.parent === null);
    pool.cutPower();
    assert.deepEqual([pool.read('s', 0), pool.read('s', 1), pool.read('s', MANY - 2)], [7, 1, 7]);
  });

  it('is emptied though the file of a copy takes nothing more, and its readers need much of what that has', () => {
    const pool = new SmallPool(1);
    const { runner, disk } = pool.world;
    scattered(pool, 'c', 'v', MANY);
    pool.flush('c');
    pool.snapshot('s', 'c');
    busyVolume(pool);
    pool.write('v', 1, 3);
    const c = pool.found('c');
    const path = fileOf(c);
    disk.faults = [{ kinds: ['write'], path, errno: EIO, times: Number.POSITIVE_INFINITY }];
    busyWrites(pool);
    runner.runUntilAnswered();
    assert.match(c.offline, /cannot have what it needs/);
    assert.ok(c.children.length > 0, 'nobody has waited for its leaving');
    runner.runUntil(() => c.parent === null);
    assert.deepEqual([pool.read('s', 0), pool.read('s', 1)], [7, 1]);
    pool.cutPower();
    assert.deepEqual([pool.read('s', 0), pool.read('s', 1), pool.read('s', MANY - 2)], [7, 1, 7]);
  });

  for (const errno of [EIO, ENOSPC])
    it(`breaks no snapshot that waits for room to be told, where the file that it reads from takes nothing: errno ${errno}`, () => {
      const pool = new SmallPool(1);
      const { core, runner, disk } = pool.world;
      scattered(pool, 'c', 'v', SOME);
      busyVolume(pool);
      pool.volume('w', 4, 1);
      pool.snapshot('ws', 'w');
      pool.write('w', 0, 2);
      // Of grain 1 the log has something older than what the host has written, of grain 3 what is nowhere else.
      for (const grain of [1, 3]) pool.write('v', grain, 3);
      pool.write('c', 1, 5);
      for (let grain = 0; grain < SOME; grain += 2) pool.found('c').addPending(grain, 1);
      const go = fullLog(pool, four(pool, 'w', 3), 'ws');
      fillBits(pool);
      const path = fileOf(pool.found('c'));
      disk.faults = [{ kinds: ['write'], path, errno, times: Number.POSITIVE_INFINITY }];
      let isTold = false;
      runner.call('cut', core.createSnapshots([{ name: 's', source: 'c', copyRate: 0 }]), (error) => {
        isTold = error === null;
      });
      runner.runFor(10_000);
      assert.ok(!isTold);
      go();
      runner.runUntilAnswered();
      assert.ok(isTold);
      assert.match(pool.found('c').offline, /cannot have what it needs/);
      runner.runUntil(() => pool.found('c').parent === null);
      pool.cutPower();
      assert.deepEqual(
        [0, 1, 2, 3].map((grain) => pool.read('s', grain)),
        [7, 5, 7, 1],
      );
    });

  it('whose room writes under way have reserved is waited for until they end', () => {
    for (const grain of [BLOCK, 2 ** 20]) {
      const pool = new SmallPool(1, LOG_BYTES_MIN, true);
      const { core, runner } = pool.world;
      const length = 512 * 1024;
      const writes = 64;
      const stride = Math.max(grain, length);
      const request = { name: 'v', sizeBytes: writes * stride, grainBytes: grain };
      pool.world.run('create', core.createVolume(request));
      const writeAll = (byte: number): void => {
        const block = { bytes: new Uint8Array(length).fill(byte), address: 0 };
        for (let i = 0; i < writes; i++)
          runner.call('write', core.write(pool.found('v'), i * stride, length, block, 0), () => {});
        runner.runUntilAnswered();
      };
      writeAll(1);
      pool.flush('v');
      pool.snapshot('s', 'v');
      pool.emptyLog();
      writeAll(2);
      const shows = (name: string) => {
        const block = { bytes: new Uint8Array(BLOCK), address: 0 };
        pool.world.run('read', core.read(pool.found(name), (writes - 1) * stride, BLOCK, block, 0));
        return block.bytes[0];
      };
      assert.deepEqual([shows('v'), shows('s')], [2, 1], `grains of ${grain} bytes`);
    }
  });

  it('has room first for who has waited longest: small writes do not pass by a large one', () => {
    const MiB = 2 ** 20;
    for (const writers of [8, 64]) {
      const pool = new SmallPool(1, LOG_BYTES_MIN, true);
      const { core, runner } = pool.world;
      const writing = (byte: number) => {
        const block = { bytes: new Uint8Array(MiB).fill(byte), address: 0 };
        return core.write(pool.found('v'), BLOCK, MiB, block, 0);
      };
      pool.world.run('create', core.createVolume({ name: 'v', sizeBytes: 2 * MiB, grainBytes: MiB }));
      pool.world.run('write', writing(1));
      pool.snapshot('s', 'v');
      busyVolume(pool);
      let small = 0;
      let begun = 0;
      const next = (): void => {
        if (begun === BUSY) return;
        runner.call('small', pool.writing('busy', begun++, 2), () => {
          small++;
          next();
        });
      };
      for (let writer = 0; writer < writers; writer++) next();
      let isWritten = false;
      runner.call('large', writing(2), () => {
        isWritten = true;
      });
      runner.runUntil(() => isWritten);
      assert.ok(small < BUSY / 2, `${small} small writes before it`);
      runner.runUntilAnswered();
      pool.cutPower();
      assert.equal(pool.read('s', 1), 1);
    }
  });

  it('keeps nobody waiting behind those who wait at a gate', () => {
    const pool = new SmallPool(1);
    const { core, runner } = pool.world;
    busyVolume(pool);
    for (const name of ['w', 'x', 'y']) {
      pool.volume(name, BUSY, 1);
      pool.snapshot(`${name}-s`, name);
    }
    pool.emptyLog();
    pool.write('w', 0, 2);
    const go = fullLog(pool, four(pool, 'w', 3), 'w-s');
    for (let grain = 0; grain < BUSY; grain++) runner.call('x', pool.writing('x', grain, 3), () => {});
    runner.runUntil(() => core['state'].log.line.length === runner.calls - 2);
    let isWritten = false;
    runner.call('y', pool.writing('y', 0, 3), () => {
      isWritten = true;
    });
    runner.runUntil(() => core['state'].log.line.length === runner.calls - 2);
    const { gate } = pool.found('x');
    gate.close();
    go();
    runner.runUntil(() => isWritten);
    assert.ok(runner.calls >= BUSY);
    gate.release();
    runner.runUntilAnswered();
    assert.deepEqual([pool.read('x', 0), pool.read('x-s', 0), pool.read('y-s', 0)], [3, 1, 1]);
  });

  it('does not keep a sync waiting that a checkpoint waits for', () => {
    const pool = new SmallPool(1);
    const { core, runner, disk } = pool.world;
    const state = core['state'];
    scattered(pool, 'c', 'v', SOME);
    busyVolume(pool);
    for (let grain = 0; grain < SOME; grain += 2) pool.found('c').addPending(grain, 1);
    pool.volume('broken', 4, 1);
    pool.snapshot('broken-s', 'broken');
    const queue = state.structure['locks']['entries'];
    const before = held();
    runner.call('before', state.structure.run(before.plan()), () => {});
    runner.runUntil(() => queue.length === 1);
    runner.call('sync', core.syncMapping('c'), () => {});
    runner.runUntil(() => queue.length === 2);
    // The checkpoint has to break this copy, which is a change of the tree.
    pool.write('broken', 0, 2);
    const path = fileOf(pool.found('broken-s'));
    disk.faults = [{ kinds: ['write'], path, errno: ENOSPC, times: Number.POSITIVE_INFINITY }];
    pool.world.checkpoint();
    runner.runUntil(() => queue.length === 3);
    busyWrites(pool);
    runner.runUntil(() => state.log.line.length > 0 && runner.calls === state.log.line.length + 2);
    fillBits(pool);
    before.end(pool);
    runner.runUntilAnswered();
    assert.match(pool.found('broken-s').offline, /cannot have what it needs/);
    pool.cutPower();
    assert.deepEqual([pool.read('c', 0), pool.read('c', 1)], [0, 1]);
  });

  it('keeps the room of a write that has its locks, whatever is flushed meanwhile', () => {
    const pool = new SmallPool(1);
    const { core, runner } = pool.world;
    scattered(pool, 'c', 'v', SOME);
    pool.world.run('create', core.createVolume({ name: 't', sizeBytes: SOME * BLOCK, grainBytes: BLOCK }));
    pool.map('m', 'c', 't');
    busyVolume(pool);
    for (let grain = 0; grain < SOME; grain += 2) pool.found('c').addPending(grain, 1);
    pool.volume('w', 4, 1);
    pool.snapshot('ws', 'w');
    pool.write('w', 0, 2);
    const go = fullLog(pool, four(pool, 'w', 3), 'ws');
    let isPrepared = false;
    runner.call('prepare', core.prepareMapping('m'), (error) => {
      isPrepared = error === null;
    });
    runner.runFor(10_000);
    fillBits(pool);
    go();
    runner.runUntilAnswered();
    assert.ok(isPrepared);
    assert.deepEqual([pool.read('w', 0), pool.read('ws', 0), pool.read('ws', 3)], [3, 1, 1]);
  });

  it('has room for what a write needs of the bits of a target, also where the others find none', () => {
    let landed = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const pool = new SmallPool(seed);
      const { runner } = pool.world;
      busyVolume(pool);
      pool.volume('w', 4, 1);
      pool.clone('wc', 'w');
      // Of grain 0 the log has what the target must not be without; of grain 1 the target has the host's, which is not flushed.
      pool.write('w', 0, 2);
      pool.write('wc', 1, 5);
      let isWritten = false;
      const write = function* (): Plan<void> {
        yield* four(pool, 'w', 3)();
        isWritten = true;
      };
      const go = fullLog(pool, write, 'wc');
      fillBits(pool);
      go();
      runner.runUntil(() => isWritten);
      pool.cutPower();
      if (pool.read('w', 1) === 3) landed++;
      assert.deepEqual(
        [pool.read('wc', 0), pool.read('wc', 1), pool.read('wc', 2)],
        [1, 5, 1],
        `seed ${seed}`,
      );
    }
    assert.ok(landed > 0);
  });

  it('is waited for before a cut is told of which it has something older', () => {
    const pool = new SmallPool(1);
    const { core, runner } = pool.world;
    scattered(pool, 'c', 'v', SOME);
    busyVolume(pool);
    pool.write('v', 1, 3);
    pool.write('c', 1, 5);
    for (let grain = 0; grain < SOME; grain += 2) pool.found('c').addPending(grain, 1);
    pool.volume('w', 4, 1);
    pool.snapshot('ws', 'w');
    pool.write('w', 0, 2);
    const go = fullLog(pool, four(pool, 'w', 3), 'ws');
    fillBits(pool);
    let isTold = false;
    runner.call('cut', core.createSnapshots([{ name: 's', source: 'c' }]), () => {
      isTold = true;
    });
    runner.runFor(10_000);
    assert.ok(pool.found('c').hasLogged(1, 1));
    assert.ok(!isTold);
    go();
    runner.runUntil(() => isTold);
    pool.cutPower();
    assert.deepEqual([pool.read('s', 0), pool.read('s', 1)], [7, 5]);
  });
});

describe('An undo log that cannot be emptied', () => {
  const noBitmaps = {
    kinds: ['create' as const],
    path: /^bitmaps/,
    errno: ENOSPC,
    times: Number.POSITIVE_INFINITY,
  };

  /** `c` has more to say of what it holds than there is room for; `busy` takes no more writes. None is broken for that. */
  function fullPool(): SmallPool {
    const pool = new SmallPool(1);
    const { core, disk } = pool.world;
    scattered(pool, 'c', 'v', MANY, 'failWrite');
    const sizeBytes = BUSY * BLOCK;
    const request = { name: 'busy', sizeBytes, grainBytes: BLOCK, cowFailure: 'failWrite' as const };
    pool.world.run('create', core.createVolume(request));
    for (let grain = 0; grain < BUSY; grain++) pool.write('busy', grain, 1);
    pool.snapshot('busy-s', 'busy');
    pool.volume('plain', 4, 1);
    disk.faults = [noBitmaps];
    assert.throws(() => {
      for (let grain = 0; grain < BUSY; grain++) pool.write('busy', grain, 2);
    }, /the undo log cannot be emptied/);
    return pool;
  }

  it('keeps no volume from being flushed that has nothing to say in it', () => {
    const pool = fullPool();
    // It takes what is left for bits.
    assert.throws(() => pool.flush('c'), { code: 'OutOfSpace' });
    pool.write('plain', 0, 9);
    pool.flush('plain');
    pool.cutPower();
    assert.equal(pool.read('plain', 0), 9);
  });

  it('fails no write for which it has room, whoever waits before', () => {
    const pool = fullPool();
    const { core, disk, runner } = pool.world;
    disk.faults = [];
    pool.emptyLog();
    pool.awaitCheckpoint();
    const large = {
      name: 'large',
      sizeBytes: 2 ** 20,
      grainBytes: 2 ** 20,
      cowFailure: 'failWrite' as const,
    };
    pool.world.run('create', core.createVolume(large));
    pool.write('large', 0, 1);
    pool.snapshot('large-s', 'large');
    disk.faults = [noBitmaps];
    // What is left is enough for a small one.
    for (let grain = BUSY - 450; grain < BUSY; grain++) pool.write('busy', grain, 2);
    const failed: string[] = [];
    const write = (name: string, grain: number) =>
      runner.call(name, pool.writing(name, grain, 3), (error) => {
        if (error !== null) failed.push(name);
      });
    write('large', 0);
    runner.runUntil(() => core['state'].log.line.length === 1);
    write('busy', BUSY - 451);
    runner.runUntilAnswered();
    assert.deepEqual(failed, ['large']);
    pool.cutPower();
    assert.deepEqual([pool.read('busy-s', BUSY - 451), pool.read('large-s', 0)], [1, 1]);
  });

  it('loses no cut of which it cannot say that it is durable: asked for again it is told', () => {
    const pool = fullPool();
    assert.throws(() => pool.snapshot('s', 'c'), { code: 'OutOfSpace' });
    pool.world.disk.faults = [];
    pool.snapshot('s', 'c');
    assert.equal(pool.read('s', 0), 7);
    pool.cutPower();
    assert.equal(pool.read('s', 0), 7);
  });
});
