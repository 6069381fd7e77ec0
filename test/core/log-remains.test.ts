/**
 * What the undo log's ring holds beside records that count: parts of torn ones, others' old grains, or nothing any more; and
 * what the shared words say of it.
 */
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { EIO } from '../../src/base/errors.ts';
import { checkpointBits } from '../../src/core/checkpoint.ts';
import type { Core } from '../../src/core/core.ts';
import { decodeHeader, encodeHeader, poolKey } from '../../src/core/log-record.ts';
import type { Plan } from '../../src/core/ops.ts';
import type { VolumeRow } from '../../src/core/rows.ts';
import type { Volume } from '../../src/core/volume.ts';
import { BLOCK, SimFile } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 12;
const FORMAT_1_HEAD = 32;
const FORMAT_2_HEAD = 48;

/** The host overwrites a grain of `v`, and the power goes while the old one is written to the log: of that, `kept` of the two blocks come to the disk. */
function tear(pool: SmallPool, grain: number, kept: 'header' | 'grain'): void {
  const { runner, disk, core } = pool.world;
  const { head } = core['state'].log;
  runner.call('write', pool.writing('v', grain, 2), () => {});
  const file = disk.files.get('log')!;
  const unflushed = () => [head, head + 1].map((block) => file.unflushedBlocks.get(block)?.length ?? 0);
  const [header, payload] = unflushed();
  runner.runUntil(() => unflushed()[0]! > header! && unflushed()[1]! > payload!);
  disk.processDeath();
  const survivor = kept === 'header' ? head : head + 1;
  for (const [path, each] of disk.files)
    each.losePower((_, block) => (path === 'log' && block === survivor ? 'whole' : 'lost'));
  pool.world.losePower();
}

/** A volume `v` and its target `t`, which has written something of its own; everything is flushed. */
function poolWithTarget(seed: number): SmallPool {
  const pool = new SmallPool(seed);
  pool.volume('v', 16, 1);
  pool.world.run('clone', pool.world.core.cloneVolume('v', { name: 't', sizeBytes: 0, copyRate: 0 }));
  pool.write('t', 5, 7);
  pool.flush('t');
  pool.write('v', 7, 2);
  for (const name of ['v', 't']) pool.flush(name);
  return pool;
}

/** What becomes of an engine that finds a torn record and wipes it. False: it did not come to that. */
const WIPES: Record<string, (world: SmallPool['world'], slot: number) => boolean> = {
  'the engine that wiped the first one died before it had flushed that': (world, slot) => {
    let isOpen = false;
    world.beginOpen(() => {
      isOpen = true;
    });
    world.runner.runUntil(() => world.disk.files.get('log')!.unflushedBlocks.has(slot) || isOpen);
    world.processDeath();
    return !isOpen;
  },
  'the engine that wiped the first one could not flush that': (world) => {
    world.disk.faults.push({ kinds: ['flush'], path: /^log$/, errno: EIO, times: 1 });
    assert.throws(() => world.open(), /flush/);
    world.processDeath();
    return true;
  },
};

/** A torn record is behind the log's end, and the next one is torn too: `t` keeps what it got between. False: a record that counts came over the first. */
function keepsTarget(pool: SmallPool): boolean {
  const { world } = pool;
  pool.write('t', 1, 9);
  pool.emptyLog();
  const { commits } = world.core['state'].log;
  pool.flush('t');
  if (world.core['state'].log.commits > commits) return false;
  tear(pool, 3, 'grain');
  world.open();
  assert.equal(pool.read('t', 1), 9);
  return true;
}

/** A record of one block as format 1 wrote it: without the pool's id. */
function asFormat1(block: Uint8Array): Uint8Array {
  const out = new Uint8Array(BLOCK);
  out.set(block.subarray(0, FORMAT_1_HEAD));
  out.set(block.subarray(FORMAT_2_HEAD), FORMAT_1_HEAD);
  const view = new DataView(out.buffer);
  view.setUint32(4, 1, true);
  view.setUint32(8, 0, true);
  view.setUint32(8, crc32(out), true);
  return out;
}

/** The pool is one that format 1 wrote. */
function goBack({ world }: SmallPool): void {
  const log = world.disk.files.get('log')!;
  for (let at = 0; at < log.size / BLOCK; at++) {
    const content = log.read(at);
    if (!(content instanceof Uint8Array) || new DataView(content.buffer).getUint32(4, true) !== 2) continue;
    if (decodeHeader(content.slice(), 1)?.pool === OTHER) continue;
    log.change(at, asFormat1(content), { order: 0, endedAt: 0 });
  }
  log.flush(Number.MAX_SAFE_INTEGER);
  const { named, mark, tailWritten, logSlots, ...engine } = JSON.parse(world.disk.catalog.get('engine 1')!);
  assert.ok(named === true || logSlots > 0 || mark !== undefined || tailWritten !== undefined);
  world.disk.catalog.set('engine 1', JSON.stringify(engine));
}

