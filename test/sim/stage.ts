/**
 * What a written-out history is written with: one call for each step. Nothing is waited for unless it is said; what goes on
 * meanwhile, and how long each I/O takes, the seed decides.
 */
import {
  type Control,
  cloneOf,
  creationOf,
  deletionOf,
  endOf,
  rateOf,
  snapshotsOf,
  syncOf,
} from './actions.ts';
import type { History } from './history.ts';
import type { ModelMapping, ModelVolume } from './model.ts';
import { BLOCK } from './sim-file.ts';

/** Steps in which something that is waited for comes, or does not come at all. */
const STEPS_MAX = 20_000;

export class Stage {
  private readonly h: History;

  constructor(history: History) {
    this.h = history;
  }

  /** Up to `max`, by the seed. */
  some(max: number): number {
    return this.h.random.int(max + 1);
  }

  /** A volume whose blocks all have data, flushed. */
  volume(blocks: number): ModelVolume {
    const name = this.h.freshName('v');
    this.begin(creationOf(this.h, { name, sizeBytes: blocks * BLOCK, grainBytes: this.h.grain }));
    this.wait();
    const volume = this.h.model.volumes.get(name)!;
    this.write(volume);
    this.wait();
    this.flush(volume);
    this.wait();
    return volume;
  }

  snapshot(source: ModelVolume): ModelVolume {
    const name = this.beginSnapshot(source);
    this.wait();
    return this.h.model.volumes.get(name)!;
  }

  /** Its name: whether there is one shows later. */
  beginSnapshot(source: ModelVolume): string {
    const name = this.h.freshName('s');
    this.begin(snapshotsOf(this.h, [source], [{ name, source: source.name, copyRate: 0 }]));
    return name;
  }

  /** An incremental one. */
  clone(source: ModelVolume, copyRate: number): ModelVolume {
    const name = this.h.freshName('c');
    this.begin(cloneOf(this.h, source, { name, sizeBytes: 0, copyRate, incremental: true }));
    this.wait();
    return this.h.model.volumes.get(name)!;
  }

  /** Where nothing else is being written. */
  write(volume: ModelVolume, first = 0, count = volume.blocks): void {
    this.h.report.operations++;
    this.h.startIo('write', volume, first, count);
  }

  read(volume: ModelVolume, first = 0, count = volume.blocks): void {
    this.h.report.operations++;
    this.h.startIo('read', volume, first, count);
  }

  flush(volume: ModelVolume): void {
    this.h.report.operations++;
    this.h.startIo('flush', volume, 0, 0);
  }

  sync(target: ModelVolume): void {
    this.begin(syncOf(this.h, this.mapping(target)));
  }

  stop(target: ModelVolume): void {
    this.begin(endOf(this.h, 'stop', this.mapping(target)));
  }

  /** Its mapping is deleted with force. */
  giveUp(target: ModelVolume): void {
    this.begin(endOf(this.h, 'deleteMapping', this.mapping(target)));
  }

  rate(target: ModelVolume, copyRate: number): void {
    this.begin(rateOf(this.mapping(target), copyRate));
  }

  delete(volume: ModelVolume): void {
    this.begin(deletionOf(this.h, volume));
  }

  /** Deleted ones are gone, with all that read through them. */
  deleteAll(...volumes: ModelVolume[]): void {
    for (const volume of volumes) this.delete(volume);
    this.wait();
  }

  /** Everything in the log comes to its place. */
  checkpoint(): void {
    this.h.world.checkpoint();
  }

  /** The engine is killed and started again. */
  die(): void {
    const lost = this.h.pull('death');
    this.h.open(Number.POSITIVE_INFINITY);
    this.h.afterCrash(lost);
  }

  /** From here on everything is faster than a flush of this volume. */
  slowFlushes(volume: ModelVolume): void {
    this.h.world.disk.slowFlushes.add(`volumes/${this.h.world.core.volumeByName(volume.name)!.id}.data`);
  }

  advance(steps: number): void {
    this.h.advance(steps);
  }

  /** Go on until `there()`. False: it did not come. */
  until(there: () => boolean): boolean {
    for (let steps = 0; steps < STEPS_MAX; steps++) {
      if (there()) return true;
      if (!this.h.world.runner.advance()) return there();
    }
    return false;
  }

  /** Until all host I/O is answered. */
  waitForHost(): void {
    this.h.world.runner.runUntil(() => this.h.hostIos === 0);
  }

  /** Until everything is answered. */
  wait(): void {
    this.h.world.runner.runUntilAnswered();
  }

  /** The same, and everything shows what it must. */
  quiet(): void {
    this.h.quiet();
  }

  /** The same, and nothing is left to do in the background. */
  settle(): void {
    this.h.settle();
  }

  /** Control operations that are not answered. */
  get controls(): number {
    return this.h.controlsUnderWay;
  }

  /** Cuts and syncs that were committed, in this life of the engine. */
  get cuts(): number {
    return this.h.instantly(this.h.world.core.counters()).cuts;
  }

  /** Grains that the background copy has copied, in this life of the engine. */
  get copied(): number {
    return this.h.instantly(this.h.world.core.counters()).grainsCopiedInBackground;
  }

  get logIsEmpty(): boolean {
    return this.h.world.logIsEmpty;
  }

  /** A record of the undo log is written, and its flush is under way. */
  get logIsFlushed(): boolean {
    return this.h.world.disk.isUnderWay('flush', 'log');
  }

  /** A flush of a volume's data is under way. */
  get dataIsFlushed(): boolean {
    return this.h.world.disk.isUnderWay('flush', 'volumes/');
  }

  /** Deleted volumes that are not gone. */
  get retired(): number {
    return this.h.instantly(this.h.world.core.pool()).retired;
  }

  private begin(control: Control): void {
    this.h.report.operations++;
    this.h.startControl(control);
  }

  private mapping(target: ModelVolume): ModelMapping {
    return this.h.model.mappingTo(target.name)!;
  }
}
