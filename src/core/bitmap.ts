/**
 * A sparse bitmap over pages of the arena. A page that is not there is all zeros; a full page is all ones and takes no
 * memory of its own. Bits of a bitmap in use are only ever set (C1, H3); bits are cleared only in a bitmap that is
 * being built and that nothing reads yet, and in those that say what waits for a flush.
 *
 * Everything works on runs, single bits are the run of length one; two bitmaps together work word by word, for all host I/O waits
 * meanwhile, and runs may be as many as grains.
 */
import { assert } from '../base/errors.ts';
import { type Arena, PAGE_BITS, PAGE_WORDS } from './arena.ts';

const ONES = 0xffffffff;
const EMPTY = new Uint32Array(PAGE_WORDS);

/** `words`: null where all bits are set. */
export type Page = { index: number; words: Uint32Array | null };

/** The mask of bits [from, to) of one word, 0 <= from < to <= 32. */
function mask(from: number, to: number): number {
  const high = to === 32 ? ONES : (1 << to) - 1;
  return (high & ~((1 << from) - 1)) >>> 0;
}

function popcount(x: number): number {
  let v = x - ((x >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return (Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24) & 0xff;
}

export class Bitmap {
  readonly id: number;
  bits: number;
  /** Bits that are set. */
  count = 0;
  /** Differs from its file. */
  dirty = false;
  /** Its owner is gone: what still arrives is dropped. */
  private dead = false;
  private readonly arena: Arena;
  /** Page index -> page, or -1 - page for a full one. */
  private readonly dir = new Map<number, number>();

  constructor(arena: Arena, id: number, bits: number) {
    this.arena = arena;
    this.id = id;
    this.bits = bits;
  }

  get(i: number): boolean {
    const index = Math.floor(i / PAGE_BITS);
    const page = this.dir.get(index);
    if (page === undefined) return false;
    if (page < 0) return true;
    const bit = i - index * PAGE_BITS;
    return (this.arena.words[this.arena.wordOf(page) + (bit >>> 5)]! & (1 << (bit & 31))) !== 0;
  }

  /** Set bits [first, first + count); how many were clear before. */
  setRange(first: number, count: number): number {
    assert(first >= 0 && count >= 0 && first + count <= this.bits, 'bits out of range');
    if (this.dead) return 0;
    let added = 0;
    for (let i = first, end = first + count; i < end; ) {
      const index = Math.floor(i / PAGE_BITS);
      const base = index * PAGE_BITS;
      const to = Math.min(end, base + PAGE_BITS);
      added += this.setInPage(index, i - base, to - base);
      i = to;
    }
    if (added > 0) {
      this.count += added;
      this.dirty = true;
    }
    return added;
  }

  private setInPage(index: number, from: number, to: number): number {
    let page = this.dir.get(index);
    if (page !== undefined && page < 0) return 0;
    if (from === 0 && to === PAGE_BITS) {
      const before = page === undefined ? 0 : this.pageCount(page);
      if (page === undefined) page = this.arena.take(this.id, index, true);
      else this.arena.setFull(page);
      this.dir.set(index, -1 - page);
      return PAGE_BITS - before;
    }
    if (page === undefined) {
      page = this.arena.take(this.id, index, false);
      this.dir.set(index, page);
    }
    const w = this.arena.words;
    const base = this.arena.wordOf(page);
    let added = 0;
    for (let i = from; i < to; i = (i | 31) + 1) {
      const m = mask(i & 31, Math.min(32, (i & 31) + to - i));
      const old = w[base + (i >>> 5)]!;
      const now = (old | m) >>> 0;
      if (now === old) continue;
      // Before the first bit: should the process die between the two, the next one must not take the bit for durable.
      if (added === 0) this.arena.setDirty(page);
      added += popcount((now ^ old) >>> 0);
      w[base + (i >>> 5)] = now;
    }
    return added;
  }

  /** Only for a bitmap that is being built, or that says what waits for a flush. */
  clearRange(first: number, count: number): void {
    for (let i = first, end = first + count; i < end; ) {
      const index = Math.floor(i / PAGE_BITS);
      const base = index * PAGE_BITS;
      const to = Math.min(end, base + PAGE_BITS);
      this.clearInPage(index, i - base, to - base);
      i = to;
    }
  }

  private clearInPage(index: number, from: number, to: number): void {
    let page = this.dir.get(index);
    if (page === undefined) return;
    this.dirty = true;
    if (from === 0 && to === PAGE_BITS) {
      this.count -= page < 0 ? PAGE_BITS : this.pageCount(page);
      this.arena.give(page < 0 ? -1 - page : page);
      this.dir.delete(index);
      return;
    }
    page = this.ownWords(index, page);
    const w = this.arena.words;
    const base = this.arena.wordOf(page);
    for (let i = from; i < to; i = (i | 31) + 1) {
      const m = mask(i & 31, Math.min(32, (i & 31) + to - i));
      const old = w[base + (i >>> 5)]!;
      this.count -= popcount((old & m) >>> 0);
      w[base + (i >>> 5)] = (old & ~m) >>> 0;
    }
    this.arena.setDirty(page);
  }

  /** A page with words of its own in place of a full one, to clear bits in. */
  private ownWords(index: number, full: number): number {
    if (full >= 0) return full;
    this.arena.give(-1 - full);
    const page = this.arena.take(this.id, index, false);
    this.dir.set(index, page);
    const base = this.arena.wordOf(page);
    this.arena.words.fill(ONES, base, base + PAGE_WORDS);
    return page;
  }

  /** The first set bit in [from, end), or end. */
  nextSet(from: number, end: number): number {
    return this.next(from, end, 0);
  }

  /** The first clear bit in [from, end), or end. */
  nextClear(from: number, end: number): number {
    return this.next(from, end, ONES);
  }

  private next(from: number, end: number, flip: number): number {
    const w = this.arena.words;
    for (let i = from; i < end; ) {
      const index = Math.floor(i / PAGE_BITS);
      const start = index * PAGE_BITS;
      const stop = Math.min(end, start + PAGE_BITS);
      const page = this.dir.get(index);
      if (page === undefined || page < 0) {
        if ((page === undefined) === (flip === 0)) {
          i = stop;
          continue;
        }
        return i;
      }
      const base = this.arena.wordOf(page);
      for (let bit = i - start, to = stop - start; bit < to; bit = (bit | 31) + 1) {
        const x = ((w[base + (bit >>> 5)]! ^ flip) & (ONES << (bit & 31))) >>> 0;
        if (x !== 0) return Math.min(end, start + (bit & ~31) + 31 - Math.clz32(x & -x));
      }
      i = stop;
    }
    return end;
  }

  allSet(first: number, count: number): boolean {
    if (count === 1) return this.get(first);
    return this.nextClear(first, first + count) === first + count;
  }

  anySet(first: number, count: number): boolean {
    if (this.count === 0) return false;
    if (count === 1) return this.get(first);
    return this.nextSet(first, first + count) < first + count;
  }

  /** The runs of set bits in [from, end). Changing the bitmap behind the place reached is allowed. */
  *runs(from = 0, end = this.bits): Generator<{ first: number; count: number }, void, void> {
    for (let i = this.nextSet(from, end); i < end; ) {
      const stop = this.nextClear(i, end);
      yield { first: i, count: stop - i };
      i = this.nextSet(stop, end);
    }
  }

  /** Where the run of set bits begins that comes to the end; `bits` if there is none. */
  lastRun(): number {
    let first = this.bits;
    while (first > 0) {
      const end = first;
      const start = Math.floor((end - 1) / PAGE_BITS) * PAGE_BITS;
      for (const run of this.runs(start, end)) if (run.first + run.count === end) first = run.first;
      if (first > start) break;
    }
    return first;
  }

  /** this |= other, of all pages or of these; how many of them the other has. */
  or(other: Bitmap, pages: Iterable<number> = other.dir.keys()): number {
    let looked = 0;
    if (this.dead) return looked;
    for (const index of pages) {
      const page = other.dir.get(index);
      const bits = Math.min(this.bits - index * PAGE_BITS, PAGE_BITS);
      if (page === undefined || bits <= 0) continue;
      looked++;
      if (page < 0) this.setRange(index * PAGE_BITS, bits);
      else this.orPage(index, other.arena.words, other.arena.wordOf(page), bits);
    }
    return looked;
  }

  /** The first `bits` of the words from `theirs` on. */
  private orPage(index: number, words: Uint32Array, theirs: number, bits: number): void {
    let page = this.dir.get(index);
    if (page !== undefined && page < 0) return;
    const w = this.arena.words;
    let added = 0;
    let base = page === undefined ? 0 : this.arena.wordOf(page);
    let all = ONES;
    for (let i = 0; i * 32 < bits; i++) {
      const more = bits - i * 32 < 32 ? words[theirs + i]! & mask(0, bits - i * 32) : words[theirs + i]!;
      const old = page === undefined ? 0 : w[base + i]!;
      const now = (old | more) >>> 0;
      all &= now;
      if (now === old) continue;
      if (page === undefined) {
        page = this.arena.take(this.id, index, false);
        this.dir.set(index, page);
        base = this.arena.wordOf(page);
      }
      // As in setInPage: before the first bit.
      if (added === 0) this.arena.setDirty(page);
      added += popcount((now ^ old) >>> 0);
      w[base + i] = now;
    }
    if (added === 0) return;
    this.count += added;
    this.dirty = true;
    if (bits < PAGE_BITS || all >>> 0 !== ONES) return;
    this.arena.setFull(page!);
    this.dir.set(index, -1 - page!);
  }

  /** this &= ~other, on a bitmap that is being built. */
  andNot(other: Bitmap): void {
    for (const [index, page] of other.dir) {
      const bits = Math.min(this.bits - index * PAGE_BITS, PAGE_BITS);
      if (bits <= 0 || !this.dir.has(index)) continue;
      if (page < 0) this.clearRange(index * PAGE_BITS, bits);
      else this.andPage(index, other.arena.words, other.arena.wordOf(page), ONES);
    }
  }

  /** this &= other, on a bitmap that is being built. */
  and(other: Bitmap): void {
    for (const index of [...this.dir.keys()]) {
      const page = other.dir.get(index);
      if (page === undefined) this.clearInPage(index, 0, PAGE_BITS);
      else if (page >= 0) this.andPage(index, other.arena.words, other.arena.wordOf(page), 0);
    }
  }

  /** `flip`: ONES for what their words have not. */
  private andPage(index: number, words: Uint32Array, theirs: number, flip: number): void {
    const page = this.ownWords(index, this.dir.get(index)!);
    const w = this.arena.words;
    const base = this.arena.wordOf(page);
    let left = 0;
    for (let i = 0; i < PAGE_WORDS; i++) {
      const old = w[base + i]!;
      const now = (old & (words[theirs + i]! ^ flip)) >>> 0;
      left |= now;
      if (now === old) continue;
      this.count -= popcount((now ^ old) >>> 0);
      w[base + i] = now;
    }
    this.dirty = true;
    this.arena.setDirty(page);
    if (left !== 0) return;
    this.arena.give(page);
    this.dir.delete(index);
  }

  /** Where there are pages, in order. All others are zeros. */
  pages(): number[] {
    return [...this.dir.keys()].sort((a, b) => a - b);
  }

  /** Pages as they would lie in a file: full, or 1024 words. */
  *content(pages = this.pages()): Generator<Page, void, void> {
    for (const index of pages) {
      const page = this.dir.get(index);
      if (page === undefined) yield { index, words: EMPTY };
      else if (page < 0) yield { index, words: null };
      else {
        const base = this.arena.wordOf(page);
        yield { index, words: this.arena.words.subarray(base, base + PAGE_WORDS) };
      }
    }
  }

  /** Bits of a page that these words (null: all) have and this bitmap has not. */
  *lacking(index: number, words: Uint32Array | null): Generator<number, void, void> {
    const page = this.dir.get(index);
    if (page !== undefined && page < 0) return;
    const base = page === undefined ? -1 : this.arena.wordOf(page);
    for (let i = 0; i < PAGE_WORDS; i++) {
      const mine = base < 0 ? 0 : this.arena.words[base + i]!;
      for (let left = ((words === null ? ONES : words[i]!) & ~mine) >>> 0; left !== 0; left &= left - 1) {
        const bit = index * PAGE_BITS + i * 32 + 31 - Math.clz32(left & -left);
        if (bit < this.bits) yield bit;
      }
    }
  }

  get pageTotal(): number {
    return this.dir.size;
  }

  /** From a file: a page with its words, null for a full one. */
  loadPage(index: number, words: Uint32Array | null): void {
    assert(!this.dir.has(index), 'page loaded twice');
    const page = this.arena.take(this.id, index, words === null);
    if (words !== null) this.arena.words.set(words, this.arena.wordOf(page));
    this.adopt(index, page, words === null);
  }

  /** From the shared memory of a former process. */
  adopt(index: number, page: number, full: boolean): void {
    this.dir.set(index, full ? -1 - page : page);
    this.count += full ? PAGE_BITS : this.pageCount(page);
  }

  markClean(): void {
    this.dirty = false;
    for (const page of this.dir.values()) this.arena.setClean(page < 0 ? -1 - page : page);
  }

  /** Give all pages back: the bitmap is empty from here on. */
  release(): void {
    this.dead = true;
    for (const page of this.dir.values()) this.arena.give(page < 0 ? -1 - page : page);
    this.dir.clear();
    this.count = 0;
  }

  private pageCount(page: number): number {
    const w = this.arena.words;
    let n = 0;
    for (let i = this.arena.wordOf(page), end = i + PAGE_WORDS; i < end; i++)
      if (w[i] !== 0) n += popcount(w[i]!);
    return n;
  }
}
