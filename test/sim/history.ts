/**
 * A random history: host I/O and control operations, many at a time, on a simulated machine that dies now and then; and
 * the comparison of every block with the naive model.
 *
 * Everything follows from the seed. What can be said about a block while something is under way is the model's part
 * (model.ts); which control operations there are, and what they mean, is told in actions.ts.
 */
import type { MappingInfo } from '../../src/base/model.ts';
import type { CoreVolumeInfo } from '../../src/core/info.ts';
import type { Block, Plan } from '../../src/core/ops.ts';
import { type Control, nextControl } from './actions.ts';
import { type Cell, checkMapping, Model, type ModelVolume, optionsOf, Unknown, type Watch } from './model.ts';
import { Random } from './random.ts';
import { allocatedPages, checkAllocated, checkSomeChanges } from './ranges-check.ts';
import { LARGE, type Shape } from './shape.ts';
import { BLOCK } from './sim-file.ts';
import { type Machine, SimWorld } from './sim-world.ts';
import { syncAll } from './sync-all.ts';
import { Tags } from './tags.ts';

/** A history that is written out: what happens is said, and the seed decides only when (scenarios.ts). */
export type Scenario = {
  name: string;
  /** Whether it is looked at after all power cuts that there can be, or as it goes only. */
  by: 'power' | 'model';
  shape: Shape;
  play: (history: History) => void;
};

export type HistoryOptions = {
  seed: number;
  /** Host I/Os and control operations to start. */
  operations: number;
  /** Deaths of process and machine in the middle. */
  crashes?: boolean;
  shape?: Shape;
  /** Instead of operations by chance. */
  scenario?: Scenario;
  /** Command that runs it again. */
  replay?: string;
  /** Called before it begins. */
  prepare?: (history: History) => void;
};

export type HistoryReport = {
  operations: number;
  quiets: number;
  crashes: number;
  outcomes: Map<string, number>;
};

const LINES_KEPT = 60;
/** How often the machine of a rehearsal is also asked for a sync of everything. */
const SYNCED = 0.3;

/** What a crash takes besides the process, the lesser first. */
const LOSSES = ['nothing', 'words', 'power'] as const;
type Loss = (typeof LOSSES)[number];

type HostOp = {
  kind: 'write' | 'discard' | 'read' | 'flush';
  volume: ModelVolume;
  first: number;
  tags: number[];
  block: Block;
  watch: Watch | null;
  exchanges: number;
  at: number;
};

export type View = { volumes: Map<string, CoreVolumeInfo>; mappings: Map<string, MappingInfo> };

/** Run one history; throws with the seed, the step and what went before. */
export function runHistory(options: HistoryOptions): HistoryReport {
  const history = new History(options);
  options.prepare?.(history);
  try {
    return history.run();
  } catch (error) {
    const { seed, operations, scenario } = options;
    const of = scenario === undefined ? '' : ` of "${scenario.name}"`;
    const where = `seed ${seed}${of}, after ${history.report.operations} operations`;
    const length = scenario === undefined ? `OPERATIONS=${operations}` : `SCENARIO="${scenario.name}"`;
    const replay = options.replay ?? `SEED=${seed} ${length} npx mocha test/core/model-check.test.ts`;
    const lines = history.lines.join('\n    ');
    throw new Error(`${where}: ${(error as Error).message}\n    ${lines}\nreplay: ${replay}\n`, {
      cause: error,
    });
  }
}

const newBlock = (count: number): Block => ({ bytes: new Uint8Array(count * BLOCK), address: 0 });

export class History {
  random: Random;
  readonly model = new Model();
  readonly world: SimWorld;
  readonly shape: Shape;
  /** What is looked at: the world, but in a rehearsal. */
  machine: Machine;
  readonly report: HistoryReport = { operations: 0, quiets: 0, crashes: 0, outcomes: new Map() };
  readonly lines: string[] = [];
  readonly grain: number;
  /** Counts what binds the engine from then on: flushes and control operations that were answered. */
  told = 0;
  /** Everything is being deleted: what that does is in no model. */
  ending = false;
  /** When the shared words went last, with the power or without. */
  wordsLostAt = 0;
  /** How likely a crash follows an operation. */
  private readonly crashes: number;
  private readonly tags = new Tags();
  private readonly blocks = new Map<number, Block>();
  private readonly options: HistoryOptions;
  private host = new Set<HostOp>();
  private controls = new Set<Control>();
  private names = 0;

