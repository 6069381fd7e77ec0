/**
 * Whether a SQLite write-ahead log is damaged in its middle, and where its commits end.
 *
 * SQLite ends its reading at the first frame whose salt or checksum is wrong, because a crash can tear the last
 * transaction. But with synchronous=FULL a transaction is begun only after the one before it was flushed. So a bad
 * frame with a later commit behind it, and anything of the same WAL behind that commit, is damage: commits that were
 * durable would be gone without a word. Damage of the last transaction cannot be told from a torn one.
 *
 * Frames of a transaction that was never committed must be gone before the next one begins, which may be shorter: behind
 * it, should it be torn in its turn, they would look like later commits.
 *
 * The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 */
import fs from 'node:fs';

const HEADER = 32;
const FRAME_HEADER = 24;
const MAGIC_LITTLE = 0x377f0682;
const MAGIC_BIG = 0x377f0683;

/** `damaged`: the byte at which it is, or null. `end`: the byte behind the last commit. */
export type WalState = { damaged: number | null; end: number };

export function stateOfWal(file: string): WalState {
  if (!fs.existsSync(file)) return { damaged: null, end: 0 };
  const bytes = fs.readFileSync(file);
  // A header of zeros was never flushed, and so was nothing behind it.
  if (bytes.length <= HEADER || bytes.subarray(0, HEADER).every((byte) => byte === 0))
    return { damaged: null, end: 0 };
  const magic = bytes.readUInt32BE(0);
  if (magic !== MAGIC_LITTLE && magic !== MAGIC_BIG) return { damaged: 0, end: 0 };
  const sum = new Checksum(bytes, magic === MAGIC_LITTLE);
  sum.add(0, 24);
  if (!sum.is(24)) return { damaged: 24, end: 0 };
  const size = FRAME_HEADER + bytes.readUInt32BE(8);
  const frames = Math.floor((bytes.length - HEADER) / size);
  const ours = (frame: number): boolean =>
    bytes.compare(bytes, 16, 24, HEADER + frame * size + 8, HEADER + frame * size + 16) === 0;
  const isCommit = (frame: number): boolean =>
    ours(frame) && bytes.readUInt32BE(HEADER + frame * size + 4) > 0;
  let end = HEADER;
  for (let frame = 0; frame < frames; frame++) {
    const at = HEADER + frame * size;
    sum.add(at, at + 8);
    sum.add(at + FRAME_HEADER, at + size);
    if (ours(frame) && sum.is(at + 16)) {
      if (isCommit(frame)) end = at + size;
      continue;
    }
    let commit = frame;
    while (commit < frames && !isCommit(commit)) commit++;
    for (let later = commit + 1; later < frames; later++) if (ours(later)) return { damaged: at, end };
    break;
  }
  return { damaged: null, end };
}

/** SQLite's running checksum over pairs of words. */
class Checksum {
  private readonly view: DataView;
  private readonly little: boolean;
  private a = 0;
  private b = 0;

  constructor(bytes: Buffer, little: boolean) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.little = little;
  }

  add(from: number, to: number): void {
    for (let at = from; at < to; at += 8) {
      this.a = (this.a + this.view.getUint32(at, this.little) + this.b) >>> 0;
      this.b = (this.b + this.view.getUint32(at + 4, this.little) + this.a) >>> 0;
    }
  }

  /** Whether the checksum stored here, always big-endian, is this one. */
  is(at: number): boolean {
    return this.view.getUint32(at) === this.a && this.view.getUint32(at + 4) === this.b;
  }
}
