/** A pool on the simulated machine for written-out cases: volumes of small grains that hold one byte each, again and again. */
import { op, type Plan } from '../../src/core/ops.ts';
import { LOG_BYTES_MIN } from '../../src/core/undo-log.ts';
import type { Volume } from '../../src/core/volume.ts';
import { Random } from './random.ts';
import { BLOCK } from './sim-file.ts';
import { SimWorld, WORDS } from './sim-world.ts';

/** For faults of I/O on the volume's file, and on no other. */
export const fileOf = ({ file }: Pick<Volume, 'file'>): RegExp =>
  new RegExp(`^${file.path.replace('.', '\\.')}$`);

export class SmallPool {
  readonly world: SimWorld;

  constructor(seed: number, logBytes = LOG_BYTES_MIN, inOrder = false, words = WORDS) {
    this.world = new SimWorld(new Random(seed), logBytes, words, inOrder);
    this.world.open();
  }

  /** All grains show `byte`, flushed. */
  volume(name: string, grains: number, byte: number): void {
    const { core } = this.world;
    this.world.run('create', core.createVolume({ name, sizeBytes: grains * BLOCK, grainBytes: BLOCK }));
    for (let grain = 0; grain < grains; grain++) this.write(name, grain, byte);
    this.flush(name);
  }

  snapshot(name: string, source: string): void {
    this.world.run(name, this.world.core.createSnapshots([{ name, source, copyRate: 0 }]));
  }

  /** An incremental one, as large as its source or larger. */
  clone(name: string, source: string, grains = 0): void {
    const request = { name, sizeBytes: grains * BLOCK, copyRate: 0, incremental: true };
    this.world.run(name, this.world.core.cloneVolume(source, request));
  }

  /** The copy gets all of what its source has. */
  copyAll(name: string): void {
    this.world.run('rate', this.world.core.setCopyRate(name, 150));
    this.awaitCopied(name);
  }

  awaitCopied(name: string): void {
    const { core, runner } = this.world;
    runner.runUntil(() => core['state'].findMapping(name).row.state === 'copied');
  }

  /** An incremental mapping, which is not started. */
  map(name: string, source: string, target: string): void {
    const request = { name, source, target, copyRate: 0, incremental: true };
    this.world.run('map', this.world.core.createMapping(request));
  }

  /** A plan for somebody who does not wait. */
  writing(name: string, grain: number, content: number | Uint8Array) {
    const bytes = typeof content === 'number' ? new Uint8Array(BLOCK).fill(content) : content;
    return this.world.core.write(this.found(name), grain * BLOCK, BLOCK, { bytes, address: 0 }, 0);
  }

  write(name: string, grain: number, content: number | Uint8Array): void {
    this.world.run('write', this.writing(name, grain, content));
  }

  read(name: string, grain: number): number {
    const block = { bytes: new Uint8Array(BLOCK), address: 0 };
    this.world.run('read', this.world.core.read(this.found(name), grain * BLOCK, BLOCK, block, 0));
    return block.bytes[0]!;
  }

  flush(name: string): void {
    this.world.run('flush', this.world.core.flush(this.found(name)));
  }

  /** Everything in the log is at its place, and nothing goes on. */
  awaitEmptyLog(): void {
    this.world.runner.runUntil(() => this.world.logIsEmpty);
    this.world.runner.runFor(100);
  }

  /** A checkpoint brings everything in the log to its place. */
  emptyLog(): void {
    this.world.checkpoint();
    this.awaitEmptyLog();
  }

  /** For a second time goes on in small steps, and does not jump to the end of what is slow. */
  tick(): void {
    const ticks = function* (): Plan<void> {
      for (let ms = 0; ms < 1000; ms++) yield op.sleep(1);
    };
    this.world.runner.spawn(ticks(), () => {});
  }

  /** A checkpoint that was begun is over. */
  awaitCheckpoint(): void {
    this.world.runner.runUntil(() => !this.world.core['checkpointing']);
  }

  /** The power goes, and the next engine opens the pool. */
  cutPower(): void {
    this.world.losePower();
    this.world.open();
  }

  found(name: string): Volume {
    return this.world.core.volumeByName(name) as Volume;
  }
}
