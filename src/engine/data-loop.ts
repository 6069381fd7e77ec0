/**
 * The data thread: one thread that owns the ring, the core and the FUSE connection, and sleeps in one place.
 *
 *   messages of the main thread --\
 *   requests of /dev/fuse ---------> completions of the ring -> plans go on -> submissions -> io_uring_enter
 *   ends of I/O -------------------/
 *
 * L1  No timer and no polling: without work the thread uses no CPU.
 * L2  No host I/O is served before `core.open` has ended, and none after `core.close` began.
 * L3  A call is answered exactly once, with its result or with the code and message of what went wrong.
 *
 * The event loop of Node.js does not turn in this thread while `run` runs: nothing here may await, and nothing may be
 * printed except through a message.
 */
import os from 'node:os';
import process from 'node:process';
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { assert, FlashCopyError, IoError } from '../base/errors.ts';
import { type IoOp, type Plan, Runner } from '../core/ops.ts';
import type { Clock, Listener, Memory, Space } from '../core/ports.ts';
import type { FuseHost, HostRequest, HostVolume } from '../fuse/host.ts';
import { FuseServer } from '../fuse/server.ts';
import { becomeIoFlusher, type Mapped, mapPrivate } from '../sys/libc.ts';
import { Ring, type Token } from '../sys/ring.ts';
import { mapSharedMemory } from '../sys/shm.ts';
import { MemoryPool } from './memory-pool.ts';
import type { DataThreadStart, ToData, ToMain } from './messages.ts';
import { Reserve } from './reserve.ts';
import { RingDriver } from './ring-driver.ts';
import { discards, freeBytes } from './space.ts';

/** What the machine has, or the cgroup of this process may take of it. */
function memoryBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, os.totalmem()) : os.totalmem();
}

/** What a core is built from. */
export type CoreParts = {
  runner: Runner;
  memory: Memory;
  clock: Clock;
  space: Space;
  listener: Listener;
  words: Uint32Array;
  logBytes: number;
  memoryBytes: number;
};

/** What the loop needs of a core, beside the methods that are called by name. */
export interface CoreLike {
  open(
    start: Pick<
      DataThreadStart,
      'rows' | 'damaged' | 'badFiles' | 'strays' | 'shmSurvived' | 'pool' | 'migrates' | 'mark' | 'memoryId'
    >,
  ): Plan<void>;
  close(): Plan<void>;
  volumeById(id: number): HostVolume | undefined;
  hostVolumes(): Iterable<HostVolume>;
  read(
    volume: HostVolume,
    offset: number,
    length: number,
    block: HostRequest['block'],
    start: number,
  ): Plan<void>;
  write(
    volume: HostVolume,
    offset: number,
    length: number,
    block: HostRequest['block'],
    start: number,
  ): Plan<void>;
  flush(volume: HostVolume): Plan<void>;
  discard(volume: HostVolume, offset: number, length: number): Plan<void>;
}

/** The methods of EngineApi that the core carries out; the others are the main thread's. */
const CALLS = new Set([
  'createVolume',
  'deleteVolume',
  'getVolume',
  'listVolumes',
  'growVolume',
  'createSnapshots',
  'deleteSnapshot',
  'cloneVolume',
  'allocatedRanges',
  'changedRanges',
  'createMapping',
  'prepareMapping',
  'startMappings',
  'syncMapping',
  'stopMapping',
  'setCopyRate',
  'deleteMapping',
  'getMapping',
  'listMappings',
  'startScrub',
  'stopScrub',
  'getScrub',
  'pool',
  'counters',
]);

const COUNTER_BYTES = 8;

export class DataLoop {
  private readonly start: DataThreadStart;
  private readonly port: MessagePort;
  private readonly ring = new Ring();
  private readonly driver: RingDriver;
  private readonly runner: Runner;
  private readonly core: CoreLike;
  private readonly server: FuseServer;
  private readonly bell: Bell;
  private readonly commits = new Map<number, IoOp>();
  private lastCommit = 0;
  private state: 'opening' | 'serving' | 'stopping' = 'opening';
  private ended = false;
  /** Why the core could not be opened or closed. */
  private failed: Error | null = null;

  constructor(start: DataThreadStart, port: MessagePort, createCore: (parts: CoreParts) => CoreLike) {
    this.start = start;
    this.port = port;
    if (!becomeIoFlusher()) {
      this.log('warn', 'without CAP_SYS_RESOURCE the data thread may have to wait for its own writeback', {});
    }
    this.driver = new RingDriver(this.ring, {
      poolDir: start.poolDir,
      commit: (io) => this.commit(io),
    });
    this.runner = new Runner(this.driver);
    this.driver.runner = this.runner;
    this.core = createCore({
      runner: this.runner,
      memory: new MemoryPool(),
      space: {
        freeBytes: () => freeBytes(start.poolDir),
        giveReserve: () => new Reserve(start.poolDir).release(),
        discards: discards(start.poolDir),
      },
      clock: { now: () => Date.now(), micros: () => Math.floor(performance.now() * 1000) },
      listener: {
        mappingChanged: (mapping) => this.post({ kind: 'changed', mapping }),
        log: (level, message, fields) => this.log(level, message, fields),
      },
      words: mapSharedMemory(start.shmFd),
      logBytes: start.logBytes,
      memoryBytes: memoryBytes(),
    });
    this.server = new FuseServer(this.ring, start.fuseFd, hostOf(this.core, this.runner, this.log));
    this.bell = new Bell(this.ring, start.eventFd, () => this.receive());
  }

