/**
 * What a plan may ask of the world, and the runner that carries plans forward.
 *
 * A plan is a generator. Between two yields nothing else runs: all state of the core is owned by one thread and
 * needs no locks for what happens without a yield. A plan yields
 *   - an IoOp, which a Driver carries out: io_uring in the engine, a simulated disk in the tests;
 *   - an array of IoOps, which are under way together; the plan goes on when all have ended;
 *   - a Signal, on which it sleeps until somebody fires it. Whoever wakes checks its condition again.
 *
 * The result of an IoOp is the number that the system call would return; a failure is thrown into the plan as an
 * IoError. (In an array the first failure is thrown after all have ended.)
 *
 * Ready plans run in order of arrival in the engine; a test's Runner picks the next one, and the next I/O to end,
 * by a seed: the same code under test as in use.
 */
import { IoError } from '../base/errors.ts';

/** Memory for I/O: `address` is where `bytes` lies for the kernel, 4096-aligned; 0 in a simulation. */
export type Block = { readonly bytes: Uint8Array; readonly address: number };

/**
 * A file of the pool, by its path below the pool directory. The driver opens it when it is first used; `fd` is the
 * driver's, -1 when it is not open.
 */
export class PoolFile {
  readonly path: string;
  fd = -1;
  /** I/Os under way on this file: a driver does not close it meanwhile. */
  busy = 0;
  /** What is wrong with it: found at the start, or by a scrub (bad-file.ts). Never in the catalog. */
  damage = '';
  constructor(path: string) {
    this.path = path;
  }
}

/** A part of a Block that takes part in a gathered write. */
export type Slice = { block: Block; start: number; length: number };

export type DataRun = { offset: number; length: number; hole: boolean };

/** One row change of the catalog: row null deletes. Rows are plain JSON. */
export type RowChange = { table: string; key: number; row: object | null };

export type IoKind =
  | 'read' //     fill `length` bytes of `block` from `start` with the file from `offset` on; past the end: zeros
  | 'write' //    the same from block to file
  | 'writev' //   `slices`, one after the other, to `offset`
  | 'flush' //    fdatasync: what was written to the file, and the file's size, survives power loss
  | 'punch' //    make `offset`, `length` a hole; reads give zeros. thick: the space stays allocated
  | 'extents' //  `runs` := data and holes from `offset` on for `length` bytes, at most 64 runs, at least one
  | 'create' //   make the file with size `length`, empty; thick: with all space allocated. Exists already: truncated anew
  | 'resize' //   set the size to `length` (grow); thick: allocate the new part
  | 'remove' //   delete the file; absent is fine
  | 'commit' //   apply `changes` to the catalog in one durable transaction
  | 'sleep'; //    `length` milliseconds

/** One request to the driver. Fields that a kind does not name are unused by it. */
export class IoOp {
  kind: IoKind;
  file: PoolFile | null;
  offset: number;
  length: number;
  block: Block | null;
  start = 0;
  slices: Slice[] | null = null;
  runs: DataRun[] | null = null;
  changes: RowChange[] | null = null;
  thick = false;
  /** Set by the runner. */
  task: Task | null = null;
  result = 0;

  constructor(kind: IoKind, file: PoolFile | null, offset: number, length: number, block: Block | null) {
    this.kind = kind;
    this.file = file;
    this.offset = offset;
    this.length = length;
    this.block = block;
  }
}

export const op = {
  read(file: PoolFile, offset: number, length: number, block: Block, start = 0): IoOp {
    const o = new IoOp('read', file, offset, length, block);
    o.start = start;
    return o;
  },
  write(file: PoolFile, offset: number, length: number, block: Block, start = 0): IoOp {
    const o = new IoOp('write', file, offset, length, block);
    o.start = start;
    return o;
  },
  writev(file: PoolFile, offset: number, slices: Slice[]): IoOp {
    const o = new IoOp('writev', file, offset, 0, null);
    for (const s of slices) o.length += s.length;
    o.slices = slices;
    return o;
  },
  flush: (file: PoolFile): IoOp => new IoOp('flush', file, 0, 0, null),
  punch(file: PoolFile, offset: number, length: number, thick = false): IoOp {
    const o = new IoOp('punch', file, offset, length, null);
    o.thick = thick;
    return o;
  },
  extents: (file: PoolFile, offset: number, length: number): IoOp =>
    new IoOp('extents', file, offset, length, null),
  create(file: PoolFile, length: number, thick = false): IoOp {
    const o = new IoOp('create', file, 0, length, null);
    o.thick = thick;
    return o;
  },
  resize(file: PoolFile, length: number, thick = false): IoOp {
    const o = new IoOp('resize', file, 0, length, null);
    o.thick = thick;
    return o;
  },
  remove: (file: PoolFile): IoOp => new IoOp('remove', file, 0, 0, null),
  commit(changes: RowChange[]): IoOp {
    const o = new IoOp('commit', null, 0, 0, null);
    o.changes = changes;
    return o;
  },
  sleep: (ms: number): IoOp => new IoOp('sleep', null, 0, ms, null),
};

