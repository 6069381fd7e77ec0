/**
 * A data file that is found short (B1): what it lacks would be read as zeros. Whatever is asked for meanwhile, nobody shows
 * them, nor after the next start; and where the file is put back, all of it is there.
 */
import assert from 'node:assert/strict';
import { type Plan, type RowChange, Signal } from '../../src/core/ops.ts';
import type { Volume } from '../../src/core/volume.ts';
import { BLOCK, SimFile } from '../sim/sim-file.ts';
import type { SimWorld } from '../sim/sim-world.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 12;
const GRAINS = 8;
const LONG_MS = 30_000;

const all = (byte: number): number[] => new Array<number>(GRAINS).fill(byte);
const except = (byte: number, grain: number, other: number): number[] => all(byte).with(grain, other);

class DamagedPool extends SmallPool {
  readonly #whole = new Map<string, SimFile>();

  /** To its half. */
  cutShort(path: string): void {
    const { files } = this.world.disk;
    const whole = files.get(path)!;
    this.#whole.set(path, whole);
    const left = [...whole.durableBlocks].filter(([block]) => block < GRAINS / 2);
    files.set(path, SimFile.durable((GRAINS / 2) * BLOCK, left));
  }

  /** While no engine has the pool open. */
  findShort(...names: string[]): void {
    const paths = names.map((name) => this.found(name).file.path);
    this.world.close(false);
    for (const path of paths) this.cutShort(path);
    this.world.open();
  }

  scrubFindsShort(name: string): void {
    const volume = this.found(name);
    this.cutShort(volume.file.path);
    this.world.run('scrub', this.scrubbing(volume));
  }

  /** A scrub that has found the file of this volume short. */
  scrubbing({ id, name, file }: Volume) {
    const finding = { volume: name, file: file.path, offset: null, what: 'its data file is short' };
    return this.world.core.startScrub(0, [{ volumeId: id, ...finding }]);
  }

  /** One engine ends, and the next one begins. */
  reopen(): void {
    this.world.close(false);
    this.world.open();
  }

  putBack(...paths: string[]): void {
    this.world.close(false);
    for (const path of paths) this.world.disk.files.set(path, this.#whole.get(path)!);
    this.world.open();
  }

  shows(name: string, content: readonly number[]): void {
    assert.equal(this.found(name).offline, '', name);
    const seen = content.map((_, grain) => this.read(name, grain));
    assert.deepEqual(seen, content, name);
  }
}

/** `v` shows 1, and 2 at grain 0; its snapshot `s` shows 1. Another volume `x` shows 7. */
function pool(seed: number): DamagedPool {
  const made = new DamagedPool(seed);
  made.volume('v', GRAINS, 1);
  made.volume('x', GRAINS, 7);
  made.snapshot('s', 'v');
  made.write('v', 0, 2);
  made.flush('v');
  made.emptyLog();
  return made;
}

/** However long, and for the next engine too: the snapshot is offline until the file is put back, and whole then. */
function assertSnapshotWaits(made: DamagedPool, path: string, label: string): void {
  made.world.runner.runFor(LONG_MS);
  made.reopen();
  assert.match(made.found('s').offline, /it reads through/, label);
  made.putBack(path);
  made.shows('s', all(1));
}

describe('A volume whose data file is short', () => {
  it('gives its snapshot no zeros when it is deleted', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      const { path } = made.found('v').file;
      made.findShort('v');
      made.world.run('delete', made.world.core.deleteVolume('v'));
      assertSnapshotWaits(made, path, `seed ${seed}`);
      made.world.runner.runFor(LONG_MS);
      assert.equal(made.world.disk.files.has(path), false, 'it can be reclaimed now');
      made.shows('s', all(1));
    }
  });