  /** Returns when the main thread said stop and everything has ended. */
  run(): void {
    this.bell.listen();
    this.runner.spawn(this.core.open(this.start), (error) => this.opened(error));
    for (;;) {
      this.runner.pump();
      if (this.ended) break;
      if (this.ring.enter()) this.server.entered();
      this.ring.dispatch();
    }
    // The last answers.
    this.ring.flush();
    this.driver.close();
    this.ring.close();
    // What the world did is told in its words; of a bug the thread dies.
    if (this.failed instanceof FlashCopyError) this.fail(0, this.failed);
    else if (this.failed !== null) throw this.failed;
    this.post({ kind: 'stopped' });
  }

  private opened(error: unknown): void {
    if (error !== null) {
      this.end(error);
      return;
    }
    this.state = 'serving';
    this.server.start();
    this.post({ kind: 'ready' });
  }

  /** Nothing is under way any more. */
  private end(error: unknown): void {
    this.ended = true;
    if (error !== null) this.failed = error instanceof Error ? error : new Error(String(error));
  }

  private receive(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.port) as { message: ToData } | undefined;
      if (received === undefined) return;
      const message = received.message;
      if (message.kind === 'call') this.call(message.id, message.method, message.args);
      else if (message.kind === 'committed') this.committed(message.id, message.errno);
      else this.stop();
    }
  }

  private call(id: number, method: string, args: unknown[]): void {
    if (this.state !== 'serving') {
      const found = this.state === 'opening' ? 'is starting' : 'is stopping';
      this.fail(
        id,
        new FlashCopyError('Unavailable', `${method}: the engine ${found}; ask again in a moment.`),
      );
      return;
    }
    try {
      assert(CALLS.has(method), `${method} is a call of the core`);
      const plan = (this.core as unknown as Record<string, (...args: unknown[]) => Plan<unknown>>)[method]!(
        ...args,
      );
      this.runner.spawn(plan, (error, result) => {
        if (error !== null) this.fail(id, error);
        else this.post({ kind: 'answer', id, result });
      });
    } catch (error) {
      this.fail(id, error);
    }
  }

  private fail(id: number, error: unknown): void {
    if (error instanceof FlashCopyError) {
      const { code, message } = error;
      this.post({
        kind: 'failed',
        id,
        code,
        message,
        ...(error instanceof IoError && { errno: error.errno }),
      });
      return;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.log('error', 'a call met a bug', { call: id, error: text });
    this.post({ kind: 'failed', id, code: 'Internal', message: String(error) });
  }

  private commit(io: IoOp): void {
    const id = ++this.lastCommit;
    this.commits.set(id, io);
    this.post({ kind: 'commit', id, changes: io.changes! });
  }

  private committed(id: number, errno: number): void {
    const io = this.commits.get(id);
    assert(io !== undefined, `commit ${id} is under way`);
    this.commits.delete(id);
    this.runner.complete(io, -errno);
  }

  private stop(): void {
    assert(this.state === 'serving', 'stop comes once, after ready');
    this.state = 'stopping';
    this.server.stop(() => {
      this.runner.spawn(this.core.close(), (error) => this.end(error));
    });
  }

  private readonly log = (
    level: 'info' | 'warn' | 'error',
    message: string,
    fields: Record<string, unknown>,
  ): void => this.post({ kind: 'log', level, message, fields });

  private post(message: ToMain): void {
    this.port.postMessage(message);
  }
}

/** The FUSE server's view of a core: each request becomes a plan. */
function hostOf(core: CoreLike, runner: Runner, log: FuseHost['log']): FuseHost {
  return {
    volumeById: (id) => core.volumeById(id),
    hostVolumes: () => core.hostVolumes(),
    read: (r) => runner.spawn(core.read(r.volume, r.offset, r.length, r.block, 0), r.done),
    write: (r) => runner.spawn(core.write(r.volume, r.offset, r.length, r.block, 0), r.done),
    flush: (r) => runner.spawn(core.flush(r.volume), r.done),
    discard: (r) => runner.spawn(core.discard(r.volume, r.offset, r.length), r.done),
    log,
  };
}

/** A read of the eventfd that is always under way: it ends when the main thread has rung. */
class Bell {
  private readonly ring: Ring;
  private readonly eventFd: number;
  private readonly memory: Mapped = mapPrivate(COUNTER_BYTES);
  private readonly token: Token;

  constructor(ring: Ring, eventFd: number, rung: () => void) {
    this.ring = ring;
    this.eventFd = eventFd;
    this.token = ring.adopt({
      complete: () => {
        this.listen();
        rung();
      },
    });
  }

  listen(): void {
    this.ring.read(this.eventFd, this.memory.address, COUNTER_BYTES, 0, this.token);
  }
}
