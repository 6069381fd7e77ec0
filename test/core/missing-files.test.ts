/**
 * A data file that is only missing (B1): its volume waits for it. No flush of it has failed (B3), and none can tell that its bits
 * may be made durable: so those are not that were not before. Whenever it is put back, all that was flushed is there.
 */
import assert from 'node:assert/strict';
import type { SimFile } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 8;
const GRAINS = 4;
const LONG_MS = 6000;

class MissingPool extends SmallPool {
  readonly #away = new Map<string, SimFile>();

  /** While no engine has the pool open. */
  takeAway(paths: string[]): void {
    const { files } = this.world.disk;
    for (const path of paths) {
      this.#away.set(path, files.get(path)!);
      files.delete(path);
    }
  }

  putBack(): void {
    for (const [path, file] of this.#away) this.world.disk.files.set(path, file);
    this.#away.clear();
  }

  /** A plan for somebody who does not wait. */
  scrubFindingGone(name: string) {
    const { id, file } = this.found(name);
    const finding = { volume: name, file: file.path, offset: null, what: 'its data file is gone' };
    return this.world.core.startScrub(0, [{ volumeId: id, ...finding }]);
  }

  paths(...names: string[]): string[] {
    return names.map((name) => this.found(name).file.path);
  }

  shown(name: string): number[] {
    assert.equal(this.found(name).offline, '', name);
    return Array.from({ length: GRAINS }, (_, grain) => this.read(name, grain));
  }
}

function pool(seed: number): MissingPool {
  const made = new MissingPool(seed);
  made.volume('v', GRAINS, 1);
  made.volume('x', GRAINS, 7);
  made.clone('c', 'v');
  return made;
}

type Death = 'killed' | 'power lost';

function die({ world }: MissingPool, death: Death): void {
  if (death === 'killed') world.processDeath();
  else world.losePower();
}

describe('A volume whose data file is missing', () => {
  it('is not lost by a mapping that is prepared from it', () => {
    const made = new MissingPool(1);
    for (const name of ['v', 'x']) made.volume(name, GRAINS, 1);
    made.map('m', 'v', 'x');
    const paths = made.paths('v');
    made.world.close(false);
    made.takeAway(paths);
    made.world.open();
    const prepare = () => made.world.run('prepare', made.world.core.prepareMapping('m'));
    assert.throws(prepare, /v cannot be flushed: its data/);
    made.world.close(false);
    made.putBack();
    made.world.open();
    assert.deepEqual(made.shown('v'), [1, 1, 1, 1]);
    prepare();
  });

  it('is not lost by the first checkpoint, nor are bits of it that were durable; the log is cut for the others', () => {
    for (const death of ['killed', 'power lost'] as const)
      for (let seed = 1; seed <= SEEDS; seed++) {
        const made = pool(seed);
        made.copyAll('c');
        made.write('c', 2, 5);
        made.flush('c');
        const paths = made.paths('c');
        die(made, death);
        made.takeAway(paths);
        made.world.open();
        made.write('v', 2, 3);
        made.snapshot('s', 'x');
        made.write('x', 0, 8);
        made.emptyLog();
        assert.match(made.found('c').offline, /is missing/);
        die(made, seed % 2 === 0 ? 'killed' : 'power lost');
        made.putBack();
        made.world.open();
        assert.deepEqual(made.shown('c'), [1, 1, 5, 1], `${death}, seed ${seed}`);
        made.cutPower();
        assert.deepEqual(made.shown('c'), [1, 1, 5, 1], `${death}, seed ${seed}`);
        assert.deepEqual(made.shown('s'), [7, 7, 7, 7]);
      }
  });

  /** `c` has 5 at grain 0, flushed, and at grain 2, not flushed. It waits beside `v`, which it reads the others from. */
  function bothMissing(seed: number): MissingPool {
    const made = pool(seed);
    made.write('c', 0, 5);
    made.flush('c');
    if (seed % 2 === 0) made.emptyLog();
    made.write('c', 2, 5);
    const paths = made.paths('v', 'c');
    made.world.processDeath();
    made.takeAway(paths);
    made.world.open();
    made.snapshot('s', 'x');
    made.write('x', 0, 8);
    made.emptyLog();
    return made;
  }

  it('has no bit made durable of what was not flushed: without it the power takes the write, and shows no zeros', () => {
    for (let seed = 1; seed <= 3 * SEEDS; seed++) {
      const made = bothMissing(seed);
      made.putBack();
      made.cutPower();
      const shown = made.shown('c');
      assert.ok(shown[2] === 1 || shown[2] === 5, `grain 2 shows ${shown[2]}, seed ${seed}`);
      assert.deepEqual(shown.with(2, 0), [5, 1, 0, 1], `seed ${seed}`);
    }
  });

  it('has all that was acknowledged where only engines died', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = bothMissing(seed);
      made.world.processDeath();
      made.world.open();
      made.world.runner.runFor(LONG_MS);
      made.world.processDeath();
      made.putBack();
      made.world.open();
      assert.deepEqual(made.shown('c'), [5, 1, 5, 1], `seed ${seed}`);
      made.flush('c');
      made.cutPower();
      assert.deepEqual(made.shown('c'), [5, 1, 5, 1], `seed ${seed}`);
    }
  });

