/**
 * Random operations, one after the other, on a disk that fails now and then or is full, with deaths of the engine, power cuts,
 * and power cuts soon after a death. What each volume may show then FaultyPool knows.
 *
 * Everything follows from the seed. Held to be wrong is: content that nobody wrote there, a volume that is offline though no
 * I/O failed, a refusal for which there is no reason.
 */
import { EIO, ENOSPC } from '../../src/base/errors.ts';
import type { MappingInfo } from '../../src/base/model.ts';
import type { CoreVolumeInfo } from '../../src/core/info.ts';
import type { IoKind } from '../../src/core/ops.ts';
import { FaultyPool } from './faulty-pool.ts';
import { Random } from './random.ts';

export const FAULT_OPERATIONS = 80;

const LINES_KEPT = 60;
const VOLUMES_MAX = 9;
const VOLUMES_MIN = 4;
const RATES = [0, 30, 150] as const;
/** How likely a checkpoint begins after a step. */
const CHECKPOINTS = 0.01;
/** By then the engine has heard of a failed flush, and the next one will know of it. */
const TELL_MS = 150;

const WEIGHTS = {
  write: 50,
  discard: 5,
  flush: 10,
  snapshot: 8,
  clone: 6,
  start: 5,
  sync: 14,
  syncAll: 2,
  deleteMapping: 3,
  delete: 6,
  rate: 3,
  wait: 3,
  checkpoint: 8,
  fault: 14,
  full: 3,
  heal: 2,
  death: 3,
  power: 3,
  deathThenPower: 2,
  close: 1,
  verify: 3,
};

type Where = 'log' | 'bitmaps' | 'volumes' | 'one volume' | 'catalog';

/** What fails together, and where it is done; each as likely as the others. */
const FAULTS: readonly { kinds: readonly IoKind[]; where: readonly Where[] }[] = [
  { kinds: ['flush'], where: ['log', 'bitmaps', 'volumes', 'one volume'] },
  { kinds: ['flush'], where: ['volumes', 'one volume'] },
  { kinds: ['write', 'writev'], where: ['log', 'bitmaps', 'volumes', 'one volume'] },
  { kinds: ['write', 'writev'], where: ['volumes', 'one volume'] },
  { kinds: ['write', 'writev', 'flush'], where: ['log', 'bitmaps', 'volumes', 'one volume'] },
  { kinds: ['read'], where: ['log', 'volumes', 'one volume'] },
  { kinds: ['punch'], where: ['volumes'] },
  { kinds: ['extents'], where: ['volumes'] },
  { kinds: ['create'], where: ['bitmaps', 'volumes'] },
  { kinds: ['remove'], where: ['bitmaps', 'volumes'] },
  { kinds: ['commit'], where: ['catalog'] },
];
/** These are done whole or not at all. */
const WHOLE: ReadonlySet<IoKind> = new Set(['flush', 'read', 'commit']);

/** Right at any time: what was asked for does not fit to what there is. */
const REFUSALS = ['WrongState', 'InvalidArgument', 'TargetInUse', 'MappingNotFound'];
/** Right only after an I/O has failed. */
const FAILURES = ['Suspended', 'IoError', 'OutOfSpace', 'VolumeNotFound', 'Damaged'];

export type FaultReport = {
  /** Faults that have had their effect. */
  injected: number;
  /** How often each operation ended how, and each end of an engine was. */
  outcomes: Map<string, number>;
};

/** Run one history; throws with the seed, what went before, and the command that shows it again. */
export function huntFaults(seed: number, operations = FAULT_OPERATIONS): FaultReport {
  const history = new FaultHunt(seed);
  try {
    history.run(operations);
  } catch (error) {
    const lines = history.lines.join('\n    ');
    const replay = `npm run hunt -- --faults --seeds 1 --from ${seed} --operations ${operations}`;
    throw new Error(`seed ${seed}: ${(error as Error).message}\n    ${lines}\nreplay: ${replay}\n`, {
      cause: error,
    });
  }
  return history.report;
}

