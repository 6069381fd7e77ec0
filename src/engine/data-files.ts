/**
 * Whether the volumes' data files are what their rows say: there, a file, and as long as the volume.
 *
 * A longer one is no damage: a volume's file grows before its row does. A shorter one is: what it lacks would be read as
 * zeros, and nobody could tell them from the volume's own.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { VolumeRow } from '../core/rows.ts';
import { dataFile } from '../core/volume.ts';
import { fileSize } from '../core/volumes.ts';
import type { CatalogRow } from './messages.ts';

export type BadFile = { volume: number; error: string };

export function badDataFiles(poolDir: string, rows: CatalogRow[]): BadFile[] {
  return rows.flatMap(({ table, row }) => {
    if (table !== 'volume') return [];
    const volume = row as VolumeRow;
    const error = badDataFile(poolDir, volume);
    return error === null ? [] : [{ volume: volume.id, error }];
  });
}

/** What is wrong with it, or null. */
export function badDataFile(poolDir: string, row: VolumeRow): string | null {
  const file = dataFile(row.file).path;
  const stat = fs.lstatSync(path.join(poolDir, file), { throwIfNoEntry: false });
  if (stat === undefined) return `its data file ${file} is missing`;
  if (!stat.isFile()) return `its data file ${file} is not a file`;
  const bytes = fileSize(row.size, row.grain);
  if (stat.size >= bytes) return null;
  return `its data file ${file} ends at byte ${stat.size} and must have ${bytes}`;
}
