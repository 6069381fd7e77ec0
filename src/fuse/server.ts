/**
 * The FUSE server: reads requests from /dev/fuse through the ring, has the host carry them out, writes the answers.
 *
 * F1  Every request that was read is answered exactly once, or, when the process dies before, read again by the next
 *     server, because that one asks the kernel to resend before it reads anything.
 * F2  A request's memory is used for the next one only after its answer has been written.
 * F3  A read of /dev/fuse never blocks the thread: it is O_NONBLOCK. Without, io_uring moves a read that was woken for
 *     nothing 128 times to a thread of the kernel; that one takes a request for which another read, here, has just been
 *     told that it is there, and this thread waits in read(2) while the disk's answers wait for it.
 * F4  Nothing here waits and nothing here knows of other requests: order, if any matters, is the host's business.
 *
 * The tree: a root directory, and in it one regular file per volume, named by the volume's id; node number id + 1.
 * Runs in the data thread.
 */
import { writeSync } from 'node:fs';
import { EINVAL, EIO, ENOSPC, FlashCopyError, IoError } from '../base/errors.ts';
import { setNonBlocking } from '../sys/libc.ts';
import type { Completion, Ring, Token } from '../sys/ring.ts';
import type { FuseHost, HostRequest, HostVolume } from './host.ts';
import {
  FALLOCATE_IN,
  IN,
  NOTIFY_RESEND,
  Opcode,
  OUT_HEADER_BYTES,
  PUNCH_HOLE,
  READ_WRITE,
  ROOT_NODE,
  ZERO_RANGE,
} from './protocol.ts';
import { Slot, SlotPool } from './slot.ts';
import { answerTree } from './tree.ts';

const ENOENT = 2;
const EINTR = 4;
const EAGAIN = 11;
const ENODEV = 19;
const EFBIG = 27;
const EROFS = 30;
const EOPNOTSUPP = 95;
const ECANCELED = 125;

/** Reads of /dev/fuse under way. More than a few wake each other for nothing. */
const ARMED = 4;
/** Requests that the host has at a time; more wait in the kernel. */
const SLOTS = 96;
const UNALIGNED = 4095;

export class FuseServer {
  private readonly ring: Ring;
  private readonly fd: number;
  private readonly host: FuseHost;
  private readonly slots = new SlotPool(SLOTS);
  private readonly requests: Request[] = [];
  /** Requests whose answers are on their way to the kernel without a completion to come. */
  private answered: Request[] = [];
  private armed = 0;
  /** Requests read and not answered. */
  private open = 0;
  private serving = false;
  private onIdle: (() => void) | null = null;
  private readonly cancelled: Token;

  constructor(ring: Ring, fd: number, host: FuseHost) {
    this.ring = ring;
    this.fd = fd;
    this.host = host;
    this.cancelled = ring.adopt({ complete: () => {} });
  }

  /** From here on requests are read and answered; first of all those that a former server left unanswered. */
  start(): void {
    this.resend();
    setNonBlocking(this.fd, '/dev/fuse');
    this.serving = true;
    this.arm();
  }

  /** Read no more requests, answer those that were read, then call `idle`. What comes later waits in the kernel. */
  stop(idle: () => void): void {
    this.serving = false;
    this.onIdle = idle;
    for (const request of this.requests) {
      if (request.reading) this.ring.cancel(request.readToken, this.cancelled);
    }
    this.idleNow();
  }

  /** To be called after each `ring.enter` that returned true: answers handed over before are with the kernel now (F2). */
  entered(): void {
    if (this.answered.length === 0) return;
    for (const request of this.answered) this.slots.give(request.slot);
    this.answered.length = 0;
    this.arm();
  }

  private resend(): void {
    const notification = Buffer.alloc(OUT_HEADER_BYTES);
    notification.writeUInt32LE(OUT_HEADER_BYTES, 0);
    notification.writeInt32LE(NOTIFY_RESEND, 4);
    try {
      writeSync(this.fd, notification);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      this.host.log('warn', 'the kernel cannot resend requests: those under way at a restart will hang', {
        needed: 'Linux 6.9',
      });
    }
  }

