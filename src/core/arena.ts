/**
 * Pages of bits in the shared words: the memory that survives the process (B6).
 *
 *   words: | head | log slot words | page table: 2 words a page | pages of 1024 words (32,768 bits) |
 *
 * A page's table entry is (bitmap id, page index | FULL | DIRTY); id 0 is a free page. A full page's own words are
 * never looked at, so a bitmap of a fully copied terabyte takes table entries only. The kernel backs nothing that was
 * never touched.
 *
 * Death at any instant leaves this readable: a page is zeroed before its entry's id is stored, every later change is one
 * word, and a page is DIRTY before it has a bit that its bitmap's file has not. What a dead process was about to do with a
 * page is undone by `sweep`, which frees the pages of bitmaps that the catalog does not know.
 *
 * Only the data thread touches the words.
 */
import { assert, FlashCopyError } from '../base/errors.ts';

export const PAGE_WORDS = 1024;
export const PAGE_BITS = PAGE_WORDS * 32;

const MAGIC = 0x46434d31; // 'FCM1'
/** Of everything behind the head. The words of the head keep their places in all versions. */
const VERSION = 1;
const HEAD_WORDS = 64;
const H_MAGIC = 0;
const H_LAYOUT = 1; // log slots: a different layout is not ours
const H_HIGH = 2; // pages ever used
const H_READY = 3; // an open() came to its end
const H_VERSION = 4;
const H_ID = 6; // told apart by it from others that a pool had; 0: not known
const H_CLOSED = 5; // a close() came to its end, and no open() began since: the disk is as true as these words
const FULL = 0x80000000;
const DIRTY = 0x40000000;
const INDEX = 0x3fffffff;

/** Owner of bitmaps that mean nothing to the next process. */
export const VOLATILE_ID = 0xffffffff;
/** Owner of the bitmap of unsaved.ts. No catalog gives out ids that high. */
export const UNSAVED_ID = 0xfffffffe;

/** As much of the words as says whose they are. */
export const HEAD_BYTES = HEAD_WORDS * 4;

/**
 * An engine that died has left words which only its own version understands. They hold what was acknowledged and is not on
 * disk yet: taking the disk for the truth would lose that silently.
 */
export function refuseForeignMemory(head: Uint32Array): void {
  const isAlone = head[H_MAGIC] === MAGIC && head[H_READY] === 1 && head[H_CLOSED] !== 1;
  if (!isAlone || head[H_VERSION] === VERSION) return;
  throw new FlashCopyError(
    'WrongState',
    `The engine before this one died, and its shared memory (layout ${head[H_VERSION]}) can be read by its own version only. ` +
      'Start that version again; stopped by SIGTERM it hands over to this one. Host I/O waits meanwhile. To give that up ' +
      'instead, end the node service of this node: devices then fail, and what was flushed is kept.',
  );
}

/**
 * Another engine, with words of its own, has changed the pool since these were left, or the pool's files are older ones: these
 * say of grains what is not so any more. Hosts that wait for them must not go on as if nothing had been.
 */
export function refuseStaleMemory(head: Uint32Array, id: number | undefined): void {
  const isLeft = head[H_MAGIC] === MAGIC && head[H_READY] === 1 && head[H_ID] !== 0;
  if (!isLeft || head[H_ID] === id) return;
  throw new FlashCopyError(
    'WrongState',
    'The shared memory that an engine of this pool left is not the one that the catalog names: meanwhile another engine ran ' +
      'on the pool without it, or files of the pool were put back. Nothing was changed. To go on with the pool as it is on disk, ' +
      'end the node service of this node, which keeps that memory: devices that are in use then fail. Mount them again.',
  );
}

export class Arena {
  readonly words: Uint32Array;
  readonly logSlots: number;
  private readonly table: number;
  private readonly pages: number;
  readonly pageMax: number;
  /** Of the pages in use: those that are full. */
  full = 0;
  private free: number[] = [];

  constructor(words: Uint32Array, logSlots: number) {
    this.words = words;
    this.logSlots = logSlots;
    this.table = HEAD_WORDS + logSlots;
    this.pageMax = Math.floor((words.length - this.table - PAGE_WORDS) / (PAGE_WORDS + 2));
    assert(this.pageMax >= 16, 'shared memory is too small');
    this.pages = Math.ceil((this.table + 2 * this.pageMax) / PAGE_WORDS) * PAGE_WORDS;
  }

