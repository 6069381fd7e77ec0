/**
 * A core without FlashCopy: each volume is one file, read and written as it is. It stands in for the real one where
 * the ring, the driver, FUSE and the loop around them are under test or measured.
 *
 * Volumes are the files volumes/<id>.data that exist when it opens, and those that `createVolume` makes.
 */
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../../src/base/errors.ts';
import { type Block, op, type Plan, PoolFile } from '../../src/core/ops.ts';
import type { CoreLike, CoreParts } from '../../src/engine/data-loop.ts';

class PassThroughVolume {
  readonly id: number;
  readonly name: string;
  readonly readOnly: boolean;
  readonly file: PoolFile;
  sizeBytes: number;
  constructor(id: number, sizeBytes: number, readOnly: boolean) {
    this.id = id;
    this.name = `v${id}`;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
    this.file = new PoolFile(`volumes/${id}.data`);
  }
}

/** Volumes from here on are read-only. */
export const FIRST_READ_ONLY = 100;
/** A read or write of this volume fails with a bug. */
export const BUGGY_VOLUME = 66;

export class PassThroughCore implements CoreLike {
  private readonly volumes = new Map<number, PassThroughVolume>();
  private readonly poolDir: string;
  private readonly parts: CoreParts;

  constructor(parts: CoreParts, poolDir: string) {
    this.parts = parts;
    this.poolDir = poolDir;
  }

  *open(): Plan<void> {
    const dir = path.join(this.poolDir, 'volumes');
    for (const name of readdirSync(dir))
      this.add(Number.parseInt(name, 10), statSync(path.join(dir, name)).size);
    this.parts.words[0]!++;
  }

  *close(): Plan<void> {
    for (const volume of this.volumes.values()) yield op.flush(volume.file);
  }

  volumeById(id: number): PassThroughVolume | undefined {
    return this.volumes.get(id);
  }

  hostVolumes(): Iterable<PassThroughVolume> {
    return this.volumes.values();
  }

  *read(volume: PassThroughVolume, offset: number, length: number, block: Block, start: number): Plan<void> {
    if (volume.id === BUGGY_VOLUME) throw new TypeError('a bug in the core');
    yield op.read(volume.file, offset, length, block, start);
  }

  *write(volume: PassThroughVolume, offset: number, length: number, block: Block, start: number): Plan<void> {
    yield op.write(volume.file, offset, length, block, start);
  }

  *flush(volume: PassThroughVolume): Plan<void> {
    yield op.flush(volume.file);
  }

  *discard(volume: PassThroughVolume, offset: number, length: number): Plan<void> {
    yield op.punch(volume.file, offset, length);
  }

  *createVolume(request: { id: number; sizeBytes: number; thick?: boolean }): Plan<number> {
    const volume = new PassThroughVolume(request.id, request.sizeBytes, request.id >= FIRST_READ_ONLY);
    yield op.create(volume.file, request.sizeBytes, request.thick ?? false);
    yield op.commit([{ table: 'volume', key: request.id, row: { sizeBytes: request.sizeBytes } }]);
    this.volumes.set(volume.id, volume);
    return volume.id;
  }

  *growVolume(id: number, sizeBytes: number): Plan<void> {
    const volume = this.get(id);
    yield op.resize(volume.file, sizeBytes);
    volume.sizeBytes = sizeBytes;
  }

  *deleteVolume(id: number): Plan<void> {
    const volume = this.get(id);
    this.volumes.delete(id);
    yield op.remove(volume.file);
  }

  *counters(): Plan<number[]> {
    yield op.sleep(5);
    return [this.parts.words[0]!];
  }

  private add(id: number, sizeBytes: number): void {
    this.volumes.set(id, new PassThroughVolume(id, sizeBytes, id >= FIRST_READ_ONLY));
  }

  private get(id: number): PassThroughVolume {
    const volume = this.volumes.get(id);
    if (volume === undefined) throw new FlashCopyError('VolumeNotFound', `there is no volume ${id}`);
    return volume;
  }
}
