/**
 * A machine for the core: disk, memory, clock and shared words; engines that come and go on it.
 *
 * Memory given out holds garbage, and so does memory that was given back: who uses a block too early or too late writes
 * or reads something that no test ever wrote.
 */
import { assert } from '../../src/base/errors.ts';
import { Core } from '../../src/core/core.ts';
import type { Block, Plan } from '../../src/core/ops.ts';
import type { Clock, Listener, Memory, Space } from '../../src/core/ports.ts';
import { laterGenerations } from '../../src/engine/older-catalog.ts';
import type { Random } from './random.ts';
import { SimDisk } from './sim-disk.ts';
import { BLOCK, SimFile } from './sim-file.ts';
import { SimRunner } from './sim-runner.ts';

const GARBAGE = 0xdb;
export const WORDS = 3 * 2 ** 20;
/** For volumes of a few grains. */
export const WORDS_FEW = 3 * 2 ** 17;

class SimMemory implements Memory {
  private readonly free = new Map<number, Block[]>();
  private readonly out = new Set<Block>();

  get taken(): number {
    return this.out.size;
  }

  take(bytes: number): Block {
    assert(bytes > 0 && bytes % BLOCK === 0 && bytes <= 2 * 2 ** 20, `a block of ${bytes} bytes`);
    const block = this.free.get(bytes)?.pop() ?? { bytes: new Uint8Array(bytes), address: 0 };
    block.bytes.fill(GARBAGE);
    this.out.add(block);
    return block;
  }

  give(block: Block): void {
    assert(this.out.delete(block), 'a block was given back that is not out');
    block.bytes.fill(GARBAGE);
    const same = this.free.get(block.bytes.length);
    if (same === undefined) this.free.set(block.bytes.length, [block]);
    else same.push(block);
  }
}

class SimClock implements Clock {
  private readonly disk: SimDisk;
  private last = 0;
  constructor(disk: SimDisk) {
    this.disk = disk;
  }
  /** Never the same twice, so that two cuts can be told apart by their time. */
  now(): number {
    this.last = Math.max(this.last + 1, 1_700_000_000_000 + Math.floor(this.disk.now / 1000));
    return this.last;
  }
  micros(): number {
    return this.disk.now;
  }
}

export type LogLine = { level: string; message: string; fields: Record<string, unknown> };

/** An engine that can be asked. */
export type Machine = {
  readonly core: Core;
  readonly log: readonly LogLine[];
  /** Run one plan to its end. */
  run<T>(name: string, plan: Plan<T>): T;
};

/** The id of the simulated pool. */
export const POOL = '01234567-89ab-4cde-8f01-23456789abcd';

export class SimWorld implements Machine {
  readonly disk: SimDisk;
  readonly clock: SimClock;
  private readonly space: Space;
  /** What is given back one by one where the disk is full, blocks. */
  private reserves: number[] = [];
  readonly log: LogLine[] = [];
  private readonly random: Random;
  private readonly words: Uint32Array;
  readonly logBytes: number;
  private wordsSurvived = false;
  private starts = 0;
  /** What the next engine finds beside files that are missing or short: files that are another volume's by their mark. */
  exchanged: { volume: number; error: string }[] = [];
  memory = new SimMemory();
  /** Told of every mapping that changes. */
  mappingChanged: (id: number) => void = () => {};
  runner: SimRunner;
  core: Core;
  private readonly inOrder: boolean;

  constructor(random: Random, logBytes: number, words = WORDS, inOrder = false) {
    this.random = random;
    this.inOrder = inOrder;
    this.logBytes = logBytes;
    this.words = new Uint32Array(words);
    this.disk = new SimDisk(random.fork());
    // As the engine makes it with the pool.
    this.disk.files.set('log', SimFile.preallocated(logBytes));
    this.clock = new SimClock(this.disk);
    // Some worlds are always short of space, as far as the core can see.
    const freeBytes = random.chance(0.5) ? 0 : Number.POSITIVE_INFINITY;
    this.space = {
      freeBytes: () => Math.min(freeBytes, this.disk.freeBytes),
      giveReserve: () => this.giveReserve(),
      discards: freeBytes > 0,
    };
    [this.runner, this.core] = this.engine();
  }

  /** From now on so many blocks are free, and behind them these reserves. */
  fillDisk(freeBlocks: number, reserves: number[]): void {
    this.disk.capacityBlocks = this.disk.usedBlocks + freeBlocks;
    this.reserves = reserves;
  }

