/**
 * What changedRanges and allocatedRanges claim, against the naive model:
 *
 *   an older snapshot, with the changed ranges taken from a newer one (or from the volume), is the newer one
 *   no range covers a grain that nobody has written: unless the power or the shared words went since, or the volume's content was exchanged
 *   outside the allocated ranges everything is zero
 */
import type { Core } from '../../src/core/core.ts';
import type { Plan } from '../../src/core/ops.ts';
import type { History } from './history.ts';
import { type ModelVolume, optionsOf } from './model.ts';
import { BLOCK } from './sim-file.ts';

type Page = { ranges: { offset: number; length: number }[]; next: number | null; sizeBytes: number };

const isYounger = (error: unknown): boolean => /is the younger of the two/.test((error as Error).message);

/** Blocks that the ranges of all pages name, as flags. */
class Named {
  readonly blocks: Uint8Array;
  private end = 0;
  private readonly what: string;
  constructor(volume: ModelVolume, what: string) {
    this.blocks = new Uint8Array(volume.blocks);
    this.what = what;
  }

  add(page: Page): void {
    if (page.sizeBytes !== this.blocks.length * BLOCK)
      throw new Error(`${this.what}: size ${page.sizeBytes}`);
    for (const { offset, length } of page.ranges) {
      const first = offset / BLOCK;
      const count = length / BLOCK;
      if (count <= 0 || first < this.end || first + count > this.blocks.length)
        throw new Error(`${this.what}: a range from ${offset} of ${length} behind ${this.end * BLOCK}`);
      this.blocks.fill(1, first, first + count);
      this.end = first + count;
    }
  }
}

function changedBlocks(h: History, base: ModelVolume, newer: ModelVolume): Named {
  const named = new Named(newer, `changed ranges of ${newer.name} since ${base.name}`);
  for (let from: number | null = 0; from !== null; ) {
    const page: Page = h.instantly(
      h.machine.core.changedRanges(base.name, newer.name, from, h.random.between(1, 20)),
    );
    named.add(page);
    from = page.next;
  }
  return named;
}

/** Grains of the line that can have been written between the two cuts. */
function writtenBlocks(base: ModelVolume, newer: ModelVolume): Uint8Array {
  const line = base.cut!.of;
  const until = newer.cut?.of === line ? newer.cut.to : Number.POSITIVE_INFINITY;
  const per = base.grain / BLOCK;
  const blocks = new Uint8Array(Math.ceil(newer.blocks / per) * per);
  for (const { first, end, write } of line.touched) {
    if (write.submittedAt > until || write.endedAt < base.cut!.from) continue;
    blocks.fill(1, Math.floor(first / per) * per, Math.ceil(end / per) * per);
  }
  // What has been added to the volume since.
  blocks.fill(1, Math.ceil(base.blocks / per) * per);
  return blocks;
}

function compareChanged(h: History, base: ModelVolume, newer: ModelVolume): void {
  const named = changedBlocks(h, base, newer).blocks;
  const line = base.cut!.of;
  const exact =
    base.cut!.from > h.wordsLostAt &&
    line.exchanges === base.cut!.exchanges &&
    h.model.volumes.has(line.name);
  const written = exact ? writtenBlocks(base, newer) : null;
  for (let b = 0; b < newer.blocks; b++) {
    const what = `block ${b} of ${newer.name} since ${base.name}`;
    if (named[b] === 1) {
      if (written !== null && written[b] === 0) throw new Error(`${what} counts as changed; nobody wrote it`);
      continue;
    }
    const before = optionsOf(base.cells[b] ?? 0);
    const after = optionsOf(newer.cells[b]!);
    if (before.length === 1 && after.length === 1 && before[0] !== after[0])
      throw new Error(`${what} counts as unchanged, and went from ${before[0]} to ${after[0]}`);
  }
}

const isUsable = (volume: ModelVolume): boolean => !volume.dying && !volume.offline && !volume.unspecified;

/** Compare two snapshots of a volume; `quiet`: or a snapshot and its volume. */
export function checkSomeChanges(h: History, quiet: boolean): void {
  const snapshots = [...h.model.volumes.values()].filter((v) => v.cut !== null && isUsable(v));
  if (snapshots.length === 0) return;
  const one = h.random.pick(snapshots);
  const line = one.cut!.of;
  const others = snapshots.filter((v) => v !== one && v.cut!.of === line);
  const live = h.model.volumes.get(line.name);
  if (quiet && live === line && isUsable(line)) compareChanged(h, one, line);
  if (others.length === 0) return;
  const other = h.random.pick(others);
  try {
    compareChanged(h, one, other);
  } catch (error) {
    if (!isYounger(error)) throw error;
    compareChanged(h, other, one);
  }
  h.count('changed ranges: compared');
}

/** All pages of the volume's allocated ranges. */
export function* allocatedPages(core: Core, h: History, volume: ModelVolume): Plan<Page[]> {
  const pages: Page[] = [];
  for (let from: number | null = 0; from !== null; ) {
    const page: Page = yield* core.allocatedRanges(volume.name, from, h.random.between(1, 20));
    pages.push(page);
    from = page.next;
  }
  return pages;
}

/** For a volume that nobody has written meanwhile. */
export function checkAllocated(volume: ModelVolume, pages: Page[]): void {
  const named = new Named(volume, `allocated ranges of ${volume.name}`);
  for (const page of pages) named.add(page);
  for (let b = 0; b < volume.blocks; b++) {
    if (named.blocks[b] === 1) continue;
    const options = optionsOf(volume.cells[b]!);
    if (!options.includes(0))
      throw new Error(`block ${b} of ${volume.name} counts as not allocated, and is ${options.join(' or ')}`);
  }
}
