/**
 * io_uring: many I/Os under way from one thread, all of its waiting in one place.
 *
 * R1  A ring belongs to the thread that made it: only that thread may call anything here.
 * R2  What a submission points to in `scratch` (paths, vectors, times) is read by the kernel before `enter` returns.
 *     What it points to elsewhere (data) must stay until its completion.
 * R3  Every submission ends in exactly one call of its Completion, from `dispatch`; except `writeQuietly`, which ends in
 *     none when it succeeds.
 *
 * A Completion is registered once (`adopt`) and used for one I/O at a time, again and again: nothing is allocated for
 * an I/O. Layouts and constants are those of the kernel's include/uapi/linux/io_uring.h.
 */
import koffi from 'koffi';
import { assert, EINVAL, FlashCopyError, IoError } from '../base/errors.ts';
import { closeDescriptor, type Mapped, mapKernel, mapPrivate } from './libc.ts';

export interface Completion {
  /** What the system call would have returned, or -errno. May submit. */
  complete(result: number): void;
}
/** Names a Completion to the kernel. */
export type Token = number;

const lib = koffi.load('libc.so.6');
// Variadic in C; on both machines that we run on, six integer registers whatever the number of arguments.
const setup = lib.func('long syscall(long number, uint entries, void *params)');
const enter = lib.func(
  'long syscall(long number, int fd, uint submit, uint wait, uint flags, long a, long b)',
);
const register = lib.func('long syscall(long number, int fd, uint code, void *argument, uint count)');
const SYS_SETUP = 425;
const SYS_ENTER = 426;
const SYS_REGISTER = 427;

const SETUP_CQSIZE = 1 << 3;
const SETUP_SUBMIT_ALL = 1 << 7;
const SETUP_SINGLE_ISSUER = 1 << 12;
const SETUP_DEFER_TASKRUN = 1 << 13;
const ENTER_GETEVENTS = 1;
const FEATURE_SINGLE_MMAP = 1;
const FEATURE_MIN_TIMEOUT = 1 << 15;
const OFFSET_SQES = 0x10000000;
const REGISTER_IOWQ_MAX_WORKERS = 19;
const SQE_CQE_SKIP_SUCCESS = 1 << 6;

const OP_WRITEV = 2;
const OP_FSYNC = 3;
const OP_TIMEOUT = 11;
const OP_ASYNC_CANCEL = 14;
const OP_FALLOCATE = 17;
const OP_READ = 22;
const OP_WRITE = 23;
const OP_UNLINKAT = 36;
const FSYNC_DATASYNC = 1;
const AT_FDCWD = -100;

const EPERM = 1;
const EINTR = 4;
const EAGAIN = 11;
const EBUSY = 16;
const ENOSYS = 38;
const ETIME = 62;

const SQ_ENTRIES = 512;
const CQ_ENTRIES = 8192;
const SQE_WORDS = 16;
const TWO_32 = 4294967296;
const SCRATCH_BYTES = 256 * 1024;
/** Threads of the kernel for what it cannot start without blocking: flushes, allocations, writes into holes. */
const WORKERS = 32;

export class Ring {
  readonly fd: number;
  /** A quiet write has been carried out when `enter` returns true: its memory may be used again. */
  readonly quietWritesAreInline: boolean;
  private readonly completions: Completion[] = [];
  private readonly ring: Int32Array;
  private readonly sqes: Uint32Array;
  private readonly sqHead: number;
  private readonly sqTail: number;
  private readonly cqHead: number;
  private readonly cqTail: number;
  private readonly cqes: number;
  private readonly sqMask: number;
  private readonly cqMask: number;
  private tail = 0;
  private readonly scratch: Mapped;
  private readonly scratchWords: Uint32Array;
  private scratchUsed = 0;

