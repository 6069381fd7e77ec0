/** A pool's rows as they were found, and who reads through whom. Nothing here is trusted to be consistent. */
import type { BitmapRow, EngineRow, EpochRow, MappingRow, VolumeRow } from '../../core/rows.ts';
import type { PoolMeta, StoredRows } from '../catalog-file.ts';
import { type BadFile, badDataFiles } from '../data-files.ts';
import { missingRows } from '../missing-rows.ts';
import { compareFiles, type FileComparison } from '../stray-files.ts';

export class PoolImage {
  readonly dir: string;
  readonly stored: StoredRows;
  /** Undefined: the catalog cannot be read. */
  readonly meta: PoolMeta | undefined;
  readonly volumes = new Map<number, VolumeRow>();
  readonly mappings = new Map<number, MappingRow>();
  readonly epochs = new Map<number, EpochRow>();
  readonly bitmaps = new Map<number, BitmapRow>();
  readonly engine: EngineRow | undefined;
  /** Volumes that hold everything, though they have a parent: they read nothing there. */
  readonly full = new Set<number>();
  /** The first id that was not given out yet; undefined: that cannot be known. */
  readonly nextId: number | undefined;
  /** Every row is what it was, and none is missing but those that epochs name: a row that no row names is nobody's. */
  readonly whole: boolean;
  /** Bitmap files that were found missing or damaged. */
  readonly badBitmaps = new Set<string>();
  #files: FileComparison | undefined;
  #badFiles: BadFile[] | undefined;

  constructor(dir: string, stored: StoredRows, meta: PoolMeta | undefined) {
    const readable = meta !== undefined;
    this.meta = meta;
    this.dir = dir;
    this.stored = stored;
    const tables: Record<string, Map<number, unknown>> = {
      volume: this.volumes,
      mapping: this.mappings,
      epoch: this.epochs,
      bitmap: this.bitmaps,
    };
    for (const { table, key, row } of stored.rows) {
      if (table === 'engine') this.engine = row as EngineRow;
      else tables[table]?.set(key, row);
    }
    const isNew = readable && stored.rows.length === 0 && stored.damaged.length === 0;
    this.nextId = this.engine?.nextId ?? (isNew ? 1 : undefined);
    const missing = missingRows(stored.rows.filter(({ table }) => table !== 'epoch'));
    this.whole = readable && stored.damaged.length === 0 && missing.length === 0 && this.nextId !== undefined;
  }

  /** Its files beside what the rows name. They are looked at once: a repair looks at another image. */
  get files(): FileComparison {
    this.#files ??= compareFiles(this.dir, this.stored);
    return this.#files;
  }

  /** Data files that are not what the rows say; looked at once. */
  get badFiles(): BadFile[] {
    this.#badFiles ??= badDataFiles(this.dir, this.stored.rows);
    return this.#badFiles;
  }

  grains(volume: VolumeRow): number {
    return Math.ceil(volume.size / volume.grain);
  }

  /** The volume and all that read through it. */
  withReaders(volume: VolumeRow): string[] {
    const found = new Set([volume]);
    for (const v of found)
      for (const reader of this.volumes.values())
        if (reader.parent === v.id && !this.full.has(reader.id)) found.add(reader);
    return [...found].map((v) => v.name);
  }

  readersOfMissing(id: number): string[] {
    const readers = [...this.volumes.values()].filter((v) => v.parent === id && !this.full.has(v.id));
    return [...new Set(readers.flatMap((v) => this.withReaders(v)))];
  }

  epochsOf(volume: VolumeRow): EpochRow[] {
    return [...this.epochs.values()].filter((e) => e.volume === volume.id);
  }

  mappingTo(target: VolumeRow): MappingRow | undefined {
    return [...this.mappings.values()].find((m) => m.target === target.id);
  }

  /** The volume whose FC bitmap it is. */
  holderOf(bitmap: number): VolumeRow | undefined {
    return [...this.volumes.values()].find((v) => v.held === bitmap);
  }

  epochWith(bitmap: number): EpochRow | undefined {
    return [...this.epochs.values()].find((e) => e.bitmap === bitmap);
  }
}