  constructor(options: HistoryOptions) {
    this.options = options;
    const shape = options.scenario?.shape ?? options.shape ?? LARGE;
    this.shape = shape;
    this.random = new Random(options.seed);
    this.grain = this.random.pick(shape.grains);
    this.crashes = this.random.pick(shape.crashes);
    this.world = new SimWorld(
      this.random.fork(),
      this.random.pick(shape.logBlocks) * BLOCK,
      shape.words,
      shape.inOrder,
    );
    this.machine = this.world;
    this.world.mappingChanged = (id) => this.announced(id);
  }

  run(): HistoryReport {
    this.world.open();
    if (this.options.scenario === undefined) this.improvise();
    else this.options.scenario.play(this);
    this.quiet();
    this.settle();
    this.tearDown();
    return this.report;
  }

  private improvise(): void {
    while (this.report.operations < this.options.operations) {
      this.report.operations++;
      this.startOne();
      if (this.random.chance(0.3)) this.advance(this.random.int(80));
      if (this.shape.checkpoints > 0 && this.random.chance(this.shape.checkpoints)) this.world.checkpoint();
      if (this.random.chance(0.02)) this.quiet();
      if (this.random.chance(0.02)) checkSomeChanges(this, false);
      if (this.random.chance(0.004)) this.settle();
      if (this.options.crashes !== false && this.random.chance(this.crashes)) this.crash();
    }
  }

  note(line: string): void {
    this.lines.push(`${Math.floor(this.world.disk.now)} ${line}`);
    if (process.env['VERBOSE']) console.log(this.lines.at(-1));
    if (this.lines.length > LINES_KEPT) this.lines.shift();
  }

  count(outcome: string): void {
    this.report.outcomes.set(outcome, (this.report.outcomes.get(outcome) ?? 0) + 1);
  }

  freshName(prefix: string): string {
    return `${prefix}${++this.names}`;
  }

  advance(steps: number): void {
    const { stepCheckpoints } = this.shape;
    for (let i = 0; i < steps && this.world.runner.advance(); i++)
      if (stepCheckpoints > 0 && this.random.chance(stepCheckpoints)) this.world.checkpoint();
  }

  private startOne(): void {
    const { shape } = this;
    const wantsControl = this.random.chance(this.model.volumes.size < 2 ? 1 : shape.controls);
    if (wantsControl && this.controls.size < shape.controlMax) {
      const control = nextControl(this);
      if (control !== null) this.startControl(control);
      return;
    }
    const usable = [...this.model.volumes.values()].filter((volume) => !volume.offline && !volume.dying);
    if (usable.length === 0 || this.host.size >= shape.hostMax) {
      this.advance(20);
      return;
    }
    const volume = this.random.pick(usable);
    const kind = this.random.weighted({ write: 60, discard: 8, read: 30, flush: 8 });
    if (volume.readOnly && kind !== 'read') return;
    const changes = kind === 'write' || kind === 'discard';
    const spared = changes && shape.targetsSpared > 0 && this.model.mappingTo(volume.name)?.started === true;
    if (spared && this.random.chance(shape.targetsSpared)) return;
    this.startHost(kind, volume);
  }

  private startHost(kind: HostOp['kind'], volume: ModelVolume): void {
    const random = this.random;
    const longest = random.weighted(this.shape.lengths);
    const count = Math.min(volume.blocks, random.between(1, Number(longest)));
    // Half of the I/O meets in a small part of the volume.
    const span = random.chance(0.5) ? volume.blocks : Math.max(count, Math.floor(volume.blocks / 8));
    const first = random.int(span - count + 1);
    this.startIo(kind, volume, first, count);
  }

