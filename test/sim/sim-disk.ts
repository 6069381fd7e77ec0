/**
 * A pool on a simulated disk: the Driver of the tests.
 *
 * Time is virtual. Every I/O takes a time that the seed chooses, so that I/Os under way together end in any order. What an
 * I/O does, it does at a moment of its own between submission and end, often in two parts: a buffer that changes
 * meanwhile is noticed, and so is a plan that relies on the order of I/Os that it did not wait for. Only catalog
 * transactions keep their order (the catalog is one thread that takes them from a queue).
 *
 * Durable are: what had ended before a flush was submitted that has ended; and create, remove and commit once they took
 * effect (the engine's driver flushes a new file and its name before it tells; a file that comes back is swept). The rest is lost or kept by seed in `losePower`. In `processDeath` the disk forgets nothing; what was
 * under way happens or not.
 *
 * Buffers are held to the rules of direct I/O: everything is a multiple of 4096 bytes.
 */
import { assert, EINVAL, ENOSPC } from '../../src/base/errors.ts';
import type { Driver, IoKind, IoOp, RowChange, Runner } from '../../src/core/ops.ts';
import type { Random } from './random.ts';
import { BLOCK, type Change, type Content, contentOf, copyContent, NEVER, SimFile } from './sim-file.ts';
import { Timeline } from './timeline.ts';

const MAKES_DURABLE: ReadonlySet<IoKind> = new Set(['flush', 'commit', 'create', 'remove']);
const CHANGES_BLOCKS: ReadonlySet<IoKind> = new Set(['write', 'writev', 'punch']);
const ENOENT = 2;
const RUNS_MAX = 64;

/**
 * I/Os of these kinds on these files fail; `times` counts down. `skip`: so many pass before. `half`: the first half is
 * done nevertheless. `late`: everything else is faster. The catalog's path is ''.
 */
export type Fault = {
  kinds: readonly IoKind[];
  path: RegExp;
  offset?: number;
  errno: number;
  times: number;
  skip?: number;
  half?: boolean;
  late?: boolean;
};

/** An I/O under way: parts of it that are still to happen, [from, to) in blocks of the op. */
type Pending = {
  io: IoOp;
  /** The file as it was found at submission: removing it later takes only its name. */
  file: SimFile | undefined;
  runner: Runner;
  change: Change;
  submittedAt: number;
  parts: [from: number, to: number][];
  result: number;
  /** The errno that it ends with, whatever it has done. */
  fails: number;
  ended: boolean;
};

/** A block that an I/O under way would change. */
export type InFlight = { file: SimFile; block: number; content: Content; by: Change };

type DiskEvent = { pending: Pending; part: [from: number, to: number] | null };

const SLOW_FLUSH_US = 100_000;
const LATE_US = 1_000_000;

export class SimDisk implements Driver {
  readonly files = new Map<string, SimFile>();
  /** `${table} ${key}` -> JSON of the row. */
  readonly catalog = new Map<string, string>();
  private readonly random: Random;
  private timeline = new Timeline<DiskEvent>();
  private underWay = new Set<Pending>();
  private runner: Runner | null = null;
  private lastCommitAt = 0;
  /** Counts effects, submissions and ends. */
  private order = 1;
  /** Microseconds. */
  now = 0;
  faults: Fault[] = [];
  /** Space for data, in blocks. */
  capacityBlocks = Number.POSITIVE_INFINITY;
  /** How often each kind was submitted. */
  readonly submitted = new Map<IoKind, number>();
  /** How often a flush of each file was. */
  readonly flushes = new Map<string, number>();
  /** Sometimes call a hole data, as a filesystem may. */
  vagueExtents = true;
  /** Holes are looked for at once, as the engine does it. */
  looksAtOnce = false;
  /** Called before something takes effect that no loss of power can take back. */
  beforeDurable: () => void = () => {};

  constructor(random: Random) {
    this.random = random;
  }

  /** From here on I/Os end in this runner. */
  attach(runner: Runner): void {
    this.runner = runner;
  }

  get idle(): boolean {
    return this.underWay.size === 0;
  }

  /** I/Os under way that are not merely sleeping. */
  get busy(): boolean {
    for (const p of this.underWay) if (p.io.kind !== 'sleep') return true;
    return false;
  }

  isUnderWay(kind: IoKind, path: string): boolean {
    for (const { io } of this.underWay) if (io.kind === kind && io.file?.path.startsWith(path)) return true;
    return false;
  }