  constructor() {
    const { fd, params } = setupRing();
    const at = (offset: number): number => params.readUInt32LE(offset);
    // struct io_uring_params: sq_entries@0 cq_entries@4 features@20 sq_off@40 cq_off@80
    const sqEntries = at(0);
    const cqEntries = at(4);
    const features = at(20);
    if ((features & FEATURE_SINGLE_MMAP) === 0) {
      closeDescriptor(fd);
      throw tooOld('its io_uring is older than Linux 5.4');
    }
    this.fd = fd;
    // Linux 6.12, which has this feature, is also the first that writes to /dev/fuse without handing over to a thread.
    this.quietWritesAreInline = (features & FEATURE_MIN_TIMEOUT) !== 0;
    const length = Math.max(at(40 + 24) + sqEntries * 4, at(80 + 20) + cqEntries * 16);
    this.ring = new Int32Array(mapKernel(fd, length & ~3, 0, 'io_uring').buffer);
    this.sqes = new Uint32Array(mapKernel(fd, sqEntries * 64, OFFSET_SQES, 'io_uring').buffer);
    this.sqHead = at(40) >> 2;
    this.sqTail = at(44) >> 2;
    this.sqMask = sqEntries - 1;
    this.cqHead = at(80) >> 2;
    this.cqTail = at(84) >> 2;
    this.cqes = at(80 + 20) >> 2;
    this.cqMask = cqEntries - 1;
    // The array between ring and entries: entry i is always in place i.
    for (let i = 0; i < sqEntries; i++) this.ring[(at(40 + 24) >> 2) + i] = i;
    this.scratch = mapPrivate(SCRATCH_BYTES);
    this.scratchWords = new Uint32Array(this.scratch.buffer);
    allowWorkers(fd);
  }

  adopt(completion: Completion): Token {
    return this.completions.push(completion) - 1;
  }

  read(fd: number, address: number, length: number, offset: number, token: Token): void {
    this.submit(OP_READ, fd, offset, address, length, 0, token);
  }

  write(fd: number, address: number, length: number, offset: number, token: Token): void {
    this.submit(OP_WRITE, fd, offset, address, length, 0, token);
  }

  /** Tells nobody when all went well: see R3 and `quietWritesAreInline`. */
  writeQuietly(fd: number, address: number, length: number, token: Token): void {
    this.submit(OP_WRITE | (SQE_CQE_SKIP_SUCCESS << 8), fd, 0, address, length, 0, token);
  }

  /** `vectors` is a list of pairs: address, length. */
  writev(fd: number, vectors: readonly number[], offset: number, token: Token): void {
    const count = vectors.length / 2;
    let word = this.takeScratch(count * 16) >> 2;
    const address = this.scratch.address + word * 4;
    for (let i = 0; i < vectors.length; i += 2, word += 4) {
      this.putU64(word, vectors[i]!);
      this.putU64(word + 2, vectors[i + 1]!);
    }
    this.submit(OP_WRITEV, fd, offset, address, count, 0, token);
  }

  fdatasync(fd: number, token: Token): void {
    this.submit(OP_FSYNC, fd, 0, 0, 0, FSYNC_DATASYNC, token);
  }

  fsync(fd: number, token: Token): void {
    this.submit(OP_FSYNC, fd, 0, 0, 0, 0, token);
  }

  fallocate(fd: number, mode: number, offset: number, length: number, token: Token): void {
    this.submit(OP_FALLOCATE, fd, offset, length, mode, 0, token);
  }

  unlink(path: string, token: Token): void {
    const bytes = Buffer.from(`${path}\0`);
    const at = this.takeScratch(bytes.length);
    new Uint8Array(this.scratch.buffer, at, bytes.length).set(bytes);
    this.submit(OP_UNLINKAT, AT_FDCWD, 0, this.scratch.address + at, 0, 0, token);
  }

  /** Ends with -ETIME. */
  timeout(milliseconds: number, token: Token): void {
    const word = this.takeScratch(16) >> 2;
    this.putU64(word, Math.floor(milliseconds / 1000));
    this.putU64(word + 2, Math.round((milliseconds % 1000) * 1e6));
    this.submit(OP_TIMEOUT, -1, 0, this.scratch.address + word * 4, 1, 0, token);
  }

  /** Ends the I/O of `target` early with -ECANCELED, if it is still under way. */
  cancel(target: Token, token: Token): void {
    this.submit(OP_ASYNC_CANCEL, -1, 0, target, 0, 0, token);
  }

  /**
   * Hand everything to the kernel and sleep until at least one completion is there. False when the kernel could not
   * take everything now: dispatch, then enter again.
   */
  enter(): boolean {
    this.ring[this.sqTail] = this.tail;
    const pending = this.unsubmitted();
    if (pending === 0 && this.hasCompletions()) return true;
    this.enterKernel(pending, 1);
    return this.unsubmitted() === 0;
  }

  /** Call the Completion of everything that has ended. */
  dispatch(): void {
    const ring = this.ring;
    let head = ring[this.cqHead]!;
    // Completions may submit, and that may let others end: those wait for the next round.
    const tail = Atomics.load(ring, this.cqTail);
    while (head !== tail) {
      const cqe = this.cqes + (head & this.cqMask) * 4;
      const token = ring[cqe]!;
      const result = ring[cqe + 2]!;
      head = (head + 1) | 0;
      Atomics.store(ring, this.cqHead, head);
      this.completions[token]!.complete(result);
    }
  }