  /** False: the host has something else under way there. */
  startIo(kind: HostOp['kind'], volume: ModelVolume, first: number, count: number): boolean {
    const changes = kind === 'write' || kind === 'discard';
    if (changes && !volume.isFree(first, first + count)) return false;
    const block = newBlock(kind === 'flush' ? 0 : count);
    const tags = Array.from({ length: count }, () => (kind === 'write' ? this.tags.fresh() : 0));
    if (kind === 'write') tags.forEach((tag, i) => void this.tags.fill(block.bytes, i * BLOCK, tag));
    const op: HostOp = { kind, volume, first, tags, block, watch: null, exchanges: 0, at: 0 };
    op.at = this.model.tick();
    if (changes) volume.beginWrite(first, tags, op.at);
    this.submitHost(op);
    return true;
  }

  /** Control operations that are not answered. */
  get controlsUnderWay(): number {
    return this.controls.size;
  }

  /** Host I/Os that are not answered. */
  get hostIos(): number {
    return this.host.size;
  }

  private submitHost(op: HostOp): void {
    const { core, runner } = this.world;
    const { volume, first, block } = op;
    const count = op.tags.length;
    const target = core.volumeByName(volume.name);
    if (target === undefined) throw new Error(`${volume.name} is not known to the engine`);
    op.exchanges = volume.exchanges;
    if (op.kind === 'read') op.watch = volume.watch(first, first + count);
    // A resent flush answers for what had ended before it was sent first; earlier is the weaker claim.
    this.host.add(op);
    const name = `${op.kind} ${volume.name} [${first}, ${first + count}) ${op.tags[0]}`;
    this.note(name);
    const plans = {
      read: () => core.read(target, first * BLOCK, count * BLOCK, block, 0),
      write: () => core.write(target, first * BLOCK, count * BLOCK, block, 0),
      discard: () => core.discard(target, first * BLOCK, count * BLOCK),
      flush: () => core.flush(target),
    };
    runner.call(name, plans[op.kind](), (error) => {
      this.host.delete(op);
      this.note(`  ended: ${name}${error === null ? '' : ` ${(error as Error).message}`}`);
      this.endHost(op, error as Error | null);
    });
  }

  private endHost(op: HostOp, error: Error | null): void {
    const { volume, first } = op;
    const at = this.model.tick();
    const count = op.tags.length;
    const unstable =
      volume.dying ||
      volume.offline ||
      volume.unspecified ||
      volume.exchanges !== op.exchanges ||
      volume.exchanges % 2 === 1;
    const changes = op.kind === 'write' || op.kind === 'discard';
    if (op.watch !== null) volume.unwatch(op.watch);
    if (error !== null) {
      if (!unstable) throw error;
      if (changes) volume.failWrite(first, count, at);
    } else if (op.kind === 'discard' && volume.exchanges !== op.exchanges) {
      // It goes on in steps: the content may have been exchanged between two of them.
      volume.failWrite(first, count, at);
    } else if (changes) volume.endWrite(first, count, at);
    else if (op.kind === 'flush' && !unstable) {
      volume.flushed(op.at);
      this.told++;
    } else if (op.kind === 'read' && !unstable) this.checkRead(op);
  }

  private checkRead(op: HostOp): void {
    const { volume, first, block } = op;
    const watch = op.watch!;
    op.tags.forEach((_, i) => {
      const seen = this.tags.of(block.bytes, i * BLOCK);
      const cell = watch.before[i]!;
      const writes = watch.writes.get(first + i);
      const options = [...optionsOf(cell), ...(writes?.map((write) => write.tag) ?? [])];
      if (!options.includes(seen)) this.wrong(volume, first + i, seen, options);
      const written = writes?.some((write) => write.tag === seen) === true;
      if (cell instanceof Unknown && cell.options.includes(seen) && !written) cell.settle(seen);
    });
  }

  wrong(volume: ModelVolume, block: number, seen: number, options: number[], when = ''): never {
    const wanted = options.map((tag) => this.tags.describe(tag)).join(' or ');
    const shows = `${volume.name} block ${block} shows ${this.tags.describe(seen)} instead of ${wanted}`;
    throw new Error(when === '' ? shows : `${shows} ${when}`);
  }

