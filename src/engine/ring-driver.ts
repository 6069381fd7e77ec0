/**
 * Carries out what plans ask for (core/ops.ts) on the files of a pool, through io_uring.
 *
 * D1  Each IoOp ends in exactly one `runner.complete`, with what its kind promises: a read or write is whole or has
 *     failed. Short ones are continued; what lies past the end of a file reads as zeros.
 * D2  Nothing here blocks the thread for long: allocating, flushing and removing are the ring's. Opening, creating an
 *     empty file, setting a size and looking for holes are done in place, because they are as short as a submission;
 *     but the first opening of a file that a dead process is still writing to waits for that, and with it all else.
 * D3  A file that was created is found again after power loss: the file and its name are flushed before it is told.
 * D4  Bitmaps take of the pool's reserve when there is no other space.
 * D5  A thick file that does not fit takes nothing of the pool, not even for a while.
 */
import { existsSync, fstatSync, ftruncateSync } from 'node:fs';
import { assert, EIO, ENOSPC } from '../base/errors.ts';
import type { DataRun, Driver, IoOp, PoolFile, Runner, Slice } from '../core/ops.ts';
import { SEEK_DATA, SEEK_HOLE, seek } from '../sys/libc.ts';
import { type Completion, type Ring, TIMED_OUT, type Token } from '../sys/ring.ts';
import { markFile } from './file-marks.ts';
import { errnoOf, FileTable } from './file-table.ts';
import { Reserve } from './reserve.ts';
import { ThickSpace } from './thick-space.ts';

const ENOENT = 2;
const EINTR = 4;
const EAGAIN = 11;
const SECTOR = 4096;
const RUNS_MAX = 64;
/** The kernel's UIO_MAXIOV. */
const VECTORS_MAX = 1024;
const PUNCH_HOLE_KEEP_SIZE = 3;
const ZERO_RANGE_KEEP_SIZE = 0x11;
const ALLOCATE = 0;
const BITMAPS = 'bitmaps/';

export type RingDriverOptions = {
  poolDir: string;
  openMax?: number;
  /** Starts a commit; whoever carries it out calls `runner.complete`. */
  commit: (io: IoOp) => void;
};

export class RingDriver implements Driver {
  /** Set by whoever makes the Runner, which needs the driver first. */
  runner!: Runner;
  private readonly ring: Ring;
  private readonly files: FileTable;
  private readonly commit: (io: IoOp) => void;
  private readonly reserve: Reserve;
  private readonly thickSpace: ThickSpace;
  private readonly idle: Pending[] = [];

  constructor(ring: Ring, options: RingDriverOptions) {
    this.ring = ring;
    this.files = new FileTable(options.poolDir, options.openMax);
    this.reserve = new Reserve(options.poolDir);
    this.thickSpace = new ThickSpace(options.poolDir);
    this.commit = options.commit;
  }

  submit(io: IoOp): void {
    if (io.kind === 'commit') {
      this.commit(io);
      return;
    }
    let fd = -1;
    try {
      if (opensFile(io)) fd = this.files.open(io.file!);
      if (io.kind === 'extents') {
        io.runs = runsOf(fd, io.offset, io.length, io.file!.path);
        this.runner.complete(io, io.runs.length);
        return;
      }
    } catch (error) {
      this.runner.complete(io, -errnoOf(error));
      return;
    }
    const pending = this.idle.pop() ?? new Pending(this, this.ring);
    if (fd >= 0) pending.hold(io.file!);
    pending.io = io;
    pending.fd = fd;
    pending.moved = 0;
    this.begin(pending);
  }

  /** Nothing may be under way. */
  close(): void {
    this.files.closeAll();
  }