  it('is lost where it holds by bits that are not durable what its source, which is served, may lose', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      for (let grain = 0; grain < GRAINS; grain++) made.write('c', grain, 5);
      const paths = made.paths('c');
      made.world.processDeath();
      made.takeAway(paths);
      made.world.open();
      made.write('v', 2, 3);
      made.emptyLog();
      assert.match(made.found('c').row.offline, /is missing/, `seed ${seed}`);
      assert.deepEqual(made.shown('v'), [1, 1, 3, 1]);
    }
  });

  it('and that a scrub finds so fails no write of its source, beside which it is lost, or waits for what it had durably', () => {
    for (let seed = 1; seed <= 4 * SEEDS; seed++) {
      const made = pool(seed);
      made.write('v', 1, 2);
      for (const grain of [0, 2, 3]) made.write('c', grain, 5);
      const { file } = made.found('c');
      const { world } = made;
      if (seed % 2 === 0) world.checkpoint();
      if (seed % 4 > 1) world.runner.runFor(seed % 8);
      const errors: unknown[] = [];
      let left = 3;
      const ended = (error: unknown): void => {
        if (error !== null) errors.push(error);
        left--;
      };
      world.runner.call('scrub', made.scrubFindingGone('c'), ended);
      for (const grain of [0, 3]) world.runner.call('write', made.writing('v', grain, 3), ended);
      if (seed % 8 > 3) world.checkpoint();
      world.runner.runUntil(() => left === 0);
      assert.deepEqual(errors, [], `seed ${seed}`);
      made.takeAway([file.path]);
      made.emptyLog();
      assert.deepEqual(made.shown('v'), [3, 2, 1, 3]);
      made.putBack();
      made.cutPower();
      if (made.found('c').offline === '') assert.deepEqual(made.shown('c'), [5, 1, 5, 5], `seed ${seed}`);
      assert.deepEqual(made.shown('x'), [7, 7, 7, 7]);
    }
  });

  it('and that a scrub finds so beside a checkpoint keeps what the log has for it, until a flush has said that the file has it', () => {
    for (let seed = 1; seed <= 8 * SEEDS; seed++) {
      const made = pool(seed);
      for (const grain of [0, 2, 3]) made.write('c', grain, 5);
      made.flush('c');
      made.emptyLog();
      made.write('v', 1, 2);
      const { logged } = made.found('c');
      const { world } = made;
      world.checkpoint();
      made.tick();
      world.runner.runUntil(() => (logged.get(1)! & 1) === 1);
      if (seed % 2 === 0) world.runner.runFor(Math.floor(seed / 2) % 16);
      world.run('scrub', made.scrubFindingGone('c'));
      made.emptyLog();
      made.cutPower();
      if (made.found('c').offline === '') assert.deepEqual(made.shown('c'), [5, 1, 5, 5], `seed ${seed}`);
      assert.deepEqual(made.shown('v').with(1, 2), [1, 2, 1, 1]);
    }
  });
});