const OTHER = poolKey('ffffffff-ffff-4fff-8fff-ffffffffffff');

describe('The ring of the undo log', () => {
  it('does not give a record back that was torn, when the next one of its number is torn too', () => {
    let tried = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = poolWithTarget(seed);
      tear(pool, 1, 'header');
      pool.world.open();
      if (keepsTarget(pool)) tried++;
    }
    assert.ok(tried > SEEDS / 2, `${tried} of ${SEEDS}`);
  });

  for (const [how, wipe] of Object.entries(WIPES))
    it(`does not either where ${how}`, () => {
      let tried = 0;
      for (let seed = 1; seed <= SEEDS; seed++) {
        const pool = poolWithTarget(seed);
        const { world } = pool;
        // Nothing else is to be flushed.
        pool.emptyLog();
        const { head } = world.core['state'].log;
        tear(pool, 1, 'header');
        if (!wipe(world, head)) continue;
        world.open();
        if (keepsTarget(pool)) tried++;
      }
      assert.ok(tried > SEEDS / 2, `${tried} of ${SEEDS}`);
    });

  it("may hold another pool's record among old grains: nothing is missing, and the pool is opened", () => {
    const record = new Uint8Array(BLOCK);
    encodeHeader({ seq: 77, headerBlocks: 1, payloadSlots: 0, entries: [] }, OTHER, record);
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 16, 1);
      pool.write('v', 3, record.slice());
      pool.flush('v');
      pool.snapshot('s', 'v');
      pool.write('v', 3, 2);
      pool.flush('v');
      world.losePower();
      goBack(pool);
      world.open();
      pool.awaitEmptyLog();
      world.losePower();
      world.open();
      assert.equal(pool.found('s').offline, '', `seed ${seed}`);
    }
  });

  for (const how of ['a start after a death of the process', 'a checkpoint under writes'])
    it(`is lost: no snapshot is served that had grains in it only, also after ${how} has written its bits`, () => {
      const grains = 32;
      for (let seed = 1; seed <= SEEDS; seed++) {
        const pool = new SmallPool(seed);
        const { world } = pool;
        pool.volume('v', grains, 1);
        pool.snapshot('s', 'v');
        if (how.startsWith('a start')) {
          for (let grain = 0; grain < grains; grain++) pool.write('v', grain, 2);
          pool.flush('v');
          world.processDeath();
          world.open();
        } else {
          for (let grain = 0; grain < grains / 2; grain++) pool.write('v', grain, 2);
          const tail = (): unknown => JSON.parse(world.disk.catalog.get('engine 1')!).tailSeq;
          const before = tail();
          world.checkpoint();
          for (let i = 0; i < seed * 2; i++) world.runner.advance();
          for (let grain = grains / 2; grain < grains; grain++)
            world.runner.call('write', pool.writing('v', grain, 2), () => {});
          world.runner.runUntil(() => tail() !== before);
        }
        world.losePower();
        world.disk.files.set('log', SimFile.preallocated(world.logBytes));
        world.open();
        if (pool.found('s').offline !== '') continue;
        for (let grain = 0; grain < grains; grain++) assert.equal(pool.read('s', grain), 1, `seed ${seed}`);
      }
    });

  it('lacks a record in its midst: a snapshot that was taken after that was told is not concerned', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = new SmallPool(seed);
      const { world } = pool;
      pool.volume('v', 16, 1);
      pool.snapshot('s', 'v');
      for (let grain = 0; grain < 8; grain++) pool.write('v', grain, 2);
      const { slot } = world.core['state'].log.records[3]!;
      world.losePower();
      const log = world.disk.files.get('log')!;
      log.change(slot, null, { order: 0, endedAt: 0 });
      log.flush(Number.MAX_SAFE_INTEGER);
      world.open();
      assert.match(pool.found('s').offline, /log at byte/);
      pool.snapshot('later', 'v');
      world.losePower();
      world.open();
      assert.equal(pool.found('later').offline, '', `seed ${seed}`);
    }
  });

  it('is lost while the engine is dead: no snapshot is served that had grains in it only', () => {
    const pool = new SmallPool(1);
    pool.volume('v', 8, 1);
    pool.snapshot('s', 'v');
    for (let grain = 0; grain < 8; grain++) pool.write('v', grain, 2);
    pool.flush('v');
    pool.world.processDeath();
    pool.world.open();
    pool.world.processDeath();
    pool.world.disk.files.set('log', SimFile.preallocated(pool.world.logBytes));
    pool.world.open();
    assert.match(pool.found('s').offline, /log at byte/);
  });
});

