/**
 * A slot: the memory of one FUSE request from its arrival to its answer, and its identity.
 *
 *   | one page            | 512 KiB            |
 *   |     request header >|< data              |    80 bytes of header and arguments before a WRITE's data
 *   |      answer header >|< data              |    16 bytes of header before a READ's data, or any other body
 *
 * The data begins on a page, so that it goes to and comes from O_DIRECT files where it is: it is never copied here.
 * The answer's header lies over the request's, which has been parsed by then.
 */
import type { Block } from '../core/ops.ts';
import { mapResident } from '../sys/libc.ts';
import { DATA_BYTES_MAX, IN, IN_HEADER_BYTES, OUT_HEADER_BYTES, READ_WRITE } from './protocol.ts';

const PAGE = 4096;
const SLOT_BYTES = PAGE + DATA_BYTES_MAX;
const TWO_32 = 4294967296;

export class Slot {
  readonly index: number;
  readonly block: Block;
  /** Where the kernel puts a request, and how much of it there may be. */
  readonly requestAddress: number;
  static readonly REQUEST_BYTES = READ_WRITE.data + DATA_BYTES_MAX;
  readonly answerAddress: number;
  /** The answer's body, and the same memory as the data of a READ or WRITE. */
  readonly body: DataView;
  /** Of the request: what an answer must repeat. Two words, because it does not fit a number after a resend. */
  private uniqueLow = 0;
  private uniqueHigh = 0;
  private readonly words: Uint32Array;
  private readonly request: number;
  private readonly answer: number;

  constructor(index: number, buffer: ArrayBuffer, address: number, start: number) {
    const data = start + PAGE;
    this.index = index;
    this.block = { bytes: new Uint8Array(buffer, data, DATA_BYTES_MAX), address: address + data };
    this.requestAddress = address + data - READ_WRITE.data;
    this.answerAddress = address + data - OUT_HEADER_BYTES;
    this.body = new DataView(buffer, data, DATA_BYTES_MAX);
    this.words = new Uint32Array(buffer, start, PAGE / 4);
    this.request = (PAGE - READ_WRITE.data) >> 2;
    this.answer = (PAGE - OUT_HEADER_BYTES) >> 2;
  }

  /** A field of the request, by its offset from the header. */
  u32(offset: number): number {
    return this.words[this.request + (offset >> 2)]!;
  }

  /** Exact below 2^53; nothing of ours is larger. */
  u64(offset: number): number {
    return this.u32(offset) + this.u32(offset + 4) * TWO_32;
  }

  /** The arguments of a request that is one string, of which the last byte is 0. */
  text(requestBytes: number): string {
    const start = this.words.byteOffset + this.request * 4 + IN_HEADER_BYTES;
    return Buffer.from(this.words.buffer, start, requestBytes - IN_HEADER_BYTES - 1).toString('latin1');
  }

  rememberUnique(): void {
    this.uniqueLow = this.u32(IN.uniqueLow);
    this.uniqueHigh = this.u32(IN.uniqueHigh);
  }

  /** The header of the answer, in its place before the body. Returns the length of both. */
  putAnswer(errno: number, bodyBytes: number): number {
    const w = this.words;
    const length = OUT_HEADER_BYTES + bodyBytes;
    w[this.answer] = length;
    w[this.answer + 1] = -errno;
    w[this.answer + 2] = this.uniqueLow;
    w[this.answer + 3] = this.uniqueHigh;
    return length;
  }
}

/**
 * The slots that are not in use; the one used last is used next. Their memory is resident (B5): the kernel takes a
 * request from its queue before it copies it, and ends it with EIO if the copy fails because this process is dying.
 */
export class SlotPool {
  private readonly free: Slot[] = [];

  constructor(count: number) {
    const { buffer, address } = mapResident(count * SLOT_BYTES);
    for (let i = count - 1; i >= 0; i--) this.free.push(new Slot(i, buffer, address, i * SLOT_BYTES));
  }

  take(): Slot | undefined {
    return this.free.pop();
  }

  give(slot: Slot): void {
    this.free.push(slot);
  }
}
