/**
 * A file of the simulated disk: what is read from it now, and what would be left of it after a loss of power.
 *
 * The file is made of 4096-byte blocks; an absent one is a hole. A change of a block is *volatile* until a flush that was
 * submitted after the change had ended: per block there is the durable content and the versions that came later, in
 * the order in which they took effect. A loss of power keeps any of them (sim-disk.ts chooses).
 */
export const BLOCK = 4096;
const SECTOR = 512;

/** A block that repeats one u32 word (most do) is kept as that word; null is a hole. */
export type Content = number | Uint8Array | null;

export const NEVER = Number.POSITIVE_INFINITY;

/** One write or punch, as far as durability goes: `order` counts effects, `endedAt` submissions and ends on the disk. */
export type Change = { order: number; endedAt: number };

export type Version = { content: Content; by: Change };

/** What of a version is left: all, nothing, or a bit for each sector. */
type Survival = (by: Change, block: number) => 'whole' | 'lost' | number;

export function contentOf(bytes: Uint8Array, start: number): Content {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + start, BLOCK / 4);
  const first = words[0]!;
  for (let i = 1; i < words.length; i++) {
    if (words[i] !== first) return bytes.slice(start, start + BLOCK);
  }
  return first;
}

export function copyContent(content: Content, bytes: Uint8Array, start: number): void {
  if (content instanceof Uint8Array) bytes.set(content, start);
  else new Uint32Array(bytes.buffer, bytes.byteOffset + start, BLOCK / 4).fill(content ?? 0);
}

export function torn(over: Content, under: Content, sectors: number): Content {
  const bytes = new Uint8Array(BLOCK);
  const upper = new Uint8Array(BLOCK);
  copyContent(under, bytes, 0);
  copyContent(over, upper, 0);
  for (let s = 0; s < BLOCK / SECTOR; s++) {
    if (sectors & (1 << s)) bytes.set(upper.subarray(s * SECTOR, (s + 1) * SECTOR), s * SECTOR);
  }
  return contentOf(bytes, 0);
}

export class SimFile {
  /** The size that a loss of power leaves, and those set since. */
  durableSize: number;
  private sizes: { size: number; by: Change }[] = [];
  size: number;
  /** Blocks with data. */
  private readonly now = new Map<number, Content>();
  /** Space taken without data, by a thick file. */
  private readonly reserved = new Set<number>();
  private readonly kept = new Map<number, Content>();
  private readonly later = new Map<number, Version[]>();
  /** Changed in the cache only, since a flush failed. */
  private readonly forgotten = new Set<number>();

  constructor(size: number) {
    this.size = size;
    this.durableSize = size;
  }

  /** A file with this content, all of it durable. */
  static durable(size: number, blocks: Iterable<readonly [number, Content]>): SimFile {
    const file = new SimFile(size);
    for (const [block, content] of blocks) {
      file.set(block, content);
      if (content !== null) file.kept.set(block, content);
    }
    return file;
  }

  static preallocated(size: number): SimFile {
    const file = new SimFile(size);
    for (let block = 0; block < size / BLOCK; block++) file.reserve(block);
    return file;
  }

  get allocatedBlocks(): number {
    return this.now.size + this.reserved.size;
  }

  isAllocated(block: number): boolean {
    return this.now.has(block) || this.reserved.has(block);
  }

  /** What no loss of power can take. A block that is not there, or null, is a hole. */
  get durableBlocks(): ReadonlyMap<number, Content> {
    return this.kept;
  }

  /** What a loss of power may take: the versions of each block, oldest first. */
  get unflushedBlocks(): ReadonlyMap<number, readonly Version[]> {
    return this.later;
  }

  get unflushedSizes(): readonly { size: number; by: Change }[] {
    return this.sizes;
  }

  hasData(block: number): boolean {
    return this.now.has(block);
  }

  reserve(block: number): void {
    if (!this.now.has(block)) this.reserved.add(block);
  }

  read(block: number): Content {
    return this.now.get(block) ?? null;
  }

  change(block: number, content: Content, by: Change): void {
    this.set(block, content);
    const versions = this.later.get(block);
    if (versions === undefined) this.later.set(block, [{ content, by }]);
    else versions.push({ content, by });
  }

  resize(size: number, by: Change): void {
    this.size = size;
    this.sizes.push({ size, by });
  }

  /** A write beyond the end: the size comes with it. */
  extend(size: number): void {
    this.size = Math.max(this.size, size);
    this.durableSize = Math.max(this.durableSize, size);
  }

  private set(block: number, content: Content): void {
    this.reserved.delete(block);
    if (content === null) this.now.delete(block);
    else this.now.set(block, content);
  }

  /** What had ended before `submittedAt` becomes durable, and with it whatever it covered. */
  flush(submittedAt: number): void {
    const set = this.sizes.findLastIndex((one) => one.by.endedAt < submittedAt);
    if (set >= 0) {
      this.durableSize = this.sizes[set]!.size;
      this.sizes.splice(0, set + 1);
    }
    for (const [block, versions] of this.later) {
      const last = versions.findLastIndex((version) => version.by.endedAt < submittedAt);
      if (last < 0) continue;
      this.kept.set(block, versions[last]!.content);
      if (last === versions.length - 1) this.later.delete(block);
      else versions.splice(0, last + 1);
    }
  }

  /**
   * A flush that failed: what it was to make durable is in the cache as before, but neither the disk nor a later flush
   * knows of it any more.
   */
  failFlush(submittedAt: number): void {
    for (const [block, versions] of this.later) {
      const last = versions.findLastIndex((version) => version.by.endedAt < submittedAt);
      if (last < 0) continue;
      this.forgotten.add(block);
      if (last === versions.length - 1) this.later.delete(block);
      else versions.splice(0, last + 1);
    }
  }

  /** The changes that a loss of power could undo. */
  volatileChanges(): Set<Change> {
    const changes = new Set<Change>();
    for (const versions of this.later.values()) for (const version of versions) changes.add(version.by);
    for (const { by } of this.sizes) changes.add(by);
    return changes;
  }

  losePower(survival: Survival): void {
    for (const block of this.forgotten)
      if (!this.later.has(block)) this.set(block, this.kept.get(block) ?? null);
    this.forgotten.clear();
    for (const [block, versions] of this.later) {
      let content = this.kept.get(block) ?? null;
      for (const version of versions) {
        const left = survival(version.by, block);
        if (left === 'whole') content = version.content;
        else if (left !== 'lost') content = torn(version.content, content, left);
      }
      this.set(block, content);
      this.kept.set(block, content);
    }
    this.later.clear();
    // Of a size there is no half.
    for (const { size, by } of this.sizes) if (survival(by, 0) === 'whole') this.durableSize = size;
    this.sizes = [];
    this.size = this.durableSize;
  }
}