  startControl(control: Control): void {
    this.controls.add(control);
    this.note(control.name);
    control.begin();
    this.world.runner.call(control.name, control.plan(this.world.core), (error, result) => {
      this.controls.delete(control);
      this.told++;
      this.note(`  ended: ${control.name}${error === null ? '' : ` ${(error as Error).message}`}`);
      const code = (error as { code?: string } | null)?.code ?? '';
      this.count(`${control.kind}: ${error === null ? 'done' : code}`);
      if (error !== null && !control.refusals.includes(code)) throw error;
      if (error === null) control.done({ result, view: this.view(), powerLost: false });
      else control.undone();
      control.release();
    });
  }

  /** Whoever watches the mapping is told of its state. That its copy is complete is something to rely on. */
  private announced(id: number): void {
    const info = this.instantly(this.world.core.listMappings()).find((m) => m.id === id);
    const mapping = info === undefined ? undefined : this.model.mappings.get(info.name);
    if (info?.state !== 'copied' || mapping?.told !== 'started') return;
    mapping.told = 'copied';
    this.told++;
  }

  /** Run a plan that asks for nothing. */
  instantly<T>(plan: Plan<T>): T {
    const step = plan.next(0);
    if (!step.done) throw new Error('a plan that only tells what is there did I/O');
    return step.value;
  }

  view(): View {
    const { core } = this.machine;
    return {
      volumes: new Map(this.instantly(core.listVolumes()).map((volume) => [volume.name, volume])),
      mappings: new Map(this.instantly(core.listMappings()).map((mapping) => [mapping.name, mapping])),
    };
  }

  /** Wait for everything that was asked for, then compare every block of every volume. */
  quiet(): void {
    this.world.runner.runUntilAnswered();
    this.note('quiet');
    this.report.quiets++;
    this.checkView();
    for (const volume of this.model.volumes.values()) if (!volume.offline) this.compare(volume);
    checkSomeChanges(this, true);
    this.checkSomeAllocated();
    this.checkLog();
  }

  private checkSomeAllocated(): void {
    const volumes = [...this.model.volumes.values()].filter((volume) => !volume.offline);
    if (volumes.length === 0) return;
    const volume = this.random.pick(volumes);
    const { core, runner } = this.world;
    checkAllocated(volume, runner.run(`allocated ${volume.name}`, allocatedPages(core, this, volume)));
  }

  private checkLog(): void {
    const bad = this.machine.log.find((line) => line.level !== 'info');
    if (bad !== undefined) throw new Error(`the engine complains: ${JSON.stringify(bad)}`);
  }

  private checkView(): void {
    const view = this.view();
    for (const volume of this.model.volumes.values()) {
      const info = view.volumes.get(volume.name);
      if (info === undefined) throw new Error(`${volume.name} is gone`);
      if (info.sizeBytes !== volume.blocks * BLOCK)
        throw new Error(`${volume.name} has ${info.sizeBytes} bytes instead of ${volume.blocks * BLOCK}`);
      const state = info.state === 'online';
      if (state === volume.offline) throw new Error(`${volume.name} is ${info.state}: ${info.error}`);
    }
    if (view.volumes.size !== this.model.volumes.size)
      throw new Error(`there are ${[...view.volumes.keys()]} instead of ${[...this.model.volumes.keys()]}`);
    for (const name of view.mappings.keys())
      if (this.model.deletedMappings.has(name)) throw new Error(`mapping ${name} was deleted and is there`);
    for (const mapping of [...this.model.mappings.values()]) {
      const found = view.mappings.get(mapping.name);
      if (found !== undefined) {
        checkMapping(mapping, found);
        continue;
      }
      // A plain one ends when it is complete, and any ends when its source is no more.
      const ends = mapping.started && (!mapping.incremental || !this.model.volumes.has(mapping.source));
      if (!ends) throw new Error(`mapping ${mapping.name} is gone`);
      this.model.mappings.delete(mapping.name);
    }
  }

