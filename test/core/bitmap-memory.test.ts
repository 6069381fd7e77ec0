/** The memory for bitmaps: who could lead to where a host's write finds none is refused before. */
import assert from 'node:assert/strict';
import { LOG_BYTES_MIN } from '../../src/core/undo-log.ts';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { WORDS_FEW } from '../sim/sim-world.ts';
import { SmallPool } from '../sim/small-pool.ts';

/** Of a volume that one page of bits speaks for. */
const PAGE_GRAINS = 32768;
/** Of about 380 in memory. */
const PAGES = 16;
const REFUSED = { code: 'OutOfSpace', message: /memory for bitmaps.* Delete snapshots/s };

/** A volume of 2 GiB without data: each snapshot takes 32 pages when all of the volume is written here and there. */
function wide(seed: number): SmallPool {
  const pool = new SmallPool(seed, LOG_BYTES_MIN, false, WORDS_FEW);
  pool.world.disk.vagueExtents = false;
  volume(pool, 'v');
  return pool;
}

function volume({ world }: SmallPool, name: string): void {
  const request = { name, sizeBytes: PAGES * PAGE_GRAINS * BLOCK, grainBytes: BLOCK };
  world.run('create', world.core.createVolume(request));
}

function scatter(pool: SmallPool, name: string, byte: number, step = 1): void {
  for (let page = 0; page < PAGES; page += step) pool.write(name, page * PAGE_GRAINS, byte);
}

/** Snapshots until there is no memory for another one: s1 shows 1, and so on. How many. */
function fill(pool: SmallPool): number {
  for (let n = 1; ; n++) {
    scatter(pool, 'v', n);
    if (!isMade(() => pool.snapshot(`s${n}`, 'v'))) return n - 1;
    assert.ok(n < 20, 'nothing is refused');
  }
}

function isMade(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== 'OutOfSpace') throw error;
    return false;
  }
}

describe('Where the memory for bitmaps is used up', () => {
  it('another copy, a sync, a growth and a copy rate are refused, and say what to do', () => {
    const pool = wide(1);
    const { core } = pool.world;
    volume(pool, 'target');
    pool.map('m', 'v', 'target');
    pool.world.run('start', core.startMappings(['m']));
    const empty = ['e1', 'e2', 'e3'];
    for (const name of empty) pool.snapshot(name, 'v');
    const made = fill(pool);
    assert.ok(made > 1, `${made} snapshots`);
    assert.throws(() => pool.snapshot('more', 'v'), REFUSED);
    assert.throws(() => pool.clone('more', 'v'), REFUSED);
    assert.throws(() => pool.world.run('sync', core.syncMapping('m', '')), REFUSED);
    assert.throws(() => pool.world.run('grow', core.growVolume('v', 2 ** 36)), REFUSED);
    const copyAll = () => {
      for (const name of empty) pool.world.run('rate', core.setCopyRate(name, 1));
    };
    assert.throws(copyAll, REFUSED);
    const { warnings, bitmapUsedBytes, bitmapMaxBytes } = pool.world.run('pool', core.pool());
    assert.match(warnings.join(), /memory for bitmaps/);
    assert.ok(bitmapUsedBytes > 0.8 * bitmapMaxBytes && bitmapUsedBytes <= bitmapMaxBytes);
  });

  it('nor may more than half of what the machine has be promised', () => {
    const pool = wide(1);
    Object.assign(pool.world.core['state'], { memoryBytes: 2 * 3 * 2 * PAGES * BLOCK });
    assert.equal(fill(pool), 3);
  });

  it('hosts write on, the pool can be opened after a death and after a power cut, and the snapshots are whole', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const pool = wide(seed);
      const made = fill(pool);
      const goOn = (byte: number) => {
        scatter(pool, 'v', byte);
        pool.flush('v');
        for (let n = 1; n <= made; n++)
          for (const page of [0, 11]) assert.equal(pool.read(`s${n}`, page * PAGE_GRAINS), n);
      };
      goOn(101);
      pool.world.processDeath();
      pool.world.open();
      goOn(102);
      pool.cutPower();
      goOn(103);
      pool.emptyLog();
      pool.cutPower();
      goOn(104);
    }
  });

  it('a deletion frees it, whichever snapshot goes, also after a power cut', () => {
    for (const isCut of [false, true])
      for (const which of ['oldest', 'middle', 'newest']) {
        const pool = wide(2);
        const made = fill(pool);
        scatter(pool, 'v', 101);
        pool.flush('v');
        if (isCut) pool.cutPower();
        const name = { oldest: 's1', middle: 's3', newest: `s${made}` }[which]!;
        pool.world.run('delete', pool.world.core.deleteSnapshot(name));
        pool.world.runner.runFor(10_000);
        // The first time may be what makes room.
        const again = isMade(() => pool.snapshot('again', 'v'));
        pool.awaitCheckpoint();
        if (!again) pool.snapshot('again', 'v');
        assert.throws(() => pool.snapshot('more', 'v'), REFUSED);
        scatter(pool, 'v', 102);
        assert.equal(pool.read('again', 0), 101);
      }
  });

  it('little is promised for snapshots of which little is written', () => {
    const pool = wide(3);
    for (let n = 1; n <= 60; n++) {
      pool.write('v', n, n);
      pool.snapshot(`s${n}`, 'v');
    }
  });
});