/** What comes after a record that failed and after what `t` got then. */
const AFTER_FAILURE: Record<string, (pool: SmallPool) => void> = {
  'an orderly end': ({ world }) => world.close(false),
  'a flush that a checkpoint made possible, and the loss of the shared words': (pool) => {
    flushAfterCheckpoint(pool);
    pool.world.loseWords();
  },
  'such a flush, and a power cut when the next engine has written the log again': (pool) => {
    flushAfterCheckpoint(pool);
    pool.world.processDeath();
    pool.world.open();
    pool.world.losePower();
  },
};

function flushAfterCheckpoint(pool: SmallPool): void {
  pool.world.checkpoint();
  pool.world.runner.runFor(300);
  pool.flush('t');
}

/** The flush of what the target `t` would lose of grain 1 fails, and so does the write to its source; then `t` gets 9 there. */
function failRecord(seed: number, isEmpty: boolean): SmallPool {
  const pool = poolWithTarget(seed);
  const { world } = pool;
  if (isEmpty) {
    pool.emptyLog();
  }
  world.disk.faults.push({ kinds: ['flush'], path: /^log$/, errno: EIO, times: 1 });
  assert.throws(() => pool.write('v', 1, 2), /flush/);
  pool.write('t', 1, 9);
  return pool;
}

describe('A record of the undo log that could not be flushed', () => {
  for (const [what, happens] of Object.entries(AFTER_FAILURE))
    for (const where of ['among others', 'as the only one'])
      it(`${where} does not count after ${what}`, () => {
        for (let seed = 1; seed <= SEEDS; seed++) {
          const pool = failRecord(seed, where === 'as the only one');
          happens(pool);
          pool.world.open();
          assert.equal(pool.read('t', 1), 9, `seed ${seed}`);
        }
      });

  it('lets no flush of what its owner got later be told before a checkpoint has cut it off', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const pool = failRecord(seed, false);
      const { world } = pool;
      world.run('bits', checkpointBits(world.core['state']));
      assert.throws(() => pool.flush('t'), /flush/, `seed ${seed}`);
    }
  });
});

/** Slots that count as live, and that no volume has a grain in. */
function unowned({ core }: SmallPool['world']): number[] {
  const { arena, log, volumes } = core['state'];
  const owned = new Set([...volumes.values()].flatMap((volume) => slotsOf(volume)));
  return Array.from({ length: log.slots }, (_, slot) => slot).filter(
    (slot) => arena.slotLive(slot) && !owned.has(slot),
  );
}

const slotsOf = ({ logged }: Volume): number[] =>
  [...logged.values()].filter((at) => (at & 1) === 0).map((at) => at / 2);

/** What takes the log's grains from the target `t`. */
const TAKING: Record<string, (core: Core) => Plan<unknown>> = {
  deleted: (core) => core.deleteVolume('t'),
  synced: (core) => core.syncMapping('t', 'request-1'),
};

/** Which bitmap the catalog names for what the volume holds. */
function heldBy({ disk }: SmallPool['world'], id: number): number | null {
  const json = disk.catalog.get(`volume ${id}`);
  return json === undefined ? null : (JSON.parse(json) as VolumeRow).held;
}

describe('What the log has for a copy', () => {
  for (const [what, take] of Object.entries(TAKING))
    it(`is nobody's after the copy was ${what}, also where the engine died as soon as that was durable`, () => {
      let tried = 0;
      for (let seed = 1; seed <= SEEDS; seed++) {
        const pool = new SmallPool(seed);
        const { world } = pool;
        pool.volume('v', 8, 1);
        world.run(
          'clone',
          world.core.cloneVolume('v', { name: 't', sizeBytes: 0, copyRate: 0, incremental: true }),
        );
        for (let grain = 0; grain < 8; grain++) pool.write('v', grain, 2);
        pool.flush('v');
        const { id } = pool.found('t');
        const slots = slotsOf(pool.found('t'));
        const before = heldBy(world, id);
        world.runner.call(what, take(world.core), () => {});
        world.runner.runUntil(() => heldBy(world, id) !== before);
        const { arena } = world.core['state'];
        if (slots.length > 0 && slots.every((slot) => arena.slotLive(slot))) tried++;
        world.processDeath();
        world.open();
        assert.deepEqual(unowned(world), [], `seed ${seed}`);
        if (what === 'synced') assert.equal(pool.read('t', 3), 2, `seed ${seed}`);
        assert.equal(pool.read('v', 3), 2, `seed ${seed}`);
      }
      assert.ok(tried >= SEEDS / 4, `${tried} of ${SEEDS}`);
    });
});