  it('and that was deleted before that was found gives its snapshot no zeros', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      const { path } = made.found('v').file;
      made.world.run('delete', made.world.core.deleteVolume('v'));
      made.world.losePower();
      made.cutShort(path);
      made.world.open();
      assertSnapshotWaits(made, path, `seed ${seed}`);
    }
  });

  it('does not grow, which would make the file look whole', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      const { path } = made.found('v').file;
      made.findShort('v');
      const grow = made.world.core.growVolume('v', 2 * GRAINS * BLOCK);
      assert.throws(() => made.world.run('grow', grow), /v is offline: its data file/);
      made.reopen();
      for (const name of ['v', 's']) assert.match(made.found(name).offline, /its data file/, `seed ${seed}`);
      made.putBack(path);
      made.shows('v', except(1, 0, 2));
      made.shows('s', all(1));
    }
  });

  it('is served at once when it is started as the copy of another one; its snapshot waits for the file', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      const { path } = made.found('v').file;
      made.findShort('v');
      made.map('m', 'x', 'v');
      made.world.run('start', made.world.core.startMappings(['m']));
      made.shows('v', all(7));
      assertSnapshotWaits(made, path, `seed ${seed}`);
      made.shows('v', all(7));
    }
  });

  it('leaves the file as it was found when it is deleted or gets another one: it may be of another volume', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      const { files } = made.world.disk;
      for (const name of ['deleted', 'renewed']) made.volume(name, GRAINS, 3);
      const paths = ['deleted', 'renewed'].map((name) => made.found(name).file.path);
      made.findShort('deleted', 'renewed');
      const seen = () =>
        paths.map((path) => [files.get(path)?.durableBlocks, files.get(path)?.unflushedBlocks]);
      const before = structuredClone(seen());
      made.map('m', 'x', 'renewed');
      made.world.run('start', made.world.core.startMappings(['m']));
      made.world.run('delete', made.world.core.deleteVolume('deleted'));
      made.world.runner.runFor(LONG_MS);
      assert.notEqual(made.found('renewed').file.path, paths[1]);
      assert.deepEqual(seen(), before, `seed ${seed}`);
    }
  });

  it('is not emptied with the mapping that was to fill it: the file may be of another volume', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      made.clone('c', 'v');
      made.write('c', 0, 3);
      made.flush('c');
      made.emptyLog();
      const { path } = made.found('c').file;
      made.findShort('c');
      const before = made.world.disk.files.get(path)!.read(0);
      const deleting = made.world.core.deleteMapping('c', true);
      assert.throws(
        () => made.world.run('delete', deleting),
        /c cannot be emptied: its data file/,
        `seed ${seed}`,
      );
      assert.deepEqual(made.world.disk.files.get(path)!.read(0), before);
      made.putBack(path);
      made.world.run('delete', made.world.core.deleteMapping('c', true));
      made.shows('c', all(0));
    }
  });

  it('found by a scrub while it is about to be emptied, is not: the file may be of another volume', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      const { core, runner, disk } = made.world;
      made.clone('c', 'v');
      made.write('c', 0, 3);
      made.flush('c');
      made.emptyLog();
      const c = made.found('c');
      const filled = new Signal();
      const fill = function* (): Plan<void> {
        const lock = yield* c.locks.take(0, 1);
        yield filled;
        c.locks.give(lock);
      };
      let refused = '';
      runner.call('delete', core.deleteMapping('c', true), (error) => {
        refused = String(error);
      });
      runner.runUntil(() => c.held === null && c.parent === null);
      runner.call('fill', fill(), () => {});
      runner.runFor(100);
      made.cutShort(c.file.path);
      const before = disk.files.get(c.file.path)!.read(0);
      runner.call('scrub', made.scrubbing(c), () => {});
      runner.runUntil(() => c.badFile !== '');
      runner.fire(filled);
      runner.runUntilAnswered();
      assert.match(refused, /c cannot be emptied: /, `seed ${seed}`);
      assert.deepEqual(disk.files.get(c.file.path)!.read(0), before);
    }
  });

  it('found by a scrub, gives its snapshot no zeros in the background', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      const { path } = made.found('v').file;
      made.scrubFindsShort('v');
      made.world.run('rate', made.world.core.setCopyRate('s', 150));
      made.world.runner.runFor(LONG_MS);
      assert.match(made.found('s').offline, /it reads through v/);
      made.putBack(path);
      made.shows('s', all(1));
      made.shows('v', except(1, 0, 2));
    }
  });
});