  get usedBlocks(): number {
    let used = 0;
    for (const file of this.files.values()) used += file.allocatedBlocks;
    return used;
  }

  rows(): { table: string; key: number; row: object }[] {
    return [...this.catalog].map(([name, json]) => {
      const [table, key] = name.split(' ');
      return { table: table!, key: Number(key), row: JSON.parse(json) as object };
    });
  }

  submit(io: IoOp): void {
    assert(this.runner !== null, 'an I/O was submitted to a disk without an engine');
    this.submitted.set(io.kind, (this.submitted.get(io.kind) ?? 0) + 1);
    if (io.kind === 'flush') this.flushes.set(io.file!.path, (this.flushes.get(io.file!.path) ?? 0) + 1);
    const pending: Pending = {
      io,
      file: io.file === null ? undefined : this.files.get(io.file.path),
      runner: this.runner,
      change: { order: 0, endedAt: NEVER },
      submittedAt: this.order++,
      parts: [],
      result: 0,
      fails: 0,
      ended: false,
    };
    // A commit's rows are posted to another thread: what happens to the objects later is not seen there.
    if (io.changes !== null) io.changes = structuredClone(io.changes);
    this.underWay.add(pending);
    const fault = this.faultOf(io);
    if (fault !== null && fault.half !== true) pending.result = -fault.errno;
    let endAt = this.now + (fault?.late === true ? LATE_US : this.latency(io));
    if (io.kind === 'commit') {
      endAt = Math.max(endAt, this.lastCommitAt + 1);
      this.lastCommitAt = endAt;
    }
    if (fault === null || io.kind === 'flush') this.planParts(pending, endAt);
    else if (fault.half === true) {
      pending.fails = fault.errno;
      pending.parts = [[0, Math.ceil(io.length / BLOCK / 2)]];
    }
    if (io.kind === 'extents' && this.looksAtOnce) this.end(pending);
    else this.timeline.add(endAt, { pending, part: null });
  }

  private planParts(pending: Pending, endAt: number): void {
    const { kind, length } = pending.io;
    const blocks = length / BLOCK;
    const divisible =
      (kind === 'read' || kind === 'write' || kind === 'writev' || kind === 'punch') && blocks > 1;
    // Flushes and commits count from their end: a later moment is never kinder to the plan.
    const atEnd = kind === 'flush' || kind === 'commit' || kind === 'sleep' || this.random.chance(0.4);
    const moment = (): number => (atEnd ? endAt : this.now + this.random.int(endAt - this.now + 1));
    if (divisible && this.random.chance(0.3)) {
      const middle = this.random.between(1, blocks - 1);
      pending.parts = [
        [0, middle],
        [middle, blocks],
      ];
    } else pending.parts = [[0, Math.ceil(blocks)]];
    for (const part of pending.parts) this.timeline.add(moment(), { pending, part });
  }

  /** Files with so much to write that everything else is faster. */
  readonly slowFlushes = new Set<string>();

  /** Microseconds: mostly short, sometimes long enough for many others to pass. */
  private latency(io: IoOp): number {
    if (io.kind === 'sleep') return Math.round(io.length * 1000);
    const draw = this.random.int(100);
    if (io.kind === 'flush' && this.slowFlushes.has(io.file?.path ?? '')) return SLOW_FLUSH_US;
    if (draw < 60) return 1 + this.random.int(60);
    return draw < 95 ? 20 + this.random.int(600) : this.random.int(20_000);
  }

  /** Faults that have had their effect. */
  injected: string[] = [];

  private faultOf(io: IoOp): Pick<Fault, 'errno' | 'half' | 'late'> | null {
    for (const fault of this.faults) {
      if (fault.times === 0 || !fault.kinds.includes(io.kind) || !fault.path.test(io.file?.path ?? ''))
        continue;
      if (fault.offset !== undefined && (fault.offset < io.offset || fault.offset >= io.offset + io.length))
        continue;
      if ((fault.skip ?? 0) > 0) {
        fault.skip!--;
        continue;
      }
      fault.times--;
      this.injected.push(`${io.kind} ${io.file?.path ?? 'catalog'} ${io.offset}`);
      return fault;
    }
    return misaligned(io) ? { errno: EINVAL } : null;
  }

  /** Go on to the next event; false when there is none. */
  step(): boolean {
    const next = this.timeline.take();
    if (next === undefined) return false;
    const { pending, part } = next.event;
    this.now = Math.max(this.now, next.at);
    if (pending.ended) return true;
    if (part !== null) {
      this.happen(pending, part);
      return true;
    }
    this.end(pending);
    return true;
  }