describe('Whatever is made, deleted, synced and written here and there', () => {
  it('never is there no memory for a bitmap', () => {
    const tally = { refused: 0, made: 0 };
    for (let seed = 1; seed <= 6; seed++) new History(seed, tally).run(120);
    assert.ok(tally.refused > 25 && tally.made > 25, JSON.stringify(tally));
  }).timeout(60_000);
});

class History {
  private readonly pool: SmallPool;
  private readonly random: Random;
  private readonly tally: { refused: number; made: number };
  private names = 0;

  constructor(seed: number, tally: { refused: number; made: number }) {
    this.pool = wide(seed);
    this.random = new Random(seed);
    this.tally = tally;
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) this.step();
  }

  private step(): void {
    const { pool, random } = this;
    const { core, runner } = pool.world;
    const all = core.hostVolumes();
    const volumes = all.filter((v) => !v.readOnly).map((v) => v.name);
    const snapshots = all.filter((v) => v.readOnly).map((v) => v.name);
    const name = `n${this.names++}`;
    const steps = {
      write: () => scatter(pool, random.pick(volumes), 1 + random.int(250), random.between(1, 3)),
      snapshot: () => this.attempt(() => pool.snapshot(name, random.pick(volumes))),
      clone: () => this.attempt(() => pool.clone(name, random.pick([...volumes, ...snapshots]))),
      sync: () => this.attempt(() => pool.world.run('sync', core.syncMapping(random.pick(volumes), ''))),
      rate: () => this.attempt(() => pool.world.run('rate', core.setCopyRate(random.pick(all).name, 20))),
      deleteSnapshot: () => {
        if (snapshots.length > 0) pool.world.run('delete', core.deleteSnapshot(random.pick(snapshots)));
      },
      deleteVolume: () => {
        if (volumes.length > 1) pool.world.run('delete', core.deleteVolume(random.pick(volumes.slice(1))));
      },
      flush: () => pool.flush(random.pick(volumes)),
      pause: () => runner.runFor(1000),
      death: () => {
        pool.world.processDeath();
        pool.world.open();
      },
      powerCut: () => pool.cutPower(),
    };
    const weights = {
      write: 10,
      snapshot: 10,
      clone: 4,
      sync: 5,
      rate: 1,
      deleteSnapshot: 5,
      deleteVolume: 2,
    };
    steps[random.weighted({ ...weights, flush: 2, pause: 4, death: 1, powerCut: 1 })]();
  }

  private attempt(act: () => void): void {
    try {
      act();
      this.tally.made++;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === 'OutOfSpace') this.tally.refused++;
      // No mapping of that name, or not one that can be synced.
      else if (code === undefined || !['MappingNotFound', 'WrongState', 'InvalidArgument'].includes(code))
        throw error;
    }
  }
}
