/**
 * A machine that has its power back: a fresh engine on an image, which recovers it and can be asked.
 *
 * Nothing takes time here: an I/O has ended when it was submitted, in the order of the plans. So a state costs little, and
 * thousands of them can be looked at; what other orders do is the part of nested power cuts (explore.ts). Background work
 * that recovery begins is held back.
 */
import { assert } from '../../src/base/errors.ts';
import { Core } from '../../src/core/core.ts';
import { type Block, type Driver, type IoOp, type Plan, Runner, type Task } from '../../src/core/ops.ts';
import type { Memory } from '../../src/core/ports.ts';
import { laterGenerations } from '../../src/engine/older-catalog.ts';
import { BLOCK, contentOf, copyContent } from '../sim/sim-file.ts';
import { type LogLine, type Machine, namedFiles, POOL, shortFiles, WORDS_FEW } from '../sim/sim-world.ts';
import { type Image, StateFile } from './image.ts';

const ENOENT = 2;
const RUNS_MAX = 64;
/** Words of the arena: more than recovery of such small pools takes, cleared by recovery itself. */
const words = new Uint32Array(WORDS_FEW);
/** Blocks from here on are kept clean, so that what is read as zeros need not be written. */
const LARGE = 64 * 1024;

/** Memory for I/O; of a large block, which part may not be zero. */
class StateBlock implements Block {
  readonly bytes: Uint8Array;
  readonly address = 0;
  private from = 0;
  private to = 0;

  constructor(bytes: number) {
    this.bytes = new Uint8Array(bytes);
  }

  /** Zero [from, to), and remember what of it is not. */
  clear(from: number, to: number): void {
    const first = Math.max(from, this.from);
    const end = Math.min(to, this.to);
    if (first < end) this.bytes.fill(0, first, end);
  }

  used(from: number, to: number): void {
    this.from = this.from === this.to ? from : Math.min(this.from, from);
    this.to = Math.max(this.to, to);
  }
}

class StateMemory implements Memory {
  private readonly free = new Map<number, StateBlock[]>();

  take(bytes: number): Block {
    return this.free.get(bytes)?.pop() ?? new StateBlock(bytes);
  }

  give(block: Block): void {
    const same = this.free.get(block.bytes.length);
    if (same === undefined) this.free.set(block.bytes.length, [block as StateBlock]);
    else same.push(block as StateBlock);
  }
}

const memory = new StateMemory();

class StateDisk implements Driver {
  runner!: Runner;
  private readonly files: Map<string, StateFile>;
  /** Plans that sleep: nobody wakes them. */
  sleeping = 0;

  constructor(files: Map<string, StateFile>) {
    this.files = files;
  }

  submit(io: IoOp): void {
    if (io.kind === 'sleep') this.sleeping++;
    else this.runner.complete(io, this.perform(io));
  }

  private perform(io: IoOp): number {
    // Nobody reads the catalog again.
    if (io.kind === 'commit') return 0;
    const path = io.file!.path;
    if (io.kind === 'create') {
      this.files.set(path, new StateFile(io.length, new Map(), null));
      return 0;
    }
    if (io.kind === 'remove') {
      this.files.delete(path);
      return 0;
    }
    const file = this.files.get(path);
    if (file === undefined) return -ENOENT;
    switch (io.kind) {
      case 'read':
        read(file, io);
        return io.length;
      case 'extents':
        io.runs = runsOf(file, io);
        return io.runs.length;
      case 'write':
      case 'writev':
        write(file, io);
        return io.length;
      case 'punch':
        for (let b = 0; b < io.length / BLOCK; b++) file.write(io.offset / BLOCK + b, null);
        return 0;
      case 'resize':
        file.size = io.length;
        return 0;
      default:
        return 0;
    }
  }
}

function read(file: StateFile, io: IoOp): void {
  const { bytes } = io.block!;
  const large = bytes.length >= LARGE && io.block instanceof StateBlock ? io.block : null;
  large?.clear(io.start, io.start + io.length);
  for (let at = 0; at < io.length; at += BLOCK) {
    const content = file.read((io.offset + at) / BLOCK);
    if (content === null) {
      if (large === null) bytes.fill(0, io.start + at, io.start + at + BLOCK);
      continue;
    }
    copyContent(content, bytes, io.start + at);
    large?.used(io.start + at, io.start + at + BLOCK);
  }
}

function write(file: StateFile, io: IoOp): void {
  let block = io.offset / BLOCK;
  for (const slice of io.slices ?? [{ block: io.block!, start: io.start, length: io.length }]) {
    if (slice.block instanceof StateBlock) slice.block.used(slice.start, slice.start + slice.length);
    for (let o = 0; o < slice.length; o += BLOCK)
      file.write(block++, contentOf(slice.block.bytes, slice.start + o));
  }
}

function runsOf(file: StateFile, io: IoOp): NonNullable<IoOp['runs']> {
  const runs: NonNullable<IoOp['runs']> = [];
  for (let o = io.offset; o < io.offset + io.length; o += BLOCK) {
    const hole = file.read(o / BLOCK) === null;
    const last = runs.at(-1);
    if (last !== undefined && last.hole === hole) last.length += BLOCK;
    else if (runs.length === RUNS_MAX) break;
    else runs.push({ offset: o, length: BLOCK, hole });
  }
  return runs;
}

/** Plans go on in the order in which they became ready. */
class StateRunner extends Runner {
  private at = 0;

  protected override pick(): Task | undefined {
    if (this.at < this.ready.length) return this.ready[this.at++];
    this.ready.length = 0;
    this.at = 0;
    return undefined;
  }

  run<T>(name: string, plan: Plan<T>): T {
    let outcome: { error: unknown; result: T } | null = null;
    this.spawn(plan, (error, result) => {
      outcome = { error, result };
    });
    while (outcome === null) {
      const task = this.pick();
      assert(task !== undefined, `${name} waits, and nothing is under way`);
      this.step(task);
    }
    const { error, result } = outcome as { error: unknown; result: T };
    if (error !== null) throw error;
    return result;
  }

  /** What is ready now is never carried on. */
  holdBack(): void {
    this.ready.length = 0;
    this.at = 0;
  }
}

export class StateMachine implements Machine {
  readonly core: Core;
  readonly log: LogLine[] = [];
  private readonly runner: StateRunner;

  /** Recovers the image, or throws. */
  constructor(image: Image, logBytes: number) {
    const disk = new StateDisk(image.files);
    this.runner = new StateRunner(disk);
    disk.runner = this.runner;
    let last = 1_800_000_000_000;
    this.core = new Core({
      runner: this.runner,
      memory,
      clock: { now: () => ++last, micros: () => last },
      space: { freeBytes: () => Number.POSITIVE_INFINITY, giveReserve: () => false, discards: true },
      listener: {
        mappingChanged: () => {},
        log: (level, message, fields) => void this.log.push({ level, message, fields }),
      },
      words,
      logBytes,
    });
    const rows = [...image.rows];
    const named = namedFiles(rows);
    const strays = [...image.files.keys()].filter((path) => !named.has(path));
    assert(laterGenerations(strays, image.files, rows).length === 0, 'the catalog is older than no bitmap');
    const badFiles = shortFiles(rows, image.files);
    this.runner.run(
      'open',
      this.core.open({ rows, damaged: [], badFiles, strays, shmSurvived: false, pool: POOL }),
    );
    this.runner.holdBack();
  }

  run<T>(name: string, plan: Plan<T>): T {
    return this.runner.run(name, plan);
  }
}
