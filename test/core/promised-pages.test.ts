/**
 * Pages that are promised for bitmaps are enough whatever comes then: volumes are deleted in any order, and hosts write wherever they
 * can. What is deleted gives its grains to those that hang on it, of which there may be many.
 */
import assert from 'node:assert/strict';
import { LOG_BYTES_MIN } from '../../src/core/undo-log.ts';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

/** Of a volume that one page of bits speaks for. */
const PAGE_GRAINS = 32768;
const PAGES = 3;
/** For about 180 pages. */
const WORDS = 3 * 2 ** 16;

/** A volume `v` without data, and what comes to hang on it. */
class Tree {
  readonly pool: SmallPool;
  private names = 0;

  constructor(seed: number) {
    this.pool = new SmallPool(seed, LOG_BYTES_MIN, false, WORDS);
    this.pool.world.disk.vagueExtents = false;
    const sizeBytes = PAGES * PAGE_GRAINS * BLOCK;
    const { core } = this.pool.world;
    this.pool.world.run('create', core.createVolume({ name: 'v', sizeBytes, grainBytes: BLOCK }));
  }

  private get told() {
    return this.pool.world.run('pool', this.pool.world.core.pool());
  }

  /** Pages, with those in use. */
  get promised(): number {
    return this.told.bitmapUsedBytes / BLOCK;
  }

  get max(): number {
    return this.told.bitmapMaxBytes / BLOCK;
  }

  /** Pages of the bitmaps that volumes have. */
  get taken(): number {
    let pages = 0;
    for (const { held, epochs } of this.pool.world.core['state'].volumes.values())
      for (const bitmap of [held, ...epochs.map((e) => e.bitmap)]) pages += bitmap?.pageTotal ?? 0;
    return pages;
  }

  named(isSnapshot: boolean): string[] {
    const all = this.pool.world.core.hostVolumes();
    return all.filter((v) => v.readOnly === isSnapshot).map((v) => v.name);
  }

  snapshot(source: string): string {
    const name = `s${this.names++}`;
    this.pool.snapshot(name, source);
    return name;
  }

  clone(source: string): string {
    const name = `c${this.names++}`;
    this.pool.clone(name, source);
    return name;
  }

  /** It is gone. */
  delete(name: string): void {
    const { world } = this.pool;
    const { core, runner } = world;
    const { readOnly } = this.pool.found(name);
    world.run('delete', readOnly ? core.deleteSnapshot(name) : core.deleteVolume(name));
    runner.runUntil(() => this.leaving === 0);
  }

  /** Deleted volumes that are not gone. */
  get leaving(): number {
    return [...this.pool.world.core['state'].volumes.values()].filter((v) => v.row.retired).length;
  }

  /** A snapshot that hangs on another one beside the older ones: of a clone that is gone. */
  branch(snapshot: string, page: number): string {
    const clone = this.clone(snapshot);
    this.pool.write(clone, page * PAGE_GRAINS, 1);
    const name = this.snapshot(clone);
    this.delete(clone);
    return name;
  }

  /** It gets all of what it lacks, and hangs on nothing then. */
  complete(snapshot: string): void {
    if (this.pool.found(snapshot).parent === null) return;
    this.pool.world.run('rate', this.pool.world.core.setCopyRate(snapshot, 150));
    this.pool.world.runner.runUntil(() => this.pool.found(snapshot).parent === null);
  }

  /** All that a host can do to bitmaps. */
  writeAll(): void {
    for (const name of this.named(false)) {
      for (let page = 0; page < PAGES; page++) this.pool.write(name, page * PAGE_GRAINS, 2);
      this.pool.flush(name);
    }
  }