class FaultHunt {
  readonly report: FaultReport = { injected: 0, outcomes: new Map() };
  readonly lines: string[] = [];
  private readonly random: Random;
  private readonly pool: FaultyPool;
  /** Whether something may have failed so far. */
  private mayFail = false;
  /** A flush may have failed since the engine was last left alone. */
  private flushMayFail = false;
  private isOpen = true;
  private names = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.pool = new FaultyPool(seed);
  }

  run(operations: number): void {
    const { pool, random } = this;
    for (const name of ['v', 'w']) pool.volume(name);
    for (let n = 0; n < operations; n++) {
      this.operate(random.weighted(WEIGHTS));
      if (random.chance(0.4)) this.advance(random.int(60));
    }
    this.heal();
    pool.wait(TELL_MS);
    pool.die();
    this.checkOnline();
    this.syncAll();
    pool.dieAndLosePower();
    this.syncAll();
    pool.settle();
    pool.verify();
    this.tally();
  }

  private operate(kind: keyof typeof WEIGHTS): void {
    const volumes = this.pool.core.volumes();
    const mappings = this.pool.core.mappings();
    const online = volumes.filter(({ state }) => state === 'online');
    const live = online.filter((volume) => volume.kind === 'volume');
    if (kind === 'write' || kind === 'discard' || kind === 'flush') {
      if (live.length > 0) this.host(kind, this.random.pick(live).name);
    } else if (kind === 'snapshot' || kind === 'clone') {
      if (live.length > 0 && volumes.length < VOLUMES_MAX) this.cut(kind, this.random.pick(live).name);
    } else if (kind === 'start') {
      if (live.length > 0) this.start(this.random.pick(online).name, this.random.pick(live).name);
    } else if (kind === 'sync' || kind === 'deleteMapping' || kind === 'rate') {
      if (mappings.length > 0) this.mapping(kind, this.random.pick(mappings));
    } else if (kind === 'delete') this.delete(volumes);
    else if (kind === 'fault') this.fault(this.random.pick(volumes).file);
    else if (kind === 'full') this.full();
    else if (kind === 'heal') this.heal();
    else if (kind === 'syncAll') this.syncAll();
    else if (kind === 'verify') this.verify();
    else if (kind === 'wait') this.pool.wait(this.random.int(300));
    else if (kind === 'checkpoint') this.pool.world.checkpoint();
    else this.end(kind);
  }

  private host(kind: 'write' | 'discard' | 'flush', name: string): void {
    const { random, pool } = this;
    if (kind === 'flush') this.act(`flush ${name}`, () => pool.flush(name));
    else if (kind === 'discard') {
      const first = random.int(56);
      const count = random.between(1, 8);
      this.act(`discard ${name} ${first} ${count}`, () => pool.discard(name, first, count));
    } else {
      // Most of it meets in a small part of the volume.
      const first = random.chance(0.7) ? random.int(12) : random.int(60);
      const count = random.between(1, random.chance(0.8) ? 4 : Math.min(40, 64 - first));
      this.act(`write ${name} ${first} ${count}`, () => pool.write(name, first, count));
    }
  }

  private cut(kind: 'snapshot' | 'clone', source: string): void {
    const name = `${kind[0]}${++this.names}`;
    const rate = this.random.pick([0, ...RATES]);
    this.act(`${kind} ${name} of ${source}`, () => {
      if (kind === 'snapshot') this.pool.snapshot(name, source);
      else this.pool.clone(name, source, rate);
    });
  }

  private start(source: string, target: string): void {
    const name = `m${++this.names}`;
    const rate = this.random.pick(RATES);
    this.act(`start ${name} ${source} to ${target}`, () => this.pool.start(name, source, target, rate));
  }

  private mapping(kind: 'sync' | 'deleteMapping' | 'rate', { name, state }: MappingInfo): void {
    const { pool } = this;
    if (kind === 'sync') this.sync(name);
    else if (kind === 'rate') {
      const rate = this.random.pick(RATES);
      this.act(`rate ${name} ${rate}`, () => pool.setCopyRate(name, rate));
    } else if (state === 'copied') this.act(`deleteMapping ${name}`, () => pool.deleteMapping(name));
  }

  private sync(name: string): void {
    const names = this.pool.core.volumes().map((volume) => volume.name);
    const mapping = this.pool.core.mappings().find((one) => one.name === name);
    if (mapping === undefined || !mapping.incremental) return;
    if (names.includes(mapping.source) && names.includes(mapping.target))
      this.act(`sync ${name}`, () => this.pool.sync(name));
  }

  private syncAll(): void {
    const names = this.pool.core.mappings().map(({ name }) => name);
    for (const name of this.random.shuffled(names)) {
      this.sync(name);
      if (this.random.chance(0.3)) this.verify();
    }
    this.verify();
  }

  private delete(volumes: readonly CoreVolumeInfo[]): void {
    if (volumes.length <= VOLUMES_MIN) return;
    const { name } = this.random.pick(volumes);
    if (name !== 'v') this.act(`delete ${name}`, () => this.pool.delete(name));
  }

  private verify(): void {
    this.pool.attempt(() => this.pool.verify());
  }

  /** `file`: of the one volume. */
  private fault(file: string): void {
    const { random } = this;
    const { kinds, where } = random.pick(FAULTS);
    const path = {
      log: /^log/,
      bitmaps: /^bitmaps/,
      volumes: /^volumes/,
      'one volume': new RegExp(file),
      catalog: /^$/,
    }[random.pick(where)];
    const errno = random.chance(0.6) ? EIO : ENOSPC;
    const times = random.pick([1, 1, 1, 2, 5]);
    const skip = random.pick([0, 0, 1, 3]);
    const half = random.chance(0.3) && !WHOLE.has(kinds[0]!);
    this.note(
      `fault: ${kinds} of ${path}, errno ${errno}, ${times} times after ${skip}${half ? ', half' : ''}`,
    );
    this.pool.fail({ kinds, path, errno, times, skip, half });
    this.mayFail = true;
    if (kinds.includes('flush')) this.flushMayFail = true;
  }

  private full(): void {
    const { disk } = this.pool.world;
    this.note('the disk is as good as full');
    disk.capacityBlocks = disk.usedBlocks + this.random.int(12);
    this.mayFail = true;
  }

  private heal(): void {
    this.pool.world.disk.capacityBlocks = Number.POSITIVE_INFINITY;
    this.pool.fail();
  }

  private end(kind: 'death' | 'power' | 'deathThenPower' | 'close'): void {
    const { pool, random } = this;
    if (random.chance(0.5)) this.advance(random.int(100));
    pool.world.disk.capacityBlocks = Number.POSITIVE_INFINITY;
    // Of a failed flush of which this engine has not heard the next one cannot know.
    if (this.flushMayFail) {
      pool.fail();
      pool.wait(TELL_MS);
    }
    this.flushMayFail = false;
    this.note(kind);
    this.count(kind);
    if (kind === 'death') pool.die();
    else if (kind === 'power') pool.losePower();
    else if (kind === 'close') this.close();
    else this.deathThenPower();
    this.checkOnline();
    if (random.chance(0.6)) this.syncAll();
  }

  /** It may refuse: then what it has is as before. */
  private close(): void {
    const { pool } = this;
    pool.fail();
    try {
      pool.close();
    } catch (error) {
      if ((error as { code?: string }).code !== 'IoError') throw error;
      pool.losePower();
      return;
    }
    pool.verify();
  }

  /** The new engine has not done yet what the old one has left to it. */
  private deathThenPower(): void {
    const { pool, random } = this;
    pool.world.processDeath();
    pool.fail();
    if (random.chance(0.5)) pool.world.open();
    else {
      this.isOpen = false;
      pool.world.beginOpen(() => {
        this.isOpen = true;
      });
      this.advance(random.int(150));
    }
    if (random.chance(0.5)) this.advance(random.int(100));
    pool.losePower();
    this.isOpen = true;
  }

  private advance(steps: number): void {
    const { world } = this.pool;
    for (let step = 0; step < steps && world.runner.advance(); step++)
      if (this.isOpen && this.random.chance(CHECKPOINTS)) world.checkpoint();
  }

  private act(name: string, act: () => void): void {
    this.note(name);
    const kind = name.split(' ')[0]!;
    try {
      act();
      this.count(`${kind}: done`);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      if (code === undefined) throw error;
      this.note(`  ${code}: ${message}`);
      this.count(`${kind}: ${code}`);
      if (!REFUSALS.includes(code) && !(this.mayFail && FAILURES.includes(code))) throw error;
    }
  }

  private checkOnline(): void {
    if (this.mayFail) return;
    for (const { name, state, error } of this.pool.core.volumes())
      if (state !== 'online') throw new Error(`${name} is ${state} though no I/O has failed: ${error}`);
  }

  /** A fault that was met is told before what follows from it. */
  private note(line: string): void {
    this.tally();
    this.lines.push(line);
    if (this.lines.length > LINES_KEPT) this.lines.shift();
    if (process.env['VERBOSE']) console.log(line);
  }

  private tally(): void {
    for (const fault of this.pool.world.disk.injected.splice(0)) {
      this.report.injected++;
      if (fault.startsWith('flush')) this.flushMayFail = true;
      this.note(`  failed: ${fault}`);
    }
  }

  private count(outcome: string): void {
    this.report.outcomes.set(outcome, (this.report.outcomes.get(outcome) ?? 0) + 1);
  }
}