/** Something to wait for. Firing wakes all that wait now. */
export class Signal {
  waiters: Task[] = [];
}

export type Step = IoOp | IoOp[] | Signal;
export type Plan<T> = Generator<Step, T, number>;

export interface Driver {
  /** Start the I/O; call `runner.complete(op, result)` when it ended (at once is fine), result < 0 is -errno. */
  submit(io: IoOp): void;
}

function failureOf(io: IoOp, errno: number): IoError {
  const { kind, offset, length } = io;
  const moves = kind === 'read' || kind === 'write' || kind === 'writev' || kind === 'punch';
  const file = io.file?.path ?? 'the catalog';
  return new IoError(errno, kind === 'writev' ? 'write' : kind, file, moves ? { offset, length } : undefined);
}

/** A running plan. */
export class Task {
  readonly plan: Plan<unknown>;
  readonly done: (error: unknown, result: unknown) => void;
  /** I/Os under way for the current step. */
  pending = 0;
  failed: IoError | null = null;
  value = 0;
  constructor(plan: Plan<unknown>, done: (error: unknown, result: unknown) => void) {
    this.plan = plan;
    this.done = done;
  }
}

export class Runner {
  readonly driver: Driver;
  protected ready: Task[] = [];
  private next = 0;

  constructor(driver: Driver) {
    this.driver = driver;
  }

  /** Start a plan; it runs up to its first wait before this returns only if `pump` is called. */
  spawn<T>(plan: Plan<T>, done: (error: unknown, result: T) => void): void {
    this.ready.push(new Task(plan, done as (error: unknown, result: unknown) => void));
  }

  fire(signal: Signal): void {
    const w = signal.waiters;
    if (w.length === 0) return;
    signal.waiters = [];
    for (const task of w) this.ready.push(task);
  }

  complete(io: IoOp, result: number): void {
    const task = io.task!;
    io.result = result;
    task.value = result;
    if (result < 0 && task.failed === null) task.failed = failureOf(io, -result);
    if (--task.pending === 0) this.ready.push(task);
  }

  /** Run every plan that can go on, until all wait. */
  pump(): void {
    for (let task = this.pick(); task !== undefined; task = this.pick()) this.step(task);
  }

  /** The next ready plan; a test overrides the order. */
  protected pick(): Task | undefined {
    if (this.next === this.ready.length) {
      if (this.next > 0) {
        this.ready.length = 0;
        this.next = 0;
      }
      return undefined;
    }
    const task = this.ready[this.next++];
    if (this.next >= 1024) {
      this.ready.splice(0, this.next);
      this.next = 0;
    }
    return task;
  }

  protected step(task: Task): void {
    let r: IteratorResult<Step, unknown>;
    try {
      const failed = task.failed;
      if (failed !== null) {
        task.failed = null;
        r = task.plan.throw(failed);
      } else r = task.plan.next(task.value);
    } catch (error) {
      task.done(error, undefined);
      return;
    }
    if (r.done) {
      task.done(null, r.value);
      return;
    }
    const step = r.value;
    if (step instanceof IoOp) {
      task.pending = 1;
      step.task = task;
      this.driver.submit(step);
    } else if (step instanceof Signal) {
      step.waiters.push(task);
    } else if (step.length === 0) {
      this.ready.push(task);
    } else {
      task.pending = step.length;
      for (const io of step) {
        io.task = task;
        this.driver.submit(io);
      }
    }
  }
}