  /** It may be refused. */
  attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      if ((error as { code?: string }).code !== 'OutOfSpace') throw error;
    }
  }

  /** One step of whatever is done to volumes. */
  grow(random: Random): void {
    const [volumes, snapshots] = [this.named(false), this.named(true)];
    const steps = {
      snapshot: () => this.snapshot(random.pick(volumes)),
      clone: () => this.clone(random.pick(random.chance(0.3) ? volumes : snapshots)),
      branch: () => this.branch(random.pick(snapshots.slice(0, random.between(1, 6))), random.int(PAGES)),
      complete: () => this.complete(random.pick(snapshots)),
      delete: () => this.delete(random.pick([...volumes.slice(1), ...snapshots])),
      write: () => this.pool.write(random.pick(volumes), random.int(PAGES) * PAGE_GRAINS, 1),
      writeAll: () => this.writeAll(),
    };
    const weights = { clone: 3, branch: 6, complete: 1, delete: 3, write: 4, writeAll: 1 };
    steps[snapshots.length === 0 ? 'snapshot' : random.weighted({ snapshot: 4, ...weights })]();
  }

  /** Snapshots are deleted, those first on which many hang, and now and then a volume; in between all is written, and the power goes. */
  fell(random: Random, look: () => void): void {
    const width = (name: string) => this.pool.found(name).children.filter((c) => c.readOnly).length;
    for (let names = this.named(true); names.length > 0; names = this.named(true)) {
      names.sort((a, b) => width(b) - width(a));
      const widest = names[0]!;
      this.delete(random.chance(0.6) ? widest : random.pick([...this.named(false).slice(1), ...names]));
      look();
      if (random.chance(0.6)) this.writeAll();
      if (random.chance(0.1)) this.pool.cutPower();
      look();
    }
  }
}

/** What is promised now is possible. `look`, from then on: the bitmaps take no more. */
function promise(tree: Tree, what = 'the tree'): () => void {
  const { promised, max } = tree;
  assert.ok(promised <= max, `${what}: ${promised} of ${max} pages are promised`);
  return () => assert.ok(tree.taken <= promised, `${what}: ${tree.taken} pages, ${promised} were promised`);
}

describe('The pages that are promised for bitmaps are enough', () => {
  it('where many snapshots hang on one that is deleted', () => {
    const tree = new Tree(1);
    const s = tree.snapshot('v');
    assert.throws(
      () => {
        while (tree.named(true).length < 100) tree.branch(s, 0);
      },
      { code: 'OutOfSpace' },
    );
    for (const name of tree.named(false)) if (name !== 'v') tree.delete(name);
    const look = promise(tree);
    tree.delete(s);
    tree.writeAll();
    look();
    assert.ok(tree.pool.found('v').children.length > 10);
    tree.pool.cutPower();
    tree.writeAll();
    look();
  });

  it('where the one on which they hang holds everything itself', () => {
    const tree = new Tree(2);
    const { core, runner } = tree.pool.world;
    const s = tree.snapshot('v');
    for (const page of [0, 1]) tree.branch(s, page);
    tree.complete(s);
    tree.writeAll();
    const look = promise(tree);
    tree.pool.world.run('delete', core.deleteSnapshot(s));
    let most = 0;
    for (; tree.leaving > 0 && runner.advance(); look()) most = Math.max(most, tree.taken);
    assert.ok(most >= 2 * PAGES);
  });

  it('where a clone takes over a snapshot of the snapshot that it is made of', () => {
    const tree = new Tree(3);
    const s = tree.snapshot('v');
    const later = tree.snapshot(s);
    const before = tree.promised;
    const clone = tree.clone(s);
    assert.equal(tree.pool.found(later).parent, tree.pool.found(clone));
    assert.equal(tree.promised, before + 2 * PAGES, 'what the clone takes and what is written in it');
    tree.writeAll();
    assert.equal(tree.promised, tree.taken);
  });

  it('whatever hangs on what, in whatever order it goes', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const random = new Random(seed);
      const tree = new Tree(seed);
      for (let step = 0; step < 40; step++) tree.attempt(() => tree.grow(random));
      const look = promise(tree, `seed ${seed}`);
      look();
      tree.fell(random, look);
    }
  }).timeout(60_000);
});

it('No page is promised for changes in a snapshot that was cloned', () => {
  const tree = new Tree(4);
  const s = tree.snapshot('v');
  const { promised } = tree;
  tree.delete(tree.clone(s));
  assert.equal(tree.promised, promised);
});
