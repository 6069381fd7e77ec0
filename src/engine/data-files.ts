/**
 * Whether the volumes' data files are what their rows say: there, a file, that very one, and as long as the volume.
 *
 * A longer one is no damage: a volume's file grows before its row does, and by a byte for a moment when it is first opened
 * (fence.ts). A shorter one is: what it lacks would be read as zeros, and nobody could tell them from the volume's own.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { VolumeRow } from '../core/rows.ts';
import type { FoundBefore } from '../core/scrub-calls.ts';
import { dataFile, fileSize } from '../core/volume.ts';
import { SEEK_DATA, seek } from '../sys/libc.ts';
import type { Catalog } from './catalog.ts';
import { markOf } from './file-marks.ts';
import type { CatalogRow } from './messages.ts';

export type BadFile = { volume: number; error: string };

export const DATA_FILE = /^volumes\/(\d+)\.data$/;

const CHUNK_BYTES = 1024 * 1024;

/** Whether it is a data file that holds data, and has a number from there on. */
export function isNewerData(poolDir: string, file: string, nextId: number): boolean {
  const number = DATA_FILE.exec(file)?.[1];
  return number !== undefined && Number(number) >= nextId && holdsData(path.join(poolDir, file));
}

/**
 * Zeros are none. Space that was allocated and never written is data to the kernel as soon as somebody has read it, and a copy
 * of it may have them really. Bytes that cannot be read count as data: somebody has written them.
 */
function holdsData(file: string): boolean {
  const fd = fs.openSync(file, 'r');
  try {
    const [bytes, zeros] = [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)];
    for (let at = seek(fd, 0, SEEK_DATA, file); at >= 0; at = seek(fd, at, SEEK_DATA, file)) {
      const length = fs.readSync(fd, bytes, 0, CHUNK_BYTES, at);
      if (bytes.compare(zeros, 0, length, 0, length) !== 0) return true;
      at += length;
    }
    return false;
  } catch {
    return true;
  } finally {
    fs.closeSync(fd);
  }
}

export function badDataFiles(poolDir: string, rows: CatalogRow[]): BadFile[] {
  return rows.flatMap(({ table, row }) => {
    if (table !== 'volume') return [];
    const volume = row as VolumeRow;
    const error = badDataFile(poolDir, volume);
    return error === null ? [] : [{ volume: volume.id, error }];
  });
}

/** What is wrong with it, or null. */
function badDataFile(poolDir: string, row: VolumeRow): string | null {
  const file = dataFile(row.file).path;
  const stat = fs.lstatSync(path.join(poolDir, file), { throwIfNoEntry: false });
  if (stat === undefined) return `its data file ${file} is missing`;
  if (!stat.isFile()) return `its data file ${file} is not a file`;
  const mark = markOf(path.join(poolDir, file));
  if (mark !== null && mark !== file)
    return `its data file ${file} is ${mark} by its mark: it has a wrong name`;
  const bytes = fileSize(row);
  if (stat.size >= bytes) return null;
  return `its data file ${file} ends at byte ${stat.size} and must have ${bytes}`;
}

/** What a scrub begins with: the catalog read from the disk again, and the sizes of all data files. */
export function damageOf(catalog: Catalog, poolDir: string): FoundBefore[] {
  const wrong = catalog.verify();
  if (wrong !== null) return [{ volume: '', file: 'catalog.db', offset: null, what: wrong }];
  const { rows } = catalog.load();
  const names = new Map(rows.filter((r) => r.table === 'volume').map((r) => [r.key, r.row as VolumeRow]));
  return badDataFiles(poolDir, rows).map(({ volume, error }) => {
    const row = names.get(volume)!;
    return { volumeId: volume, volume: row.name, file: dataFile(row.file).path, offset: null, what: error };
  });
}
