/** A flush that fails while something of that volume, or of its mapping, is being committed. */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import type { Core } from '../../src/core/core.ts';
import { flushFailed } from '../../src/core/offline.ts';
import type { Plan } from '../../src/core/ops.ts';
import type { Volume } from '../../src/core/volume.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const STEPS = 40;
const GRAINS = 8;

/** `t` is to become a copy of `v`. */
function idle(seed: number): SmallPool {
  const pool = new SmallPool(seed);
  pool.volume('v', GRAINS, 1);
  pool.volume('t', GRAINS, 5);
  pool.map('t', 'v', 't');
  return pool;
}

/** And somebody reads what it has now. */
function withSnapshot(seed: number): SmallPool {
  const pool = idle(seed);
  pool.snapshot('s', 't');
  pool.write('t', 1, 6);
  return pool;
}

/** `t` is one. */
function copied(seed: number): SmallPool {
  const pool = new SmallPool(seed);
  pool.volume('v', GRAINS, 1);
  pool.clone('t', 'v');
  pool.copyAll('t');
  pool.emptyLog();
  pool.write('v', 0, 2);
  pool.write('t', 1, 4);
  return pool;
}

type Act = (core: Core) => Plan<unknown>;
const start: Act = (core) => core.startMappings(['t']);

const OPERATIONS: readonly { name: string; begin: (seed: number) => SmallPool; act: Act }[] = [
  { name: 'is prepared', begin: idle, act: (core) => core.prepareMapping('t') },
  { name: 'is started', begin: withSnapshot, act: start },
  { name: 'is synced', begin: copied, act: (core) => core.syncMapping('t') },
  { name: 'is stopped', begin: copied, act: (core) => core.stopMapping('t') },
  { name: 'is deleted', begin: copied, act: (core) => core.deleteMapping('t', true) },
];

/** What the operation ended with, if a flush fails so many steps after it began; `failsToo`: and so does a commit after that. */
function flushFailsBeside(pool: SmallPool, act: Act, steps: number, failsToo: boolean): unknown {
  const { core, disk, runner } = pool.world;
  const t = pool.found('t');
  const path = fileOf(t);
  let outcome: unknown = 'under way';
  runner.call('operation', act(core), (error) => {
    outcome = error;
  });
  for (let step = 0; step < steps; step++) runner.advance();
  disk.faults = [{ kinds: ['flush'], path, errno: EIO, times: 1 }];
  if (failsToo) disk.faults.push({ kinds: ['commit'], path: /^$/, errno: EIO, times: 1 });
  if (outcome === 'under way') runner.call('flush', core.flush(t), () => {});
  runner.runUntilAnswered();
  disk.faults = [];
  pool.world.checkpoint();
  pool.awaitCheckpoint();
  // No commit is under way that memory has yet to follow.
  runner.runUntil(() => core['state']['submitted'].size === 0);
  return outcome;
}

function assertCatalogKnows({ world }: SmallPool, label: string): void {
  const { volumes, mappings } = world.core['state'];
  const rows = (table: string) =>
    new Map(world.disk.rows().flatMap((r) => (r.table === table ? [[r.key, r.row]] : [])));
  const inMemory = (of: Map<number, { row: object }>) =>
    new Map([...of].map(([key, { row }]) => [key, JSON.parse(JSON.stringify(row)) as object]));
  assert.deepEqual(rows('mapping'), inMemory(mappings), label);
  assert.deepEqual(rows('volume'), inMemory(volumes), label);
}

describe('A flush that fails while the mapping of its volume', () => {
  for (const { name, begin, act } of OPERATIONS) {
    it(`${name} is in the catalog as it is in memory`, () => {
      for (let steps = 1; steps <= STEPS; steps++) {
        const pool = begin(steps);
        flushFailsBeside(pool, act, steps, false);
        assertCatalogKnows(pool, `${steps} steps`);
      }
    });

    it(`${name} is in the catalog with the next checkpoint, where a commit fails too`, () => {
      for (let steps = 1; steps <= STEPS; steps++) {
        const pool = begin(steps);
        flushFailsBeside(pool, act, steps, true);
        assertCatalogKnows(pool, `${steps} steps`);
      }
    });
  }

  it('is started speaks of its old content only', () => {
    for (let steps = 1; steps <= 2 * STEPS; steps++) {
      const pool = withSnapshot(steps);
      const { file } = pool.found('t');
      const error = flushFailsBeside(pool, start, steps, steps % 2 === 0);
      const t = pool.found('t');
      assert.equal(t.offline === '', error === null, `${steps} steps: ${error}, ${t.offline}`);
      assert.equal(t.file !== file, error === null, `${steps} steps`);
      pool.cutPower();
      if (error === null) assert.equal(pool.read('t', 0), 1);
      assert.equal(pool.read('s', 0), 5);
    }
  });
});

/** `c` gets some grains, and they are not flushed. */
function copyThree(pool: SmallPool): void {
  const { core, disk, runner } = pool.world;
  const c = pool.found('c');
  disk.slowFlushes.add(c.file.path);
  pool.world.run('rate', core.setCopyRate('c', 1));
  runner.runUntil(() => c.held!.count >= 3);
  pool.world.run('rate', core.setCopyRate('c', 0));
}

