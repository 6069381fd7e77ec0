/** Bitmaps beside arrays of bits: what is done to many bits at once is what is done to one after the other. */
import assert from 'node:assert/strict';
import { Arena, PAGE_BITS } from '../../src/core/arena.ts';
import { Bitmap } from '../../src/core/bitmap.ts';
import { Random } from '../sim/random.ts';

const SIZES = [1, 31, 64, 65, PAGE_BITS - 1, PAGE_BITS, PAGE_BITS + 64, 3 * PAGE_BITS + 17, 4 * PAGE_BITS];
const WORDS = 200 * 1024;

class Bits {
  readonly bitmap: Bitmap;
  readonly plain: Uint8Array;

  constructor(arena: Arena, id: number, bits: number) {
    this.bitmap = new Bitmap(arena, id, bits);
    this.plain = new Uint8Array(bits);
  }

  change(set: boolean, first: number, end: number): void {
    const stop = Math.min(end, this.plain.length);
    if (first >= stop) return;
    if (set) this.bitmap.setRange(first, stop - first);
    else this.bitmap.clearRange(first, stop - first);
    this.plain.fill(Number(set), first, stop);
  }

  /** Pages that are not there, empty, full, full bit by bit, with holes, and scattered ones, at the borders of words too. */
  fill(random: Random): void {
    for (let start = 0; start < this.plain.length; start += PAGE_BITS) {
      const half = start + random.int(PAGE_BITS);
      const end = start + PAGE_BITS;
      const kind = random.int(7);
      if (kind >= 1 && kind <= 3) this.change(true, start, end);
      if (kind === 2) this.change(false, start + 1, end - 1);
      if (kind === 2) this.change(true, start + 1, end - 1);
      if (kind === 3) this.change(false, half, half + random.int(200));
      if (kind === 4) this.change(true, half, half + random.int(200));
      if (kind === 5)
        for (let g = start; g < end; g += random.pick([1, 16, 31, 32, 33])) this.change(true, g, g + 1);
      if (kind === 6) this.change(true, half, half + 1);
      if (kind === 6) this.change(false, half, half + 1);
    }
  }

  verify(what: string): void {
    assert.deepEqual(shown(this.bitmap), this.plain, what);
    assert.equal(
      this.bitmap.count,
      this.plain.reduce((n, bit) => n + bit, 0),
      what,
    );
  }
}

function shown(bitmap: Bitmap): Uint8Array {
  const plain = new Uint8Array(bitmap.bits);
  for (const { first, count } of bitmap.runs()) plain.fill(1, first, first + count);
  return plain;
}

function newArena(): Arena {
  const arena = new Arena(new Uint32Array(WORDS), 16);
  arena.reset(1);
  return arena;
}

/** What the next process finds of the bitmap, and which of its pages count as not in its file. */
function left(arena: Arena, id: number, bits: number): { bitmap: Bitmap; dirty: number[]; pages: number } {
  const next = new Arena(arena.words.slice(), 16);
  const bitmap = new Bitmap(next, id, bits);
  const dirty: number[] = [];
  let pages = 0;
  next.sweep((owner, index, page, full, isDirty) => {
    pages++;
    if (owner !== id) return true;
    bitmap.adopt(index, page, full);
    if (isDirty) dirty.push(index);
    return true;
  });
  return { bitmap, dirty, pages };
}

describe('A bitmap', function () {
  this.timeout(60_000);

  for (const how of ['or', 'and', 'andNot'] as const)
    it(`${how} another is the same as bit by bit, for the next process too`, () => {
      for (let seed = 1; seed <= 100; seed++) {
        const random = new Random(seed);
        const arena = newArena();
        const [own, other] = [1, 2].map((id) => new Bits(arena, id, random.pick(SIZES))) as [Bits, Bits];
        own.fill(random);
        other.fill(random);
        const before = own.plain.slice();
        own.bitmap.markClean();
        own.bitmap[how](other.bitmap);
        for (let i = 0; i < own.plain.length; i++)
          if ((other.plain[i] === 1) === (how !== 'and')) own.plain[i] = how === 'or' ? 1 : 0;
        own.verify(`seed ${seed}`);
        other.verify(`seed ${seed}, the other`);
        const found = left(arena, 1, own.plain.length);
        assert.deepEqual(shown(found.bitmap), own.plain, `seed ${seed}, after a death`);
        assert.equal(found.bitmap.count, own.bitmap.count, `seed ${seed}, after a death`);
        own.plain.forEach((bit, i) => {
          if (bit === before[i]) return;
          assert.ok(own.bitmap.dirty, `seed ${seed}`);
          assert.ok(bit === 0 || found.dirty.includes(Math.floor(i / PAGE_BITS)), `seed ${seed}, bit ${i}`);
        });
        for (const { bitmap } of [own, other]) bitmap.release();
        assert.equal(left(arena, 1, 1).pages, 0, `seed ${seed}: pages are left`);
      }
    });

  it('knows where its last run begins, which comes to its end', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new Random(seed);
      const own = new Bits(newArena(), 1, random.pick(SIZES));
      own.fill(random);
      if (random.chance(0.5)) own.change(true, random.int(own.plain.length), own.plain.length);
      assert.equal(own.bitmap.lastRun(), own.plain.lastIndexOf(0) + 1, `seed ${seed}`);
    }
  });

  it('that is full is kept without words of its own', () => {
    const arena = newArena();
    const [own, even, odd] = [1, 2, 3].map((id) => new Bits(arena, id, 2 * PAGE_BITS)) as [Bits, Bits, Bits];
    for (let g = 0; g < 2 * PAGE_BITS; g++) (g % 2 === 0 ? even : odd).change(true, g, g + 1);
    own.bitmap.or(even.bitmap);
    own.bitmap.or(odd.bitmap);
    assert.deepEqual(
      [...own.bitmap.content()].map(({ words }) => words),
      [null, null],
    );
    own.bitmap.andNot(even.bitmap);
    own.bitmap.andNot(odd.bitmap);
    assert.deepEqual([...own.bitmap.content()], []);
  });
});