describe('A copy whose data file is short', () => {
  it('is lost where its source is served: what comes to it would make the file look whole', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      made.write('v', 5, 2);
      made.emptyLog();
      made.scrubFindsShort('s');
      made.write('v', 7, 2);
      made.emptyLog();
      made.reopen();
      assert.match(made.found('s').offline, /is short/, `seed ${seed}`);
    }
  });

  it('waits where it has everything in it, and is whole when the file is', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      made.clone('c', 'v');
      made.copyAll('c');
      made.emptyLog();
      const { path } = made.found('c').file;
      made.scrubFindsShort('c');
      made.write('v', 7, 3);
      made.emptyLog();
      made.reopen();
      assert.match(made.found('c').offline, /its data file/);
      made.putBack(path);
      made.shows('c', except(1, 0, 2));
      made.world.run('sync', made.world.core.syncMapping('c'));
      made.shows('c', [2, 1, 1, 1, 1, 1, 1, 3]);
    }
  });

  /** `c` has 4 at grain 5; its file and that of `v`, of which it is a copy, are found short. */
  function bothShort(
    seed: number,
    before: (made: DamagedPool) => void,
  ): { made: DamagedPool; pathOfV: string } {
    const made = new DamagedPool(seed);
    made.volume('v', GRAINS, 1);
    made.clone('c', 'v');
    made.write('c', 5, 4);
    made.flush('c');
    made.emptyLog();
    const paths = ['v', 'c'].map((name) => made.found(name).file.path);
    before(made);
    for (const path of paths) made.cutShort(path);
    made.world.open();
    return { made, pathOfV: paths[0]! };
  }

  it('and reads from one whose file is short too waits, and is given nothing meanwhile', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { made, pathOfV } = bothShort(seed, (before) => {
        before.snapshot('newer', 'v');
        before.write('v', 7, 2);
        before.world.close(false);
      });
      // It would get grain 7.
      made.world.run('delete', made.world.core.deleteSnapshot('newer'));
      made.world.runner.runFor(LONG_MS);
      made.putBack(pathOfV);
      assert.match(made.found('c').offline, /its data file/, `seed ${seed}`);
    }
  });

  it('is lost where the log has something for it, which would make the file look whole', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { made, pathOfV } = bothShort(seed, (before) => {
        before.write('v', 7, 2);
        assert.ok(before.found('c').unfilled > 0);
        before.world.losePower();
      });
      made.awaitEmptyLog();
      made.putBack(pathOfV);
      assert.match(made.found('c').offline, /its data file/, `seed ${seed}`);
    }
  });
});

describe('Two copies whose data files a scrub finds to be of other volumes', () => {
  it('are lost both, also where what the log has for one is on its way to its file', () => {
    let tried = 0;
    for (let seed = 1; seed <= 5 * SEEDS; seed++) {
      const made = new DamagedPool(seed);
      const { world } = made;
      const { core, runner, disk } = world;
      for (const [source, copy] of [
        ['x', 'a'],
        ['v', 'b'],
      ] as const) {
        made.volume(source, GRAINS, 1);
        made.clone(copy, source);
      }
      for (let grain = 0; grain < GRAINS; grain++) if (grain !== 3) made.write('b', grain, 7);
      made.flush('b');
      made.emptyLog();
      made.write('v', 3, 9);
      made.flush('v');
      const bad = [made.found('a'), made.found('b')];
      world.checkpoint();
      runner.runUntil(() => world.logIsEmpty || disk.isUnderWay('write', bad[1]!.file.path));
      if (world.logIsEmpty) continue;
      tried++;
      const found = bad.map(({ id, name, file }) => ({
        ...{ volumeId: id, volume: name, file: file.path },
        ...{ offset: null, what: 'it is of another volume' },
      }));
      runner.call('scrub', core.startScrub(0, found), () => {});
      runner.runUntilAnswered();
      runner.runFor(3000);
      made.cutPower();
      for (const name of ['a', 'b']) assert.notEqual(made.found(name).offline, '', `${name}, seed ${seed}`);
    }
    assert.ok(tried > SEEDS);
  });
});

