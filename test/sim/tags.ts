/**
 * What a block holds, as a number: the word that its 4096 bytes repeat. A block whose 512-byte sectors differ (a write that a
 * loss of power tore) gets a number of its own, beyond those of words.
 */
import { BLOCK } from './sim-file.ts';

const SECTORS = 8;
const SECTOR_WORDS = BLOCK / 4 / SECTORS;
const MIXED = 2 ** 32;

export class Tags {
  private last = 0;
  private readonly mixed: string[] = [];

  /** Forgets, when called, the blocks of mixed sectors that were met since. */
  mark(): () => void {
    const { length } = this.mixed;
    return () => {
      this.mixed.length = length;
    };
  }

  /** A tag that no block has yet. */
  fresh(): number {
    return ++this.last;
  }

  fill(bytes: Uint8Array, start: number, tag: number): void {
    new Uint32Array(bytes.buffer, bytes.byteOffset + start, BLOCK / 4).fill(tag);
  }

  /** The tag of a block as it was read; throws if it is nothing that blocks were ever made of. */
  of(bytes: Uint8Array, start: number): number {
    // Nearly all: one word, again and again.
    const head = bytes.subarray(start, start + BLOCK - 4);
    if (Buffer.compare(head, bytes.subarray(start + 4, start + BLOCK)) === 0)
      return new DataView(bytes.buffer, bytes.byteOffset + start, 4).getUint32(0, true);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + start, BLOCK / 4);
    const sectors: number[] = [];
    for (let s = 0; s < SECTORS; s++) {
      const word = words[s * SECTOR_WORDS]!;
      sectors.push(word);
      for (let i = 1; i < SECTOR_WORDS; i++) {
        if (words[s * SECTOR_WORDS + i] === word) continue;
        throw new Error(`a sector was mixed up: ${word} and ${words[s * SECTOR_WORDS + i]} in sector ${s}`);
      }
    }
    if (sectors.every((word) => word === sectors[0])) return sectors[0]!;
    const key = sectors.join(' ');
    const known = this.mixed.indexOf(key);
    return MIXED + (known >= 0 ? known : this.mixed.push(key) - 1);
  }

  /** Whether the block `tag` can be made of sectors of the blocks `from`. */
  isMadeOf(tag: number, from: readonly number[]): boolean {
    const parts = from.map((one) => this.sectorsOf(one));
    return this.sectorsOf(tag).every((word, s) => parts.some((part) => part[s] === word));
  }

  describe(tag: number): string {
    return tag < MIXED ? String(tag) : `mixed(${this.mixed[tag - MIXED]})`;
  }

  private sectorsOf(tag: number): number[] {
    return tag < MIXED
      ? new Array<number>(SECTORS).fill(tag)
      : this.mixed[tag - MIXED]!.split(' ').map(Number);
  }
}
