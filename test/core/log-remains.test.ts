/** What the undo log's ring holds beside records that count: parts of torn ones, others' old grains, or nothing any more. */
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { decodeHeader, encodeHeader, poolKey } from '../../src/core/log-record.ts';
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
  runner.runUntil(() => file.unflushedBlocks.has(head) && file.unflushedBlocks.has(head + 1));
  disk.processDeath();
  const survivor = kept === 'header' ? head : head + 1;
  for (const [path, each] of disk.files)
    each.losePower((_, block) => (path === 'log' && block === survivor ? 'whole' : 'lost'));
  pool.world.losePower();
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
      const pool = new SmallPool(seed);
      pool.volume('v', 16, 1);
      const { world } = pool;
      world.run('clone', world.core.cloneVolume('v', { name: 't', sizeBytes: 0, copyRate: 0 }));
      pool.write('t', 5, 7);
      pool.flush('t');
      pool.write('v', 7, 2);
      for (const name of ['v', 't']) pool.flush(name);
      tear(pool, 1, 'header');
      world.open();
      pool.write('t', 1, 9);
      pool.awaitEmptyLog();
      const { commits } = world.core['state'].log;
      pool.flush('t');
      if (world.core['state'].log.commits > commits) continue; // over the torn one
      tried++;
      tear(pool, 3, 'grain');
      world.open();
      assert.equal(pool.read('t', 1), 9, `seed ${seed}`);
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