describe('A volume whose data file a scrub finds short while the commit is under way', () => {
  /** `asked` is something to do with `v`; `changes`: whether a commit is the one. */
  function foundBesideCommit(
    made: DamagedPool,
    changes: (change: RowChange) => boolean,
    asked: (core: SimWorld['core']) => Plan<unknown>,
  ): string {
    const { core, runner, disk } = made.world;
    const v = made.found('v');
    const { path } = v.file;
    made.cutShort(path);
    runner.call('asked', asked(core), () => {});
    runner.runUntil(() => disk.nextCommit?.some(changes) === true);
    runner.call('scrub', made.scrubbing(v), () => {});
    runner.runUntilAnswered();
    return path;
  }

  const isOfMapping = ({ table }: RowChange): boolean => table === 'mapping';

  it('that gives it another one gives its snapshot no zeros, and leaves the file as it was found', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      made.map('m', 'x', 'v');
      const path = foundBesideCommit(made, isOfMapping, (core) => core.startMappings(['m']));
      made.shows('v', all(7));
      assertSnapshotWaits(made, path, `seed ${seed}`);
      made.shows('v', all(7));
    }
  });

  it('that gives it another one, or removes it, leaves the file as it was found: it may be of another volume', () => {
    for (let seed = 1; seed <= 2 * SEEDS; seed++) {
      const made = new DamagedPool(seed);
      made.volume('v', GRAINS, 1);
      made.volume('x', GRAINS, 7);
      made.map('m', 'x', 'v');
      const { id } = made.found('v');
      const isGone = ({ table, key, row }: RowChange) => table === 'volume' && key === id && row === null;
      const path =
        seed % 2 === 0
          ? foundBesideCommit(made, isOfMapping, (core) => core.startMappings(['m']))
          : foundBesideCommit(made, isGone, (core) => core.deleteVolume('v'));
      made.world.runner.runFor(LONG_MS);
      assert.ok(made.world.disk.files.has(path), `seed ${seed}`);
    }
  });

  it('of its snapshot shows no zeros there', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      const request = { name: 'late', source: 'v', copyRate: 0 };
      const path = foundBesideCommit(made, isOfMapping, (core) => core.createSnapshots([request]));
      for (const name of ['s', 'late'])
        assert.match(made.found(name).offline, /reads through v/, `seed ${seed}`);
      made.putBack(path);
      made.shows('late', except(1, 0, 2));
    }
  });

  it('of a sync from it shows no zeros in the target, which had everything before', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      made.clone('c', 'v');
      made.copyAll('c');
      made.write('v', GRAINS - 1, 3);
      made.emptyLog();
      const path = foundBesideCommit(made, isOfMapping, (core) => core.syncMapping('c'));
      assert.match(made.found('c').offline, /it reads through v/, `seed ${seed}`);
      made.putBack(path);
      made.shows('c', except(1, 0, 2).with(GRAINS - 1, 3));
    }
  });

  it('of the end of a whole copy shows no zeros in an older one, which reads from there instead', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      made.clone('c', 'v');
      made.copyAll('c');
      made.emptyLog();
      const { id } = made.found('s');
      const hangsAnew = ({ table, key }: RowChange) => table === 'volume' && key === id;
      const path = foundBesideCommit(made, hangsAnew, (core) => core.deleteVolume('c'));
      assert.match(made.found('s').offline, /it reads through v/, `seed ${seed}`);
      made.putBack(path);
      made.shows('s', all(1));
    }
  });
});

describe('A deleted snapshot whose data file a scrub finds short', () => {
  it('while what its readers have is punched out of it has no more punched: the file may be of another volume', () => {
    let tried = 0;
    for (let seed = 1; seed <= 2 * SEEDS; seed++) {
      const made = new DamagedPool(seed);
      const { core, disk, runner } = made.world;
      const grains = 128;
      made.volume('v', grains, 1);
      for (const name of ['old', 's']) made.snapshot(name, 'v');
      made.clone('c', 's');
      for (let grain = 0; grain < grains; grain++) made.write('v', grain, 2);
      for (let grain = 0; grain < grains; grain += 2) made.write('c', grain, 3);
      for (const name of ['v', 'c']) made.flush(name);
      made.emptyLog();
      const s = made.found('s');
      made.world.run('delete', core.deleteSnapshot('s'));
      const isPunching = () => disk.isUnderWay('punch', s.file.path);
      runner.runUntil(() => isPunching() || s.removed);
      if (s.removed) continue;
      tried++;
      const submitted = () => disk.submitted.get('punch');
      runner.call('scrub', made.scrubbing(s), () => {});
      runner.runUntil(() => s.badFile !== '');
      const before = submitted();
      runner.runFor(LONG_MS);
      assert.equal(submitted(), before, `seed ${seed}`);
    }
    assert.ok(tried > SEEDS / 3, `${tried}`);
  });
});
