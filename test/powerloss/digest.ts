/**
 * A number for a state's content, so that the same state is not counted twice: the sum over all blocks and rows of a number
 * that place and content give, in 53 bits.
 */
import { BLOCK, type Content } from '../sim/sim-file.ts';

const HIGH = 2 ** 32;

/** Two numbers of 32 bits. */
export class Digest {
  low = 0;
  high = 0;

  constructor(from?: Digest) {
    if (from === undefined) return;
    this.low = from.low;
    this.high = from.high;
  }

  /** The place `salt` has this content. */
  add(salt: number, block: number, content: Content): void {
    const key = contentKey(content);
    this.mix(salt, block, key.low, key.high, 1);
  }

  /** It has it no more. */
  drop(salt: number, block: number, content: Content): void {
    const key = contentKey(content);
    this.mix(salt, block, key.low, key.high, -1);
  }

  text(text: string): void {
    this.mix(textKey(text), text.length, 0, 0, 1);
  }

  private mix(a: number, b: number, c: number, d: number, sign: 1 | -1): void {
    const low = scramble(scramble(scramble(a ^ 0x9e3779b9) + b) + c);
    const high = scramble(scramble(scramble(b ^ 0x85ebca6b) + d) + a + low);
    this.low = (this.low + sign * low) | 0;
    this.high = (this.high + sign * high) | 0;
  }

  get value(): number {
    return (this.high & 0x1fffff) * HIGH + (this.low >>> 0);
  }
}

function scramble(x: number): number {
  let v = x | 0;
  v = Math.imul(v ^ (v >>> 16), 0x21f0aaad);
  v = Math.imul(v ^ (v >>> 15), 0x735a2d97);
  return v ^ (v >>> 15);
}

const texts = new Map<string, number>();

export function textKey(text: string): number {
  let key = texts.get(text);
  if (key === undefined) {
    key = 7;
    for (let i = 0; i < text.length; i++) key = scramble(key + text.charCodeAt(i));
    if (texts.size > 50_000) texts.clear();
    texts.set(text, key);
  }
  return key;
}

type Key = { low: number; high: number };
const HOLE: Key = { low: 0x1234567, high: 0x89abcd };
const keys = new WeakMap<Uint8Array, Key>();

function contentKey(content: Content): Key {
  if (content === null) return HOLE;
  if (!(content instanceof Uint8Array)) return { low: content | 0, high: ~content };
  let key = keys.get(content);
  if (key === undefined) {
    const words = new Uint32Array(content.buffer, content.byteOffset, BLOCK / 4);
    key = { low: 1, high: 2 };
    for (const word of words) {
      key.low = Math.imul(key.low ^ word, 0x01000193);
      key.high = (Math.imul(key.high, 31) + scramble(word)) | 0;
    }
    keys.set(content, key);
  }
  return key;
}
