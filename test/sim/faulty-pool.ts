/**
 * A pool on a simulated disk with faults, and what each of its volumes may show: one thing, or, where a write failed, the
 * old or the new. One operation at a time, so that this is easily said.
 */
import { EIO } from '../../src/base/errors.ts';
import type { CreateVolume, MappingInfo } from '../../src/base/model.ts';
import type { CoreVolumeInfo } from '../../src/core/info.ts';
import { op, type Plan } from '../../src/core/ops.ts';
import { Random } from './random.ts';
import type { Fault } from './sim-disk.ts';
import { BLOCK } from './sim-file.ts';
import { SimWorld } from './sim-world.ts';

const GRAINS = 64;
const LOG_BLOCKS = 1400;

type Cells = Set<number>[];

export class FaultyPool {
  readonly world: SimWorld;
  readonly #shows = new Map<string, Cells>();
  /** What a loss of power may leave of each: all that was written since the last flush, and what was there then. */
  readonly #mayShow = new Map<string, Cells>();
  #tag = 0;

  constructor(seed: number) {
    this.world = new SimWorld(new Random(seed), LOG_BLOCKS * BLOCK);
    this.world.open();
  }

  /** What the engine says, without any I/O. */
  readonly core = {
    volumes: (): CoreVolumeInfo[] => this.#instantly(this.world.core.listVolumes()),
    mapping: (name: string): MappingInfo => this.#instantly(this.world.core.getMapping(name)),
    mappings: (): MappingInfo[] => this.#instantly(this.world.core.listMappings()),
  };

  info(name: string): CoreVolumeInfo {
    return this.#instantly(this.world.core.getVolume(name));
  }

  fileOf(name: string): string {
    return this.info(name).file;
  }

  warnings(): string[] {
    return this.#instantly(this.world.core.pool()).warnings;
  }

  logged(message: string, fields: object): boolean {
    return this.world.log.some(
      (line) => line.message === message && JSON.stringify(line.fields) === JSON.stringify(fields),
    );
  }

  fail(...faults: Fault[]): void {
    this.world.disk.faults = faults;
  }

  /** This grain of the volume's file cannot be read any more. */
  failReads(name: string, grain: number): void {
    const path = new RegExp(this.fileOf(name));
    this.fail({ kinds: ['read'], path, offset: grain * BLOCK, errno: EIO, times: Number.POSITIVE_INFINITY });
  }

  /** How often the file's flush was asked of the disk. */
  flushesOf(file: string): number {
    return this.world.disk.flushes.get(file) ?? 0;
  }

  volume(name: string, more: Partial<CreateVolume> = {}): void {
    const request = { name, sizeBytes: GRAINS * BLOCK, grainBytes: BLOCK, ...more };
    if (this.#try(this.world.core.createVolume(request)) !== null) return;
    this.#shows.set(
      name,
      Array.from({ length: GRAINS }, () => new Set([0])),
    );
    this.#mayShow.set(name, copyOf(this.#shows.get(name)!));
    this.write(name, 0, GRAINS);
  }

  write(name: string, first: number, count = 1): void {
    const error = this.#write(name, first, count);
    if (error !== null) throw error;
  }