  readAll(volume: ModelVolume, each: (block: number, seen: number) => void): void {
    const { machine } = this;
    const target = machine.core.volumeByName(volume.name)!;
    for (let first = 0; first < volume.blocks; ) {
      const count = Math.min(volume.blocks - first, this.random.between(1, 256));
      const block = machine === this.world ? newBlock(count) : this.scratch(count);
      machine.run(`check ${volume.name}`, machine.core.read(target, first * BLOCK, count * BLOCK, block, 0));
      for (let i = 0; i < count; i++) each(first + i, this.tags.of(block.bytes, i * BLOCK));
      first += count;
    }
  }

  /** Of a rehearsal, during which nothing else goes on. */
  private scratch(count: number): Block {
    let block = this.blocks.get(count);
    if (block === undefined) {
      block = newBlock(count);
      this.blocks.set(count, block);
    }
    block.bytes.fill(0xcc);
    return block;
  }

  private compare(volume: ModelVolume): void {
    if (volume.unspecified) {
      const cells: Cell[] = [];
      this.readAll(volume, (_, seen) => void cells.push(seen));
      volume.specify(cells, this.model.tick());
      return;
    }
    this.readAll(volume, (b, seen) => {
      const cell = volume.cells[b]!;
      const options = optionsOf(cell);
      if (!options.includes(seen)) this.wrong(volume, b, seen, options);
      if (cell instanceof Unknown) cell.settle(seen);
    });
  }

  /** Let all background work come to its end. */
  settle(): void {
    this.world.runner.runUntilAnswered();
    this.note('settle');
    const { core, runner, disk } = this.world;
    const limit = disk.now + 3600 * 1e6;
    for (;;) {
      const pool = this.instantly(core.pool());
      const copying = this.instantly(core.listMappings()).filter(
        (m) => m.state === 'copying' && m.copyRate > 0,
      );
      if (pool.retired === 0 && copying.length === 0) break;
      if (disk.now > limit || !runner.advance()) {
        const left = copying.map((m) => `${m.name} lacks ${m.remainingBytes}`).join(', ');
        throw new Error(`the background work does not end: ${pool.retired} retired volumes; ${left}`);
      }
    }
    this.quiet();
  }

  private crash(): void {
    const kind = this.random.weighted({ death: 50, power: 40, close: 10 });
    this.report.crashes++;
    this.count(`crash: ${kind}`);
    if (kind === 'close') {
      this.quiet();
      this.note('close');
      this.world.close(this.random.chance(0.5));
      this.world.open();
      this.quiet();
      return;
    }
    // Most of what can go wrong is in the middle of much.
    for (let n = this.random.int(8); n > 0; n--) this.startOne();
    this.advance(this.random.int(60));
    let lost = this.pull(kind);
    // It may happen again before the engine has opened the pool.
    while (!this.open(this.random.chance(0.3) ? this.random.int(300) : Number.POSITIVE_INFINITY)) {
      const again = this.random.chance(0.4) ? 'power' : 'death';
      const more = this.pull(again);
      if (LOSSES.indexOf(more) > LOSSES.indexOf(lost)) lost = more;
    }
    this.afterCrash(lost);
    // What a new engine has not done yet shows when it dies soon.
    if (!this.random.chance(0.3)) return;
    for (let n = this.random.int(10); n > 0; n--) this.startOne();
    this.advance(this.random.int(200));
    this.crash();
  }

  pull(kind: 'death' | 'power'): Loss {
    const { wordsLost } = this.shape;
    const words = kind === 'death' && wordsLost > 0 && this.random.chance(wordsLost);
    const lost = kind === 'power' ? 'power' : words ? 'words' : 'nothing';
    this.note(words ? 'death, words lost' : kind);
    if (lost === 'power') this.world.losePower();
    else if (lost === 'words') this.world.loseWords();
    else this.world.processDeath();
    if (lost !== 'nothing') this.wordsLostAt = this.model.tick();
    if (words) this.count('words lost');
    return lost;
  }