  private begin(pending: Pending): void {
    const { io, fd, token } = pending;
    switch (io.kind) {
      case 'read':
      case 'write':
      case 'writev':
        this.transfer(pending);
        break;
      case 'flush':
        this.ring.fdatasync(fd, token);
        break;
      case 'punch':
        this.ring.fallocate(
          fd,
          io.thick ? ZERO_RANGE_KEEP_SIZE : PUNCH_HOLE_KEEP_SIZE,
          io.offset,
          io.length,
          token,
        );
        break;
      case 'sleep':
        this.ring.timeout(io.length, token);
        break;
      case 'create':
        this.beginSteps(pending, this.create(pending));
        break;
      case 'resize':
        this.beginSteps(pending, this.resize(io, fd, token));
        break;
      case 'remove':
        this.beginSteps(pending, this.remove(pending));
        break;
      default:
        assert(false, `${io.kind} is under way`);
    }
  }

  /** Start or go on with a read or write, `pending.moved` bytes of which are done. */
  private transfer(pending: Pending): void {
    const { io, fd, moved, token } = pending;
    const offset = io.offset + moved;
    if (io.kind === 'writev') {
      this.ring.writev(fd, vectorsOf(io.slices!, moved), offset, token);
      return;
    }
    const address = io.block!.address + io.start + moved;
    if (io.kind === 'read') this.ring.read(fd, address, io.length - moved, offset, token);
    else this.ring.write(fd, address, io.length - moved, offset, token);
  }

  ended(pending: Pending, result: number): void {
    const { kind } = pending.io;
    if (pending.steps !== null) this.goOn(pending, result);
    else if (result === -EAGAIN || result === -EINTR) this.begin(pending);
    else if (kind === 'read' || kind === 'write' || kind === 'writev') this.transferred(pending, result);
    else this.finish(pending, result === TIMED_OUT ? 0 : result);
  }

  private transferred(pending: Pending, result: number): void {
    const { io } = pending;
    const moved = pending.moved + result;
    if (result < 0) this.finish(pending, result);
    else if (moved === io.length) this.finish(pending, io.length);
    else if (result > 0 && moved % SECTOR === 0) {
      pending.moved = moved;
      this.transfer(pending);
    } else if (io.kind === 'read') {
      // A read that gives nothing, or ends off a sector, has met the end of the file.
      io.block!.bytes.fill(0, io.start + moved, io.start + io.length);
      this.finish(pending, io.length);
    } else {
      // A write that takes nothing would go on for ever; one that ends off a sector cannot be continued O_DIRECT.
      this.finish(pending, -EIO);
    }
  }

  private finish(pending: Pending, result: number): void {
    const { io } = pending;
    // Not a flush (B3): what it could not write the kernel tells once, and a second one would say that it worked.
    const mayRepeat = io.kind !== 'flush';
    if (result === -ENOSPC && mayRepeat && io.file!.path.startsWith(BITMAPS) && this.reserve.release()) {
      if (io.kind === 'create') pending.letGo(this.files);
      pending.steps = null;
      this.begin(pending);
      return;
    }
    pending.letGo(this.files);
    pending.steps = null;
    this.idle.push(pending);
    this.runner.complete(io, result);
  }

  private beginSteps(pending: Pending, steps: Steps): void {
    pending.steps = steps;
    this.goOn(pending, 0);
  }

  private goOn(pending: Pending, result: number): void {
    let ended: number | undefined;
    try {
      const step = pending.steps!.next(result);
      if (step.done) ended = step.value;
    } catch (error) {
      ended = -errnoOf(error);
    }
    if (ended !== undefined) this.finish(pending, ended);
  }

  private *create(pending: Pending): Steps {
    const { io, token } = pending;
    const file = io.file!;
    // An old file of that name is removed, not truncated: the space of a large one is freed outside this thread.
    const removed = yield* this.remove(pending);
    if (removed < 0) return removed;
    const fd = this.files.create(file);
    markFile(fd, file.path);
    pending.hold(file);
    ftruncateSync(fd, io.length);
    if (io.thick && io.length > 0) {
      const allocated = yield* this.allocate(fd, 0, io.length, token);
      if (allocated < 0) {
        // Half of a file that did not fit is in the way of whoever tries again.
        pending.letGo(this.files);
        yield* this.remove(pending);
        return allocated;
      }
    }
    // Side by side: the filesystem's journal takes both in one commit.
    this.ring.fsync(fd, token);
    const first = yield this.ring.fsync(this.files.directoryOf(file), token);
    const second = yield;
    return Math.min(first, second);
  }

