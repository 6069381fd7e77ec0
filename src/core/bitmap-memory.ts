/**
 * How much of the memory for bitmaps (arena.ts) may be asked for: no write of a host ever fails, or waits, for want of a page.
 *
 *   promised = pages in use + those that bitmaps may still take to which hosts, or a background copy, add bits
 *
 * Whoever would lead past the limit is refused before: a cut, a sync, a growth, a copy rate. The limit is half of the pages. The
 * other half is for what comes and goes, and for a volume that leaves: until it is gone it and who reads through it have its pages
 * twice. So deleting always works, and a pool can always be opened. By itself the bitmap of an older snapshot does not grow: what
 * it gets comes from one that leaves, whose pages are free then. But of several that hang on that one each may get as much.
 *
 * What a page really takes is memory of the machine, of which at most half may be promised. A full page takes none.
 */
import { FlashCopyError } from '../base/errors.ts';
import { sizeText } from '../base/fullness.ts';
import { PAGE_BITS, PAGE_WORDS } from './arena.ts';
import type { State } from './state.ts';
import type { Volume } from './volume.ts';

const PAGE_BYTES = PAGE_WORDS * 4;
/** From here on the pool warns. */
const NEARLY = 0.8;

type Demand = { pages: number; limit: number };

/** The most pages that a bitmap of so many grains takes. */
export const pagesOf = (grains: number): number => Math.ceil(grains / PAGE_BITS);

/** Throws if `more` pages could lead past the limit. */
export function checkBitmapMemory(state: State, what: string, more: number): void {
  const { pages, limit } = demand(state, more);
  if (pages <= limit) return;
  // What deletions have left of change bits becomes less then, and who asks again may have better luck.
  state.log.onPressure();
  throw new FlashCopyError(
    'OutOfSpace',
    `${what} may take ${bytes(more)} of memory for bitmaps. ${bytes(pages - more)} of ${bytes(limit)} are in use or promised to ` +
      'volumes that have copies. Delete snapshots or other copies of volumes and, when they are gone, ask again.',
  );
}

/** The background copy may come to fill the target's FC bitmap. */
export function checkCopyRate(state: State, target: Volume | undefined, copyRate: number): void {
  if (target === undefined || copyRate === 0) return;
  const copies = copying(state);
  const more = growth(state, new Set(copies).add(target.id)) - growth(state, copies);
  if (more > 0) checkBitmapMemory(state, `A background copy to ${target.name}`, more);
}

/** What counts against the limit, and the limit. */
export function bitmapMemory(state: State): { bitmapUsedBytes: number; bitmapMaxBytes: number } {
  const { pages, limit } = demand(state, 0);
  return { bitmapUsedBytes: pages * PAGE_BYTES, bitmapMaxBytes: limit * PAGE_BYTES };
}

export function bitmapWarnings(state: State): string[] {
  const { pages, limit } = demand(state, 0);
  if (pages < limit * NEARLY) return [];
  return [
    `${bytes(pages)} of ${bytes(limit)} of memory for bitmaps are in use or promised to volumes that have copies. At the limit no ` +
      'snapshot and no other copy is made, and none is synced. Delete snapshots or other copies of volumes.',
  ];
}

/** Of pages, and of the machine's memory, what is nearer to its limit. */
function demand(state: State, more: number): Demand {
  const { arena } = state;
  const pages = arena.taken + growth(state, copying(state)) + more;
  const ofArena = { pages, limit: Math.floor(arena.pageMax / 2) };
  const ofMemory = { pages: pages - arena.full, limit: Math.floor(state.memoryBytes / 2 / PAGE_BYTES) };
  return ofArena.pages / ofArena.limit >= ofMemory.pages / ofMemory.limit ? ofArena : ofMemory;
}

function growth(state: State, copies: Set<number>): number {
  let pages = 0;
  for (const volume of state.volumes.values()) {
    // In a snapshot nothing is ever written.
    if (volume.open !== null && !volume.readOnly)
      pages += pagesOf(volume.grains) - volume.open.bitmap.pageTotal;
    pages += growthBelow(volume, copies);
  }
  return pages;
}

/** Of the FC bitmaps of those that hang on the volume. When it leaves, one of them needs no more pages than are free then. */
function growthBelow(volume: Volume, copies: Set<number>): number {
  let pages = 0;
  let freed = 0;
  for (const child of volume.children) {
    if (child.held === null) continue;
    const left = pagesOf(child.grains) - child.held.pageTotal;
    pages += left;
    if (waitsFor(volume, child, copies)) freed = Math.max(freed, left);
  }
  return pages - freed;
}

/**
 * Whether the child gets nothing before the parent leaves, which leaves pages then: nobody writes there, and the background copy does
 * not fill the child. The parent's own newest copy does not wait: it comes to hang on the next one, to which somebody may write.
 */
const waitsFor = (parent: Volume, child: Volume, copies: Set<number>): boolean =>
  child.readOnly &&
  parent.readOnly &&
  parent.held !== null &&
  child.row.source !== parent.id &&
  !copies.has(child.id);

/** Ids of targets that the background copy is to fill. */
function copying({ mappings }: State): Set<number> {
  const targets = new Set<number>();
  for (const { row } of mappings.values()) if (row.copyRate > 0) targets.add(row.target);
  return targets;
}

const bytes = (pages: number): string => sizeText(pages * PAGE_BYTES);