  private giveReserve(): boolean {
    const blocks = this.reserves.pop();
    if (blocks === undefined) return false;
    this.disk.capacityBlocks += blocks;
    return true;
  }

  private engine(): [SimRunner, Core] {
    const runner = new SimRunner(this.disk, this.random.fork(), this.inOrder);
    const listener: Listener = {
      mappingChanged: (id) => this.mappingChanged(id),
      log: (level, message, fields) => void this.log.push({ level, message, fields }),
    };
    this.memory = new SimMemory();
    const { memory, clock, words, logBytes, space } = this;
    return [runner, new Core({ runner, memory, clock, space, listener, words, logBytes })];
  }

  /** Open the pool, as a new engine does. */
  open(): void {
    this.beginOpen(() => {});
    this.runner.runUntilAnswered();
  }

  /** The same, with the answer when it is there: somebody may pull the plug before. */
  beginOpen(opened: () => void): void {
    const rows = this.disk.rows();
    const named = namedFiles(rows);
    const strays = [...this.disk.files.keys()].filter((path) => !named.has(path));
    assert(
      laterGenerations(strays, this.disk.files, rows).length === 0,
      'the catalog is older than no bitmap',
    );
    const badFiles = [...shortFiles(rows, this.disk.files), ...this.exchanged];
    const memoryId = ++this.starts;
    const shmSurvived = this.wordsSurvived;
    const plan = this.core.open({ rows, damaged: [], badFiles, strays, shmSurvived, pool: POOL, memoryId });
    this.runner.call('open', plan, (error) => {
      if (error !== null) throw error;
      // What an offline check goes by: in a pool that was closed the log has nothing, and a lost one may be made anew.
      const engine = this.disk.rows().find((row) => row.table === 'engine')?.row as
        | { clean: boolean }
        | undefined;
      assert(engine?.clean === false, 'the pool is open, and its catalog does not say so');
      // From here on a death of the process leaves words that mean something.
      this.wordsSurvived = true;
      opened();
    });
  }

  run<T>(name: string, plan: Plan<T>): T {
    return this.runner.run(name, plan);
  }

  /** Everything in the log comes to its place, as when it runs full. */
  checkpoint(): void {
    this.core['checkpointSoon']();
  }

  /** Whether the undo log is cut to nothing. */
  get logIsEmpty(): boolean {
    return this.core['state'].log.records.length === 0;
  }

  /** SIGKILL. Shared words, what was written, and the disk's cache survive. */
  processDeath(): void {
    this.disk.processDeath();
    [this.runner, this.core] = this.engine();
  }

  losePower(): void {
    this.disk.losePower();
    this.forgetWords();
    [this.runner, this.core] = this.engine();
  }

  /** The process is gone, and with it who kept the shared words. The machine goes on: what was written is there, flushed or not. */
  loseWords(): void {
    this.disk.processDeath();
    this.forgetWords();
    [this.runner, this.core] = this.engine();
  }

  private forgetWords(): void {
    this.words.fill(0);
    this.wordsSurvived = false;
  }

  /** A clean end: everything is answered and closed. The words may or may not be kept. */
  close(keepWords: boolean): void {
    this.runner.run('close', this.core.close());
    this.disk.processDeath();
    if (!keepWords) this.forgetWords();
    [this.runner, this.core] = this.engine();
  }
}

type Row = { table: string; key: number; row: object };

/** Files that no row names were being made or removed when the engine died: the core removes them when it opens the pool. */
export function namedFiles(rows: Iterable<Row>): Set<string> {
  const named = new Set(['log']);
  for (const { table, row } of rows) {
    if (table === 'volume') named.add(`volumes/${(row as { file: number }).file}.data`);
    if (table === 'bitmap')
      named.add(`bitmaps/${(row as { id: number }).id}.${(row as { gen: number }).gen}`);
  }
  return named;
}

/** What the engine finds wrong with data files before it opens. */
export function shortFiles(
  rows: Iterable<Row>,
  files: ReadonlyMap<string, { size: number }>,
): { volume: number; error: string }[] {
  const bad: { volume: number; error: string }[] = [];
  for (const { table, key, row } of rows) {
    if (table !== 'volume') continue;
    const { file, size } = row as { file: number; size: number };
    const found = files.get(`volumes/${file}.data`);
    if (found === undefined || found.size < size)
      bad.push({ volume: key, error: `its data file ${file} is missing or short` });
  }
  return bad;
}