  /** Open the pool within so many steps; whether it was enough. */
  open(stepsMax: number): boolean {
    let opened = false;
    this.world.beginOpen(() => {
      opened = true;
    });
    for (let i = 0; !opened && i < stepsMax; i++) this.world.runner.advanceOrFail();
    return opened;
  }

  afterCrash(lost: Loss): void {
    const view = this.view();
    const powerLost = lost !== 'nothing';
    for (const control of this.controls) {
      const happened = control.happened(view);
      this.note(`  ${happened ? 'happened' : 'did not happen'}: ${control.name}`);
      if (happened) control.done({ result: null, view, powerLost });
      else control.undone();
      control.release();
    }
    this.controls.clear();
    this.checkView();
    const host = [...this.host];
    this.host.clear();
    if (lost !== 'nothing') for (const volume of this.model.volumes.values()) this.adopt(volume, lost);
    else for (const op of host) this.resend(op);
    this.checkLog();
  }

  /** What the kernel does with requests that a dead engine did not answer. */
  private resend(op: HostOp): void {
    if (op.watch !== null) op.volume.unwatch(op.watch);
    if (this.model.volumes.get(op.volume.name) === op.volume) this.submitHost(op);
  }

  /**
   * The power goes now, and this is the machine that has found what it left. Compare with what the host was told; in the end
   * everything is as it was before.
   */
  rehearse(machine: Machine, random: Random): void {
    const { random: own, controls, host, machine: world } = this;
    const forgetMixed = this.tags.mark();
    this.model.rehearse(() => {
      try {
        this.machine = machine;
        this.random = random;
        this.controls = new Set(controls);
        this.host = new Set(host);
        this.afterCrash('power');
        if (random.chance(SYNCED)) syncAll(this);
      } finally {
        this.machine = world;
        this.random = own;
        this.controls = controls;
        this.host = host;
        forgetMixed();
      }
    });
  }

  /** Compare with what a loss of power, or of what memory knew of it, may have left, and take that from here on. */
  private adopt(volume: ModelVolume, lost: Loss): void {
    if (volume.offline) {
      volume.adopt(volume.cells);
      return;
    }
    const seenCells: Cell[] = [];
    this.readAll(volume, (b, seen) => {
      const options = volume.afterPowerLoss(b);
      const exact = volume.isDurable(b);
      seenCells.push(seen);
      if (volume.unspecified) return;
      if (!options.includes(seen) && (exact || !this.tags.isMadeOf(seen, options)))
        this.wrong(volume, b, seen, options);
      const cell = volume.cells[b]!;
      if (exact && cell instanceof Unknown) cell.settle(seen);
    });
    if (lost === 'words') volume.adoptUnflushed(seenCells, this.model.tick());
    else volume.adopt(seenCells);
  }

  /** At the end: delete everything, and nothing is left behind. */
  private tearDown(): void {
    this.note('tear down');
    this.ending = true;
    const { core, runner, disk, memory } = this.world;
    while (this.model.volumes.size > 0) {
      const volume = this.random.pick([...this.model.volumes.values()]);
      const plan = volume.readOnly ? core.deleteSnapshot(volume.name) : core.deleteVolume(volume.name);
      runner.run(`delete ${volume.name}`, plan);
      this.model.forget(volume.name);
      if (this.random.chance(0.3)) this.settle();
    }
    this.settle();
    if (this.view().mappings.size > 0)
      throw new Error(`mappings are left: ${[...this.view().mappings.keys()]}`);
    this.world.runner.run('close', core.close());
    const files = [...disk.files.keys()].filter((file) => file !== 'log');
    if (files.length > 0) throw new Error(`files are left behind: ${files}`);
    const rows = disk.rows().filter((row) => row.table !== 'engine');
    if (rows.length > 0) throw new Error(`rows are left behind: ${JSON.stringify(rows)}`);
    const engine = disk.rows().find((row) => row.table === 'engine')!.row as { clean: boolean };
    if (!engine.clean) throw new Error('records are left behind in the log');
    if (memory.taken > 0) throw new Error(`${memory.taken} blocks of memory were not given back`);
  }
}