  hasCompletions(): boolean {
    return this.ring[this.cqHead] !== Atomics.load(this.ring, this.cqTail);
  }

  close(): void {
    closeDescriptor(this.fd);
  }

  private submit(
    op: number,
    fd: number,
    offset: number,
    address: number,
    length: number,
    flags: number,
    token: Token,
  ): void {
    if (((this.tail - this.ring[this.sqHead]!) | 0) > this.sqMask) this.flush();
    const q = this.sqes;
    const i = (this.tail & this.sqMask) * SQE_WORDS;
    q[i] = op;
    q[i + 1] = fd;
    q[i + 2] = offset;
    q[i + 3] = offset / TWO_32;
    q[i + 4] = address;
    q[i + 5] = address / TWO_32;
    q[i + 6] = length;
    q[i + 7] = flags;
    q[i + 8] = token;
    q[i + 9] = 0;
    q[i + 10] = 0;
    q[i + 11] = 0;
    q[i + 12] = 0;
    q[i + 13] = 0;
    this.tail = (this.tail + 1) | 0;
  }

  /** Hand over without waiting. */
  flush(): void {
    this.ring[this.sqTail] = this.tail;
    while (this.unsubmitted() > 0) this.enterKernel(this.unsubmitted(), 0);
  }

  private unsubmitted(): number {
    return (this.tail - Atomics.load(this.ring, this.sqHead)) | 0;
  }

  private enterKernel(submit: number, wait: number): void {
    const result = Number(enter(SYS_ENTER, this.fd, submit, wait, ENTER_GETEVENTS, 0, 0));
    if (this.unsubmitted() === 0) this.scratchUsed = 0;
    if (result >= 0) return;
    const errno = koffi.errno();
    // EINTR: a signal. EAGAIN, EBUSY: the kernel is short of memory, or wants completions taken first. The caller's
    // loop takes them and comes again.
    if (errno !== EINTR && errno !== EAGAIN && errno !== EBUSY)
      throw new IoError(errno, 'io_uring_enter', 'ring');
  }

  private takeScratch(bytes: number): number {
    assert(bytes <= SCRATCH_BYTES, 'arguments of one submission fit into the scratch memory');
    if (this.scratchUsed + bytes > SCRATCH_BYTES) this.flush();
    const at = this.scratchUsed;
    this.scratchUsed = (at + bytes + 15) & ~15;
    return at;
  }

  private putU64(word: number, value: number): void {
    this.scratchWords[word] = value;
    this.scratchWords[word + 1] = value / TWO_32;
  }
}

/** What a `timeout` ends with. */
export const TIMED_OUT = -ETIME;

function setupRing(): { fd: number; params: Buffer } {
  const fast = SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN;
  // Before Linux 6.1 the kernel does not know them all. Everything works without.
  for (const flags of [fast, SETUP_CQSIZE]) {
    const params = Buffer.alloc(120);
    params.writeUInt32LE(flags, 8);
    params.writeUInt32LE(CQ_ENTRIES, 4);
    const fd = Number(setup(SYS_SETUP, SQ_ENTRIES, params));
    if (fd >= 0) return { fd, params };
    const errno = koffi.errno();
    if (errno === ENOSYS) throw tooOld('the kernel has no io_uring (or a seccomp profile hides it)');
    if (errno === EPERM) {
      throw new FlashCopyError(
        'MissingKernelFeature',
        'The engine needs io_uring and may not use it (EPERM): set the sysctl kernel.io_uring_disabled to 0, ' +
          'and in a container allow io_uring_setup in its seccomp profile.',
      );
    }
    if (errno !== EINVAL) throw new IoError(errno, 'io_uring_setup', 'ring');
  }
  throw tooOld('io_uring_setup answers EINVAL');
}

function tooOld(found: string): FlashCopyError {
  return new FlashCopyError(
    'MissingKernelFeature',
    `The engine needs io_uring: ${found}. Use Linux 6.9 or later.`,
  );
}

function allowWorkers(fd: number): void {
  const limits = Buffer.alloc(8);
  limits.writeUInt32LE(WORKERS, 0);
  limits.writeUInt32LE(WORKERS, 4);
  const result = Number(register(SYS_REGISTER, fd, REGISTER_IOWQ_MAX_WORKERS, limits, 2));
  // Unknown before Linux 5.15, where the kernel's own limit has to do.
  if (result < 0 && koffi.errno() !== EINVAL) throw new IoError(koffi.errno(), 'io_uring_register', 'ring');
}