  /** Whether an engine finished opening on these words before. */
  get ready(): boolean {
    return this.isOurs && this.words[H_READY] === 1;
  }

  setReady(): void {
    this.words[H_READY] = 1;
  }

  /** Everything is on disk: an engine of another version can go on from there. */
  setClosed(): void {
    this.words[H_CLOSED] = 1;
  }

  /** From here on the disk may lag behind these words. */
  setOpened(): void {
    this.words[H_CLOSED] = 0;
  }

  private get isOurs(): boolean {
    const w = this.words;
    return w[H_MAGIC] === MAGIC && w[H_LAYOUT] === this.logSlots && w[H_VERSION] === VERSION;
  }

  /** Pages in use. */
  get taken(): number {
    return this.words[H_HIGH]! - this.free.length;
  }

  /** Forget all: the words of another boot or of an open that did not finish. From here on they have that id. */
  reset(id: number): void {
    const w = this.words;
    w[H_READY] = 0;
    w[H_ID] = id;
    // What another version left lies above the high mark then, where nobody looks.
    const high = this.isOurs ? w[H_HIGH]! : 0;
    w.fill(0, HEAD_WORDS, HEAD_WORDS + this.logSlots);
    w.fill(0, this.table, this.table + 2 * high);
    w[H_HIGH] = 0;
    w[H_LAYOUT] = this.logSlots;
    w[H_VERSION] = VERSION;
    w[H_MAGIC] = MAGIC;
    this.free = [];
    this.full = 0;
  }

  /** Visit every page in use, and free those whose bitmap `keep` does not want. */
  sweep(keep: (bitmap: number, index: number, page: number, full: boolean, dirty: boolean) => boolean): void {
    const w = this.words;
    this.free = [];
    this.full = 0;
    for (let page = w[H_HIGH]! - 1; page >= 0; page--) {
      const e = this.table + 2 * page;
      const id = w[e]!;
      const flags = w[e + 1]!;
      const isFull = (flags & FULL) !== 0;
      if (id !== 0 && keep(id, flags & INDEX, page, isFull, (flags & DIRTY) !== 0)) {
        if (isFull) this.full++;
        continue;
      }
      w[e] = 0;
      this.free.push(page);
    }
  }

  /** A zeroed page, or a full one, for a bitmap. */
  take(bitmap: number, index: number, full: boolean): number {
    const w = this.words;
    let page = this.free.pop();
    if (page === undefined) {
      page = w[H_HIGH]!;
      // Who could lead here was refused: bitmap-memory.ts.
      assert(page < this.pageMax, 'the memory for bitmaps is used up');
      w[H_HIGH] = page + 1;
      // A page above the high mark can hold words of a run before the last reset.
    }
    if (!full) w.fill(0, this.wordOf(page), this.wordOf(page) + PAGE_WORDS);
    else this.full++;
    const e = this.table + 2 * page;
    w[e + 1] = (index | DIRTY | (full ? FULL : 0)) >>> 0;
    w[e] = bitmap;
    return page;
  }

  give(page: number): void {
    const e = this.table + 2 * page;
    if ((this.words[e + 1]! & FULL) !== 0) this.full--;
    this.words[e] = 0;
    this.free.push(page);
  }

  wordOf(page: number): number {
    return this.pages + page * PAGE_WORDS;
  }

  setFull(page: number): void {
    const e = this.table + 2 * page + 1;
    this.full++;
    this.words[e] = (this.words[e]! | FULL | DIRTY) >>> 0;
  }

  setDirty(page: number): void {
    const e = this.table + 2 * page + 1;
    this.words[e] = (this.words[e]! | DIRTY) >>> 0;
  }

  setClean(page: number): void {
    const e = this.table + 2 * page + 1;
    this.words[e] = (this.words[e]! & ~DIRTY) >>> 0;
  }

  /** The word of a log slot: 1 while the slot's grain lives in the log only. */
  slotLive(slot: number): boolean {
    return this.words[HEAD_WORDS + slot] === 1;
  }

  setSlot(slot: number, live: boolean): void {
    this.words[HEAD_WORDS + slot] = live ? 1 : 0;
  }
}