  private *resize(io: IoOp, fd: number, token: Token): Steps {
    const before = fstatSync(fd).size;
    if (io.thick && io.length > before) {
      const allocated = yield* this.allocate(fd, before, io.length - before, token);
      if (allocated < 0) {
        ftruncateSync(fd, before);
        return allocated;
      }
    }
    ftruncateSync(fd, io.length);
    return 0;
  }

  private *allocate(fd: number, offset: number, length: number, token: Token): Steps {
    const allocation = this.thickSpace.begin(fd, length);
    if (allocation === null) return -ENOSPC;
    try {
      return yield this.ring.fallocate(fd, ALLOCATE, offset, length, token);
    } finally {
      this.thickSpace.end(allocation);
    }
  }

  private *remove(pending: Pending): Steps {
    const file = pending.io.file!;
    const path = this.files.pathOf(file);
    // Let go of first: the last one to hold a removed file frees its space, and that is to be the ring's thread.
    if (!this.files.forget(file.path, () => this.goOn(pending, 0))) yield;
    if (!existsSync(path)) return 0;
    const removed = yield this.ring.unlink(path, pending.token);
    return removed === -ENOENT ? 0 : removed;
  }
}

/** Yields after each submission, goes on with its result, returns that of the whole. */
type Steps = Generator<void, number, number>;

/** An I/O under way. */
class Pending implements Completion {
  io!: IoOp;
  fd = -1;
  /** Bytes read or written so far. */
  moved = 0;
  steps: Steps | null = null;
  /** Kept open by this I/O. */
  held: PoolFile | null = null;
  readonly token: Token;
  private readonly driver: RingDriver;

  constructor(driver: RingDriver, ring: Ring) {
    this.driver = driver;
    this.token = ring.adopt(this);
  }

  hold(file: PoolFile): void {
    this.held = file;
    file.busy++;
  }

  letGo(files: FileTable): void {
    const { held } = this;
    this.held = null;
    if (held !== null) files.leave(held);
  }

  complete(result: number): void {
    this.driver.ended(this, result);
  }
}

function opensFile(io: IoOp): boolean {
  return io.file !== null && io.kind !== 'create' && io.kind !== 'remove';
}

/** Addresses and lengths of what is left of the slices after `moved` bytes, as many as one call takes. */
function vectorsOf(slices: readonly Slice[], moved: number): number[] {
  const vectors: number[] = [];
  let skip = moved;
  for (const { block, start, length } of slices) {
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const address = block.address + start + skip;
    const last = vectors.length - 2;
    if (last >= 0 && vectors[last]! + vectors[last + 1]! === address) vectors[last + 1]! += length - skip;
    else {
      if (vectors.length === 2 * VECTORS_MAX) break;
      vectors.push(address, length - skip);
    }
    skip = 0;
  }
  return vectors;
}

function runsOf(fd: number, offset: number, length: number, file: string): DataRun[] {
  const runs: DataRun[] = [];
  const end = offset + length;
  const push = (from: number, to: number, hole: boolean): void => {
    if (to > from) runs.push({ offset: from, length: to - from, hole });
  };
  let at = offset;
  while (at < end && runs.length < RUNS_MAX - 1) {
    const data = seek(fd, at, SEEK_DATA, file);
    // Blocks of the filesystem may be smaller than ours: what is partly data is data.
    const dataFrom = data < 0 || data >= end ? end : data - (data % SECTOR);
    push(at, dataFrom, true);
    if (dataFrom === end) break;
    const hole = seek(fd, data, SEEK_HOLE, file);
    const dataTo = Math.min(end, Math.ceil(hole / SECTOR) * SECTOR);
    push(dataFrom, dataTo, false);
    at = dataTo;
  }
  return runs;
}