  private end(pending: Pending): void {
    // The parts that fall on the moment of the end were queued behind it.
    for (const late of [...pending.parts]) this.happen(pending, late);
    if (pending.fails > 0) pending.result = -pending.fails;
    pending.ended = true;
    pending.change.endedAt = this.order++;
    this.underWay.delete(pending);
    pending.runner.complete(pending.io, pending.result);
  }

  private happen(pending: Pending, part: [number, number]): void {
    const at = pending.parts.indexOf(part);
    if (at < 0) return;
    if (pending.result >= 0 && MAKES_DURABLE.has(pending.io.kind)) this.beforeDurable();
    pending.parts.splice(at, 1);
    if (pending.result < 0) {
      // What it should have made durable is lost, and no later flush will say so.
      if (pending.io.kind === 'flush') pending.file?.failFlush(pending.submittedAt);
      return;
    }
    if (pending.change.order === 0) pending.change.order = this.order++;
    pending.result = this.perform(pending, part[0], part[1]);
  }

  /** Do what the I/O asks for, on blocks [from, to) of it. The result of the system call, or -errno. */
  private perform(pending: Pending, from: number, to: number): number {
    const io = pending.io;
    if (io.kind === 'sleep') return 0;
    if (io.kind === 'commit') return this.commit(io);
    const path = io.file!.path;
    if (io.kind === 'create') return this.create(io, path);
    if (io.kind === 'remove') {
      this.files.delete(path);
      return 0;
    }
    const file = pending.file;
    if (file === undefined) return -ENOENT;
    switch (io.kind) {
      case 'resize':
        return this.resize(file, pending);
      case 'flush':
        file.flush(pending.submittedAt);
        return 0;
      case 'punch':
        for (let b = from; b < to; b++) file.change(io.offset / BLOCK + b, null, pending.change);
        return 0;
      case 'extents':
        io.runs = this.extents(file, io);
        return io.runs.length;
      case 'read':
        for (let b = from; b < to; b++)
          copyContent(file.read(io.offset / BLOCK + b), io.block!.bytes, io.start + b * BLOCK);
        return io.length;
      default:
        return this.write(file, pending, from, to);
    }
  }

  private write(file: SimFile, pending: Pending, from: number, to: number): number {
    const io = pending.io;
    const first = io.offset / BLOCK;
    let wanted = 0;
    for (let b = from; b < to; b++) if (!file.isAllocated(first + b)) wanted++;
    if (
      wanted > 0 &&
      this.capacityBlocks !== Number.POSITIVE_INFINITY &&
      this.usedBlocks + wanted > this.capacityBlocks
    )
      return -ENOSPC;
    for (const { b, bytes, start } of blocksOf(io))
      if (b >= from && b < to) file.change(first + b, contentOf(bytes, start), pending.change);
    file.extend(io.offset + to * BLOCK);
    return io.length;
  }

  get freeBytes(): number {
    return Math.max(0, this.capacityBlocks - this.usedBlocks) * BLOCK;
  }

  private create(io: IoOp, path: string): number {
    const file = new SimFile(io.length);
    if (io.thick && this.usedBlocks + io.length / BLOCK > this.capacityBlocks) return -ENOSPC;
    this.files.set(path, file);
    if (io.thick) for (let b = 0; b < io.length / BLOCK; b++) file.reserve(b);
    return 0;
  }

  private resize(file: SimFile, pending: Pending): number {
    const { io } = pending;
    const from = file.size / BLOCK;
    const to = io.length / BLOCK;
    if (io.thick && this.usedBlocks + to - from > this.capacityBlocks) return -ENOSPC;
    if (io.thick) for (let b = from; b < to; b++) file.reserve(b);
    file.resize(io.length, pending.change);
    return 0;
  }

  private commit(io: IoOp): number {
    for (const { table, key, row } of io.changes!) {
      if (row === null) this.catalog.delete(`${table} ${key}`);
      else this.catalog.set(`${table} ${key}`, JSON.stringify(row));
    }
    return 0;
  }