  writeFails(name: string, first: number, count = 1): string {
    return told(this.#write(name, first, count), `a write to ${name}`);
  }

  /** It may fail, or not. */
  attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error as { code?: string }).code) throw error;
    }
  }

  flush(name: string): void {
    const error = this.#flush(name);
    if (error !== null) throw error;
  }

  flushFails(name: string): string {
    return told(this.#flush(name), `a flush of ${name}`);
  }

  snapshot(name: string, source: string): void {
    const error = this.#cut(name, source, this.world.core.createSnapshots([{ name, source, copyRate: 0 }]));
    if (error !== null) throw error;
  }

  snapshotFails(name: string, source: string): string {
    return told(
      this.#cut(name, source, this.world.core.createSnapshots([{ name, source }])),
      `snapshot ${name}`,
    );
  }

  clone(name: string, source: string, copyRate: number): void {
    const request = { name, sizeBytes: 0, copyRate, incremental: true };
    const error = this.#cut(name, source, this.world.core.cloneVolume(source, request));
    if (error !== null) throw error;
  }

  /** A row of the catalog is being changed while a flush of the volume fails. */
  changeWhileFlushing(name: string, row: 'volume' | 'mapping'): void {
    const { core, runner } = this.world;
    const ended = (): void => {};
    if (row === 'mapping') runner.call('rate', core.setCopyRate(name, 1), ended);
    else runner.call('cut', core.createSnapshots([{ name: `${name}-late`, source: name }]), ended);
    runner.call('flush', core.flush(core.volumeByName(name)!), ended);
    runner.runUntilAnswered();
  }

  /** A flush of the volume fails, and the process dies so many steps after that is known. False: the catalog has it already. */
  dieAtOffline(name: string, steps: number): boolean {
    const { core, runner, disk } = this.world;
    const volume = core.volumeByName(name)!;
    runner.call('flush', core.flush(volume), () => {});
    runner.runUntil(() => this.world.log.some(({ message }) => message === 'volume goes offline'));
    for (let step = 0; step < steps; step++) runner.advance();
    this.world.processDeath();
    return disk
      .rows()
      .some(
        ({ table, key, row }) =>
          table === 'volume' && key === volume.id && !('unflushed' in row && row.unflushed),
      );
  }

  setCopyRate(mapping: string, copyRate: number): void {
    this.world.runner.run('rate', this.world.core.setCopyRate(mapping, copyRate));
  }

  sync(mapping: string): void {
    const { source, target, cutAt } = this.core.mapping(mapping);
    const shown = copyOf(this.#shows.get(source)!);
    const error = this.#try(this.world.core.syncMapping(mapping));
    if (this.core.mapping(mapping).cutAt !== cutAt) {
      this.#shows.set(target, shown);
      this.#mayShow.set(target, copyOf(shown));
    }
    if (error !== null) throw error;
  }

  /** The target becomes a copy of the source, by a new mapping: a restore, say. */
  start(name: string, source: string, target: string, copyRate: number): void {
    const request = { name, source, target, copyRate, incremental: true };
    const refused = this.#try(this.world.core.createMapping(request));
    if (refused !== null) throw refused;
    const shown = copyOf(this.#shows.get(source)!);
    const loose = this.#mayShow.get(source)!;
    const error = this.#try(this.world.core.startMappings([name]));
    if (this.core.mappings().some((mapping) => mapping.name === name && mapping.cutAt !== 0)) {
      this.#shows.set(target, shown);
      this.#mayShow.set(target, copyOf(shown));
      if (error !== null) addTo(this.#mayShow.get(target)!, loose);
    }
    if (error !== null) throw error;
  }

  /** Its target stands alone from then on. */
  deleteMapping(name: string): void {
    const error = this.#try(this.world.core.deleteMapping(name, false));
    if (error !== null) throw error;
  }

  discard(name: string, first: number, count: number): void {
    const { core } = this.world;
    const error = this.#try(core.discard(core.volumeByName(name)!, first * BLOCK, count * BLOCK));
    this.#changed(name, first, new Array<number>(count).fill(0), error);
    if (error !== null) throw error;
  }

  delete(name: string): void {
    const { core } = this.world;
    const isSnapshot = this.info(name).kind === 'snapshot';
    const error = this.#try(isSnapshot ? core.deleteSnapshot(name) : core.deleteVolume(name));
    if (!this.core.volumes().some((volume) => volume.name === name)) {
      this.#shows.delete(name);
      this.#mayShow.delete(name);
    }
    if (error !== null) throw error;
  }

  grow(name: string, grains: number): void {
    const error = this.#try(this.world.core.growVolume(name, grains * BLOCK));
    const cells = this.#shows.get(name)!;
    for (let g = cells.length; g < this.info(name).sizeBytes / BLOCK; g++) {
      cells.push(new Set([0]));
      this.#mayShow.get(name)!.push(new Set([0]));
    }
    if (error !== null) throw error;
  }

  wait(ms: number): void {
    this.world.runner.runFor(ms);
  }

  /** Copies and reclaiming come to their end. */
  settle(): void {
    const busy = (): boolean =>
      this.#instantly(this.world.core.pool()).retired > 0 ||
      this.core.mappings().some(({ state, copyRate }) => state === 'copying' && copyRate > 0);
    this.world.runner.run('settle', waitWhile(busy));
  }

  /** The whole log is written several times over, so that its oldest records have to go. */
  churnLog(name: string): void {
    this.attempt(() => this.volume(name));
    for (let round = 0; round < 2 * Math.ceil(LOG_BLOCKS / GRAINS); round++) {
      this.snapshot('churn', name);
      this.write(name, 0, GRAINS);
      this.delete('churn');
    }
  }

  churnFails(name: string): string {
    try {
      this.churnLog(name);
    } catch (error) {
      this.attempt(() => this.delete('churn'));
      return (error as Error).message;
    }
    throw new Error('the log was emptied all the same');
  }

  /** Everything that is online shows what it may show. */
  verify(): void {
    for (const { name, state, error } of this.core.volumes()) {
      if (state !== 'online') {
        if (error === '') throw new Error(`${name} is ${state} and does not say why`);
        continue;
      }
      const cells = this.#shows.get(name);
      if (cells === undefined) throw new Error(`${name} is there and should not be`);
      const block = { bytes: new Uint8Array(cells.length * BLOCK), address: 0 };
      const { core, runner } = this.world;
      runner.run(`read ${name}`, core.read(core.volumeByName(name)!, 0, block.bytes.length, block, 0));
      cells.forEach((tags, g) => {
        const seen = new Uint32Array(block.bytes.buffer, g * BLOCK, 1)[0]!;
        if (!tags.has(seen)) throw new Error(`${name} grain ${g} shows ${seen} instead of ${[...tags]}`);
        tags.clear();
        tags.add(seen);
      });
    }
    for (const name of this.#shows.keys()) this.info(name);
  }

  die(): void {
    this.world.processDeath();
    this.fail();
    this.world.open();
    this.verify();
  }

  /** The engine ends in good order, and its shared memory goes with it. */
  close(): void {
    this.world.close(false);
    this.fail();
    this.world.open();
  }

  /** At this moment, without another flush. */
  losePower(): void {
    this.world.losePower();
    this.fail();
    this.world.open();
    for (const [name, cells] of this.#mayShow) this.#shows.set(name, cells);
    this.verify();
    for (const [name, cells] of this.#shows) this.#mayShow.set(name, copyOf(cells));
  }

  /** Everything that can be flushed is; then the process dies, then the machine. */
  dieAndLosePower(): void {
    for (const { name, state, kind } of this.core.volumes())
      if (state === 'online' && kind === 'volume') this.flush(name);
    this.die();
    const before = this.core.volumes().filter(({ state }) => state === 'online');
    this.world.losePower();
    this.world.open();
    this.verify();
    for (const { name } of before)
      if (this.info(name).state !== 'online')
        throw new Error(`${name} was lost with the power: ${this.info(name).error}`);
  }

  #write(name: string, first: number, count: number): Error | null {
    const { core } = this.world;
    const volume = core.volumeByName(name);
    if (volume === undefined || (first + count) * BLOCK > volume.sizeBytes)
      return Object.assign(new Error('no such place'), { code: 'VolumeNotFound' });
    const block = { bytes: new Uint8Array(count * BLOCK), address: 0 };
    const tags = Array.from({ length: count }, () => ++this.#tag);
    const words = new Uint32Array(block.bytes.buffer);
    tags.forEach((tag, i) => void words.fill(tag, (i * BLOCK) / 4, ((i + 1) * BLOCK) / 4));
    const error = this.#try(core.write(volume, first * BLOCK, count * BLOCK, block, 0));
    this.#changed(name, first, tags, error);
    return error;
  }

  /** What was there is gone only if that went well; a loss of power may bring it back. */
  #changed(name: string, first: number, tags: readonly number[], error: Error | null): void {
    tags.forEach((tag, i) => {
      const cell = this.#shows.get(name)![first + i]!;
      if (error === null) cell.clear();
      cell.add(tag);
      this.#mayShow.get(name)![first + i]!.add(tag);
    });
  }

  #flush(name: string): Error | null {
    const volume = this.world.core.volumeByName(name);
    if (volume === undefined) return Object.assign(new Error('no such volume'), { code: 'VolumeNotFound' });
    const error = this.#try(this.world.core.flush(volume));
    if (error === null) this.#mayShow.set(name, copyOf(this.#shows.get(name)!));
    return error;
  }

  #cut(name: string, source: string, plan: Plan<unknown>): Error | null {
    const before = this.#shows.get(source);
    if (before === undefined) return Object.assign(new Error('no such volume'), { code: 'VolumeNotFound' });
    const shown = copyOf(before);
    const existed = this.#shows.has(name);
    const error = this.#try(plan);
    if (!existed && this.core.volumes().some((volume) => volume.name === name)) {
      this.#shows.set(name, shown);
      this.#mayShow.set(name, copyOf(shown));
      if (error === null) this.#mayShow.set(source, copyOf(before));
      // Not reported: it may have been cut before the source was flushed.
      else addTo(this.#mayShow.get(name)!, this.#mayShow.get(source)!);
    }
    return error;
  }

  #try(plan: Plan<unknown>): Error | null {
    try {
      this.world.runner.run('act', plan);
      return null;
    } catch (error) {
      if (!(error as { code?: string }).code) throw error;
      return error as Error;
    }
  }

  #instantly<T>(plan: Plan<T>): T {
    const step = plan.next(0);
    if (!step.done) throw new Error('a plan that only tells what is there did I/O');
    return step.value;
  }
}

const copyOf = (cells: Cells): Cells => cells.map((tags) => new Set(tags));

const addTo = (cells: Cells, more: Cells): void =>
  cells.forEach((tags, g) => void more[g]?.forEach((tag) => void tags.add(tag)));

function told(error: Error | null, what: string): string {
  if (error === null) throw new Error(`${what} went well`);
  return error.message;
}

function* waitWhile(busy: () => boolean): Plan<void> {
  while (busy()) yield op.sleep(10);
}