  private arm(): void {
    while (this.serving && this.armed < ARMED) {
      const slot = this.slots.take();
      if (slot === undefined) return;
      this.requests[slot.index] ??= new Request(this, slot, this.ring);
      this.requests[slot.index]!.read(this.fd);
      this.armed++;
    }
  }

  /** A read of /dev/fuse has ended. */
  arrived(request: Request, result: number): void {
    this.armed--;
    if (result >= 0) {
      this.open++;
      request.slot.rememberUnique();
      this.handle(request, result);
    } else {
      this.slots.give(request.slot);
      this.notArrived(-result);
    }
    this.arm();
  }

  private notArrived(errno: number): void {
    // ENOENT: the request was interrupted before it could be read.
    if (errno === ENOENT || errno === EINTR || errno === EAGAIN) return;
    if (errno !== ECANCELED) {
      if (this.serving) {
        const message =
          errno === ENODEV ? 'the mount is gone, serving ends' : 'reading requests failed, serving ends';
        this.host.log('warn', message, { errno });
      }
      this.serving = false;
    }
    this.idleNow();
  }

  private handle(request: Request, requestBytes: number): void {
    const slot = request.slot;
    const opcode = slot.u32(IN.opcode);
    switch (opcode) {
      case Opcode.READ:
        this.transfer(request, 'read');
        break;
      case Opcode.WRITE:
        this.transfer(request, 'write');
        break;
      case Opcode.FSYNC:
        this.flush(request);
        break;
      case Opcode.FALLOCATE:
        this.discard(request);
        break;
      case Opcode.FORGET:
      case Opcode.BATCH_FORGET:
        // The only requests without an answer.
        this.open--;
        this.slots.give(slot);
        this.idleNow();
        break;
      default: {
        const length = answerTree(this.host, slot, opcode, requestBytes);
        this.answer(request, length < 0 ? -length : 0, Math.max(0, length));
      }
    }
  }

  private transfer(request: Request, kind: 'read' | 'write'): void {
    const slot = request.slot;
    const volume = this.volumeOf(slot);
    const offset = slot.u64(READ_WRITE.offset);
    const length = slot.u32(READ_WRITE.size);
    const refused = refusal(volume, kind, offset, length);
    if (refused !== 0) {
      this.answer(request, refused, 0);
    } else if (kind === 'write') {
      request.begin(volume!, offset, length, kind);
      this.host.write(request);
    } else {
      const rest = Math.min(length, volume!.sizeBytes - offset);
      if (rest > 0) {
        request.begin(volume!, offset, rest, kind);
        this.host.read(request);
      } else this.answer(request, 0, 0);
    }
  }

  private flush(request: Request): void {
    const volume = this.volumeOf(request.slot);
    if (volume === undefined) {
      this.answer(request, request.slot.u32(IN.node) === ROOT_NODE ? 0 : ENOENT, 0);
      return;
    }
    request.begin(volume, 0, 0, 'flush');
    this.host.flush(request);
  }

  private discard(request: Request): void {
    const slot = request.slot;
    const volume = this.volumeOf(slot);
    const offset = slot.u64(FALLOCATE_IN.offset);
    const length = slot.u64(FALLOCATE_IN.length);
    const mode = slot.u32(FALLOCATE_IN.mode);
    const known = mode === PUNCH_HOLE || mode === ZERO_RANGE;
    const refused = known ? refusal(volume, 'discard', offset, length) : EOPNOTSUPP;
    if (refused !== 0) {
      this.answer(request, refused, 0);
      return;
    }
    request.begin(volume!, offset, length, 'discard');
    this.host.discard(request);
  }

  private volumeOf(slot: Slot): HostVolume | undefined {
    return this.host.volumeById(slot.u64(IN.node) - 1);
  }