  private extents(file: SimFile, io: IoOp): NonNullable<IoOp['runs']> {
    const runs: NonNullable<IoOp['runs']> = [];
    for (let o = io.offset; o < io.offset + io.length; o += BLOCK) {
      const hole = !file.hasData(o / BLOCK) && !(this.vagueExtents && this.random.chance(0.02));
      const last = runs.at(-1);
      if (last !== undefined && last.hole === hole) last.length += BLOCK;
      else if (runs.length === RUNS_MAX) break;
      else runs.push({ offset: o, length: BLOCK, hole });
    }
    return runs;
  }

  /** What writes and punches under way would still change, in the order in which they were asked for. */
  *inFlight(): Generator<InFlight, void, void> {
    for (const { io, file, change, parts, result } of this.underWay) {
      if (file === undefined || result < 0 || !CHANGES_BLOCKS.has(io.kind)) continue;
      for (const [from, to] of parts) {
        const first = io.offset / BLOCK;
        if (io.kind === 'punch') {
          for (let b = from; b < to; b++) yield { file, block: first + b, content: null, by: change };
          continue;
        }
        for (const { b, bytes, start } of blocksOf(io))
          if (b >= from && b < to)
            yield { file, block: first + b, content: contentOf(bytes, start), by: change };
      }
    }
  }

  /** The commit that comes next, if one is under way: it may be durable already. */
  get nextCommit(): readonly RowChange[] | null {
    for (const { io, parts, result } of this.underWay)
      if (io.kind === 'commit' && result >= 0 && parts.length > 0) return io.changes;
    return null;
  }

  /** The process is gone: what was under way happens or not, and nobody is told. Of commits the later ones do not. */
  processDeath(): void {
    let commits = true;
    for (const pending of this.underWay) {
      const isCommit = pending.io.kind === 'commit';
      for (const part of [...pending.parts]) {
        const happens = this.random.chance(0.5);
        if (happens && (commits || !isCommit)) this.happen(pending, part);
        if (isCommit && !happens) commits = false;
      }
      pending.ended = true;
      pending.change.endedAt = this.order++;
    }
    this.underWay = new Set();
    this.timeline = new Timeline();
    this.lastCommitAt = 0;
    this.runner = null;
  }

  /** The machine is gone, and with it what was not flushed: all of it, none, or any part. */
  losePower(): void {
    this.processDeath();
    const changes = new Set<Change>();
    for (const file of this.files.values()) for (const change of file.volatileChanges()) changes.add(change);
    const inOrder = [...changes].sort((a, b) => a.order - b.order);
    const survival = this.chooseSurvivors(inOrder);
    for (const file of this.files.values()) file.losePower(survival);
  }

  private chooseSurvivors(inOrder: Change[]): (by: Change, block: number) => 'whole' | 'lost' | number {
    const random = this.random;
    const n = inOrder.length;
    const one = n > 0 ? inOrder[random.int(n)] : undefined;
    const before = random.int(n + 1);
    const kept = new Set(inOrder.filter((_, i) => i < before));
    const some = new Set(inOrder.filter(() => random.chance(0.5)));
    switch (
      random.weighted({ all: 1, none: 2, prefix: 3, dropOne: 2, keepOne: 2, subset: 3, blocks: 2, torn: 3 })
    ) {
      case 'all':
        return () => 'whole';
      case 'none':
        return () => 'lost';
      case 'prefix':
        return (by) => (kept.has(by) ? 'whole' : 'lost');
      case 'dropOne':
        return (by) => (by === one ? 'lost' : 'whole');
      case 'keepOne':
        return (by) => (by === one ? 'whole' : 'lost');
      case 'subset':
        return (by) => (some.has(by) ? 'whole' : 'lost');
      case 'blocks':
        return () => (random.chance(0.5) ? 'whole' : 'lost');
      default:
        return () => random.int(256);
    }
  }
}

/** The blocks of a write, numbered from its offset on. */
function* blocksOf(io: IoOp): Generator<{ b: number; bytes: Uint8Array; start: number }, void, void> {
  const slices = io.slices ?? [{ block: io.block!, start: io.start, length: io.length }];
  let b = 0;
  for (const { block, start, length } of slices)
    for (let o = 0; o < length; o += BLOCK, b++) yield { b, bytes: block.bytes, start: start + o };
}

function misaligned(io: IoOp): boolean {
  if (io.kind === 'sleep' || io.kind === 'commit') return false;
  if (io.offset % BLOCK !== 0 || io.length % BLOCK !== 0 || io.start % BLOCK !== 0) return true;
  return io.slices?.some((slice) => slice.length % BLOCK !== 0 || slice.start % BLOCK !== 0) ?? false;
}
