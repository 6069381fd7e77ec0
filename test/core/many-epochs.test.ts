/** What is asked of the change bitmaps of many epochs is looked at in parts, between which host I/O goes on. */
import assert from 'node:assert/strict';
import type { RangePage } from '../../src/base/model.ts';
import { PAGE_BITS } from '../../src/core/arena.ts';
import { Bitmap } from '../../src/core/bitmap.ts';
import type { Plan } from '../../src/core/ops.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const PAGES = 48;
const SNAPSHOTS = 50;
const PAGES_MAX = 2048;
const WORDS = 8 * 2 ** 20;
/** Where it has none of the pages that are looked for. */
const MISSING_MAX = 64 * PAGES_MAX;

describe('Where a volume has many snapshots', function () {
  this.timeout(60_000);
  const pool = new SmallPool(1, undefined, false, WORDS);
  const { or } = Bitmap.prototype;
  /** Since something else could go on. */
  let looked = 0;
  let most = 0;

  /** A bit in each page between any two of them. */
  before(() => {
    const { core } = pool.world;
    const request = { name: 'v', sizeBytes: PAGES * PAGE_BITS * BLOCK, grainBytes: BLOCK };
    pool.world.run('create', core.createVolume(request));
    for (let i = 0; i < SNAPSHOTS; i++) {
      pool.snapshot(`s${i}`, 'v');
      const { bitmap } = pool.found('v').open!;
      for (let page = 0; page < PAGES; page++) bitmap.setRange(page * PAGE_BITS + i * 2, 1);
    }
    Bitmap.prototype.or = function (other, pages) {
      looked += pages === undefined ? other.pageTotal : [...pages].length;
      most = Math.max(most, looked);
      return or.call(this, other, pages);
    };
  });

  after(() => {
    Bitmap.prototype.or = or;
  });

  /** The plan, and how many pages at most were looked at in one go. */
  function mostOf<T>(plan: Plan<T>, { world } = pool): T {
    looked = 0;
    most = 0;
    const watched = function* (): Plan<T> {
      let step = plan.next(0);
      for (; !step.done; step = plan.next(yield step.value)) looked = 0;
      return step.value;
    };
    return world.run('ask', watched());
  }

  const { core } = pool.world;

  it('the list of its mappings is', () => {
    const list = mostOf(core.listMappings());
    const changed = new Map(list.map((one) => [one.name, one.changedBytes / BLOCK]));
    for (let i = 0; i < SNAPSHOTS; i++) assert.equal(changed.get(`s${i}`), (SNAPSHOTS - i) * PAGES);
    assert.ok(most > 0 && most < PAGES_MAX, `${most} pages`);
  });

  it('one mapping is', () => {
    assert.equal(mostOf(core.getMapping('s1')).changedBytes, (SNAPSHOTS - 1) * PAGES * BLOCK);
    assert.ok(most > 0 && most < PAGES_MAX, `${most} pages`);
  });

  const expected = Array.from({ length: PAGES * SNAPSHOTS }, (_, i) => ({
    offset: (Math.floor(i / SNAPSHOTS) * PAGE_BITS + (i % SNAPSHOTS) * 2) * BLOCK,
    length: BLOCK,
  }));

  it('changed ranges are, and for a page of them no more than it takes', () => {
    const { ranges, next } = mostOf(core.changedRanges('s0', 'v', 0, expected.length));
    assert.deepEqual(ranges, expected);
    assert.equal(next, null);
    assert.ok(most > 0 && most < PAGES_MAX, `${most} pages`);
    mostOf(core.changedRanges('s0', 'v', 0, 10));
    assert.ok(most < 8 * SNAPSHOTS + 1, `${most} pages for ten ranges`);
  });

  /** These are deleted, and their epochs merged or dropped, while it lets others go on for the first time. */
  function rangesWithout(gone: string[]): RangePage {
    const plan = core.changedRanges('s0', 'v', 0, expected.length);
    let step = plan.next(0);
    assert.ok(!step.done, 'it lets nothing go on');
    for (const name of gone) pool.world.run('delete', core.deleteSnapshot(name));
    pool.write('v', 1, 1);
    pool.emptyLog();
    while (!step.done) step = plan.next(0);
    return step.value;
  }

  it('changed ranges miss nothing where snapshots go meanwhile, and where it is the older one name too much', () => {
    const others = Array.from({ length: SNAPSHOTS - 1 }, (_, i) => `s${i + 1}`);
    assert.deepEqual(rangesWithout(others.slice(0, 20)).ranges, expected);
    const { ranges } = rangesWithout(['s0', ...others.slice(20)]);
    const last = expected.at(-1)!.offset;
    assert.ok(ranges.some(({ offset, length }) => offset <= last && offset + length > last + BLOCK));
    for (const one of expected)
      assert.ok(
        ranges.some(({ offset, length }) => offset <= one.offset && one.offset < offset + length),
        `at ${one.offset}`,
      );
  });

  describe('and is huge, and little of it has changed', () => {
    const huge = new SmallPool(1, undefined, false, 8 * WORDS);
    const askHuge = <T>(plan: Plan<T>): T => mostOf(plan, huge);

    before(() => {
      const request = { name: 'v', sizeBytes: 4096 * PAGE_BITS * BLOCK, grainBytes: BLOCK };
      huge.world.run('create', huge.world.core.createVolume(request));
      for (let i = 0; i < SNAPSHOTS; i++) huge.snapshot(`s${i}`, 'v');
    });

    it('the list of its mappings is', () => {
      askHuge(huge.world.core.listMappings());
      assert.ok(most > 0 && most < MISSING_MAX, `${most} pages`);
    });

    it('changed ranges are', () => {
      assert.deepEqual(askHuge(huge.world.core.changedRanges('s0', 'v', 0, 10)).ranges, []);
      assert.ok(most > 0 && most < MISSING_MAX, `${most} pages`);
    });
  });
});