  /** The host is done with a request. */
  ended(request: Request, error: unknown): void {
    let bodyBytes = 0;
    if (error !== null && error !== undefined) {
      this.answer(request, this.errnoOf(error, request), 0);
      return;
    }
    if (request.kind === 'read') bodyBytes = request.length;
    else if (request.kind === 'write') {
      // struct fuse_write_out
      request.slot.body.setUint32(0, request.length, true);
      request.slot.body.setUint32(4, 0, true);
      bodyBytes = 8;
    }
    this.answer(request, 0, bodyBytes);
  }

  private errnoOf(error: unknown, request: Request): number {
    if (error instanceof IoError) return error.errno;
    if (error instanceof FlashCopyError) return error.code === 'OutOfSpace' ? ENOSPC : EIO;
    this.host.log('error', 'a host request met a bug and is answered with EIO', {
      volume: request.volume.id,
      request: request.kind,
      offset: request.offset,
      length: request.length,
      error: error instanceof Error ? error.stack : String(error),
    });
    return EIO;
  }

  private answer(request: Request, errno: number, bodyBytes: number): void {
    const slot = request.slot;
    const length = slot.putAnswer(errno, bodyBytes);
    this.open--;
    if (this.ring.quietWritesAreInline) {
      this.ring.writeQuietly(this.fd, slot.answerAddress, length, request.answerToken);
      this.answered.push(request);
    } else this.ring.write(this.fd, slot.answerAddress, length, 0, request.answerToken);
    this.idleNow();
  }

  /** An answer was written, or could not be. */
  written(request: Request, result: number): void {
    // ENOENT: whoever waited for it was killed. ENODEV: the mount is gone.
    if (result < 0 && result !== -ENOENT && result !== -ENODEV) {
      this.host.log('error', 'the kernel did not take an answer', { errno: -result, request: request.kind });
    }
    if (this.ring.quietWritesAreInline) return;
    this.slots.give(request.slot);
    this.arm();
  }

  private idleNow(): void {
    if (this.onIdle === null || this.armed > 0 || this.open > 0) return;
    const idle = this.onIdle;
    this.onIdle = null;
    idle();
  }
}

/** The errno that a request is refused with, or 0. A read past the end is none: it is short. */
function refusal(volume: HostVolume | undefined, kind: Kind, offset: number, length: number): number {
  if (volume === undefined) return ENOENT;
  if (((offset | length) & UNALIGNED) !== 0) return EINVAL;
  if (kind === 'read') return 0;
  if (volume.readOnly) return EROFS;
  return offset + length > volume.sizeBytes ? EFBIG : 0;
}

type Kind = 'none' | 'read' | 'write' | 'flush' | 'discard';
const NO_VOLUME: HostVolume = { id: 0, name: '', sizeBytes: 0, readOnly: true };

/** One for each slot, made once. */
class Request implements HostRequest {
  readonly slot: Slot;
  readonly block: Slot['block'];
  readonly readToken: Token;
  readonly answerToken: Token;
  readonly done: (error: unknown) => void;
  volume: HostVolume = NO_VOLUME;
  offset = 0;
  length = 0;
  kind: Kind = 'none';
  /** A read of /dev/fuse into this slot is under way. */
  reading = false;
  private readonly ring: Ring;

  constructor(server: FuseServer, slot: Slot, ring: Ring) {
    this.slot = slot;
    this.block = slot.block;
    this.ring = ring;
    this.done = (error) => server.ended(this, error);
    const arrived: Completion = {
      complete: (result) => {
        this.reading = false;
        server.arrived(this, result);
      },
    };
    this.readToken = ring.adopt(arrived);
    this.answerToken = ring.adopt({ complete: (result) => server.written(this, result) });
  }

  read(fd: number): void {
    this.reading = true;
    this.kind = 'none';
    this.ring.read(fd, this.slot.requestAddress, Slot.REQUEST_BYTES, 0, this.readToken);
  }

  begin(volume: HostVolume, offset: number, length: number, kind: Kind): void {
    this.volume = volume;
    this.offset = offset;
    this.length = length;
    this.kind = kind;
  }
}