/** The copy `l` leaves the tree, or its place there, and its reader `s` comes to hang on `c`. That has grains which the power would take, or null. */
function aboutToHang(seed: number, how: 'deleted' | 'synced'): SmallPool | null {
  const pool = new SmallPool(seed);
  const { core, runner } = pool.world;
  pool.volume('v', GRAINS, 1);
  // Its own source, or a copy of the same one that is newer.
  if (how === 'deleted') pool.clone('c', 'v');
  const source = how === 'deleted' ? 'c' : 'v';
  pool.clone('s', source);
  pool.clone('l', source);
  pool.copyAll('l');
  if (how === 'synced') pool.clone('c', 'v');
  pool.emptyLog();
  pool.awaitCheckpoint();
  copyThree(pool);
  const c = pool.found('c');
  const plan: Plan<unknown> = how === 'deleted' ? core.deleteVolume('l') : core.syncMapping('l');
  runner.call(how, plan, () => {});
  return c.pending.length > 0 ? pool : null;
}

/** `s`, a copy of `t`, reads through a newer one that has everything and depends on nobody. */
function behindWhole(pool: SmallPool): void {
  const { core, runner } = pool.world;
  pool.clone('s', 't');
  pool.world.run('clone', core.cloneVolume('t', { name: 'whole', sizeBytes: 0, copyRate: 150 }));
  const whole = pool.found('whole');
  runner.runUntil(() => whole.held === null);
}

/** Nothing that is not flushed is on the disk. */
function loseAll(pool: SmallPool): void {
  const { disk } = pool.world;
  disk.processDeath();
  for (const file of disk.files.values()) file.losePower(() => 'lost');
  pool.cutPower();
}

function assertShows1(pool: SmallPool, label: string): void {
  for (let grain = 0; grain < GRAINS; grain++)
    assert.equal(pool.read('s', grain), 1, `grain ${grain}, ${label}`);
}

/** The flush of `c` fails, the source is overwritten and the power lost: the copy is offline, or shows what it did. */
function assertNothingWrong(pool: SmallPool, c: Volume, label: string): void {
  const { core, runner } = pool.world;
  flushFailed(core['state'], c, new Error('EIO'));
  runner.runFor(2000);
  for (let grain = 0; grain < GRAINS; grain++) pool.write('v', grain, 2);
  pool.flush('v');
  pool.emptyLog();
  loseAll(pool);
  if (pool.found('s').offline === '') assertShows1(pool, label);
}

/** The commit that hangs it on another one is under way. */
function isHanging({ world }: SmallPool, { id }: Volume): boolean {
  return [...world.core['state']['submitted']].some(({ table, key }) => table === 'volume' && key === id);
}

describe('A flush that fails while others come to read from that volume', () => {
  for (const how of ['deleted', 'synced'] as const)
    it(`takes those along that need what it had not made durable, where a copy between is ${how}`, () => {
      let tried = 0;
      for (let seed = 1; seed <= STEPS; seed++) {
        const pool = aboutToHang(seed, how);
        if (pool === null) continue;
        const { runner } = pool.world;
        const c = pool.found('c');
        const s = pool.found('s');
        runner.runUntil(() => isHanging(pool, s));
        if (c.pending.length === 0) continue;
        tried++;
        assertNothingWrong(pool, c, `seed ${seed}`);
      }
      assert.ok(tried > STEPS / 4, `${tried} of ${STEPS}`);
    });

  for (const how of ['cut', 'synced'] as const)
    it(`takes those along that are ${how} from one that needs what it had not made durable`, () => {
      let tried = 0;
      for (let seed = 1; seed <= STEPS; seed++) {
        const pool = new SmallPool(seed);
        const { core, disk, runner } = pool.world;
        pool.volume('v', GRAINS, 1);
        pool.clone('c', 'v');
        pool.clone('t', 'c');
        if (how === 'synced') behindWhole(pool);
        pool.emptyLog();
        pool.awaitCheckpoint();
        copyThree(pool);
        const c = pool.found('c');
        const plan: Plan<unknown> =
          how === 'cut' ? core.createSnapshots([{ name: 's', source: 't' }]) : core.syncMapping('s');
        runner.call(how, plan, () => {});
        runner.runUntil(() => disk.nextCommit?.some(({ table }) => table === 'mapping') === true);
        if (c.pending.length === 0) continue;
        tried++;
        assertNothingWrong(pool, c, `seed ${seed}`);
      }
      assert.ok(tried > STEPS / 4, `${tried} of ${STEPS}`);
    });

  for (const how of ['deleted', 'synced'] as const)
    it(`has them given first what they need, where a copy between is still being ${how}`, () => {
      let tried = 0;
      for (let seed = 1; seed <= STEPS; seed++) {
        const pool = aboutToHang(seed, how);
        if (pool === null) continue;
        const { core, disk, runner } = pool.world;
        const c = pool.found('c');
        const s = pool.found('s');
        // It has something to flush before it may hang on another one.
        disk.slowFlushes.add(s.file.path);
        runner.call('write', pool.writing('s', 0, 1), () => {});
        runner.runUntil(
          () => s.parent === c || (c.gate['closed'] > 0 && disk.isUnderWay('flush', s.file.path)),
        );
        if (s.parent === c || c.pending.length === 0) continue;
        tried++;
        flushFailed(core['state'], c, new Error('EIO'));
        pool.write('v', 1, 2);
        pool.flush('v');
        runner.runUntil(() => s.parent === c);
        loseAll(pool);
        assertShows1(pool, `seed ${seed}`);
      }
      assert.ok(tried > STEPS / 2, `${tried} of ${STEPS}`);
    });
});
