/**
 * A moment at which the power may go: what is durable, and what is not and may be left or lost, each I/O of it whole, in
 * part or not at all. I/Os that have not ended count from their submission: the disk may have been that quick.
 *
 * Files that the catalog does not name are there too; what of them is durable, and no more: nobody reads them.
 */
import type { RowChange } from '../../src/core/ops.ts';
import type { Random } from '../sim/random.ts';
import type { SimDisk } from '../sim/sim-disk.ts';
import { type Change, type Content, type SimFile, torn } from '../sim/sim-file.ts';
import { namedFiles } from '../sim/sim-world.ts';
import { Digest, textKey } from './digest.ts';
import { type Image, rowsOf, StateFile } from './image.ts';

/** All of it is left, nothing, or of each block the sectors whose bits are set. */
type Left = 'whole' | 'lost' | (() => number);

/** What a power cut leaves of the nth I/O. */
export type Survival = { label: string; of: (n: number, random: Random) => Left };

type FileAt = { path: string; salt: number; file: SimFile };
type BlockAt = { at: FileAt; block: number; content: Content };

/** One I/O, or one that set a size. */
type Candidate = { order: number; blocks: BlockAt[]; sizes: { at: FileAt; size: number }[] };

type Found = { image: () => Image; digest: number };

/** Behind everything that has taken effect. */
const LATER = 2 ** 40;
const ALL_SECTORS = 256;

export class Moment {
  private readonly catalog: ReadonlyMap<string, string>;
  private readonly rows: Image['rows'];
  private readonly files: FileAt[] = [];
  private readonly candidates: Candidate[];
  private readonly base = new Digest();

  /** `ahead`: a commit under way that is durable already. */
  constructor(disk: SimDisk, ahead: readonly RowChange[] | null) {
    this.catalog = ahead === null ? disk.catalog : withChanges(disk.catalog, ahead);
    this.rows = rowsOf(this.catalog);
    const byFile = new Map<SimFile, FileAt>();
    const named = namedFiles(this.rows);
    for (const [path, file] of disk.files) {
      const at = { path, salt: textKey(path), file };
      this.files.push(at);
      if (named.has(path)) byFile.set(file, at);
      else this.base.text(path);
    }
    this.candidates = candidatesOf(disk, byFile);
    for (const [name, json] of this.catalog) this.base.text(`${name} ${json}`);
    for (const { salt, file } of byFile.values()) {
      this.base.add(salt, -1, file.durableSize);
      for (const [block, content] of file.durableBlocks) this.base.add(salt, block, content);
    }
  }

  /** How many I/Os may be lost. */
  get volatile(): number {
    return this.candidates.length;
  }

  /** What such a power cut leaves. */
  after(survival: Survival, random: Random): Found {
    const over = new Map<FileAt, Map<number, Content>>();
    const sizes = new Map<FileAt, number>();
    this.candidates.forEach(({ blocks, sizes: set }, n) => {
      const left = survival.of(n, random);
      if (left === 'lost') return;
      for (const { at, block, content } of blocks) {
        let map = over.get(at);
        if (map === undefined) {
          map = new Map();
          over.set(at, map);
        }
        map.set(block, left === 'whole' ? content : torn(content, under(at, map, block), left()));
      }
      if (left === 'whole') for (const { at, size } of set) sizes.set(at, size);
    });
    const digest = new Digest(this.base);
    for (const [{ salt, file }, blocks] of over)
      for (const [block, content] of blocks) {
        const durable = file.durableBlocks.get(block);
        if (durable !== undefined) digest.drop(salt, block, durable);
        if (content !== null) digest.add(salt, block, content);
      }
    for (const [{ salt, file }, size] of sizes) {
      digest.drop(salt, -1, file.durableSize);
      digest.add(salt, -1, size);
    }
    return { digest: digest.value, image: () => this.image(over, sizes) };
  }

  private image(over: Map<FileAt, Map<number, Content>>, sizes: Map<FileAt, number>): Image {
    const files = new Map<string, StateFile>();
    for (const at of this.files) {
      const size = sizes.get(at) ?? at.file.durableSize;
      files.set(at.path, new StateFile(size, at.file.durableBlocks, over.get(at) ?? null));
    }
    return { catalog: this.catalog, rows: rowsOf(this.catalog), files };
  }

  /** Every kind of power cut there is at this moment. */
  *cuts(): Generator<Survival, void, void> {
    const n = this.volatile;
    const every = (label: string, of: Survival['of']): Survival => ({ label, of });
    yield every('all kept', () => 'whole');
    if (n === 0) return;
    yield every('all lost', () => 'lost');
    for (let k = 1; k < n; k++) yield every(`prefix of ${k}`, (i) => (i < k ? 'whole' : 'lost'));
    for (let k = 0; k < n; k++) yield every(`dropped ${k}`, (i) => (i === k ? 'lost' : 'whole'));
    for (let k = 0; k < n; k++) yield every(`kept alone ${k}`, (i) => (i === k ? 'whole' : 'lost'));
    for (let k = 0; k < n; k++)
      yield every(`torn ${k}`, (i, r) => (i < k ? 'whole' : i > k ? 'lost' : () => r.int(ALL_SECTORS)));
    for (let k = 0; k < SUBSETS; k++)
      yield every(`subset ${k}`, (_, r) => (r.chance(0.5) ? 'whole' : 'lost'));
    for (let k = 0; k < SUBSETS; k++)
      yield every(`blocks ${k}`, (_, r) => () => (r.chance(0.5) ? ALL_SECTORS - 1 : 0));
    for (let k = 0; k < SUBSETS; k++) yield every(`sectors ${k}`, (_, r) => () => r.int(ALL_SECTORS));
  }
}

const SUBSETS = 3;

function under(at: FileAt, over: Map<number, Content>, block: number): Content {
  const changed = over.get(block);
  return changed === undefined ? (at.file.durableBlocks.get(block) ?? null) : changed;
}

function withChanges(
  catalog: ReadonlyMap<string, string>,
  changes: readonly RowChange[],
): Map<string, string> {
  const changed = new Map(catalog);
  for (const { table, key, row } of changes) {
    if (row === null) changed.delete(`${table} ${key}`);
    else changed.set(`${table} ${key}`, JSON.stringify(row));
  }
  return changed;
}

function candidatesOf(disk: SimDisk, byFile: Map<SimFile, FileAt>): Candidate[] {
  const byChange = new Map<Change, Candidate>();
  let later = LATER;
  const of = (change: Change): Candidate => {
    let candidate = byChange.get(change);
    if (candidate === undefined) {
      candidate = { order: change.order === 0 ? later++ : change.order, blocks: [], sizes: [] };
      byChange.set(change, candidate);
    }
    return candidate;
  };
  for (const at of byFile.values()) {
    for (const [block, versions] of at.file.unflushedBlocks)
      for (const { content, by } of versions) of(by).blocks.push({ at, block, content });
    for (const { size, by } of at.file.unflushedSizes) of(by).sizes.push({ at, size });
  }
  for (const { file, block, content, by } of disk.inFlight()) {
    const at = byFile.get(file);
    if (at !== undefined) of(by).blocks.push({ at, block, content });
  }
  return [...byChange.values()].sort((a, b) => a.order - b.order);
}
