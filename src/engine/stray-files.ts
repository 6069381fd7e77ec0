/**
 * Files below volumes/ and bitmaps/ that no row of the catalog names: a process died after it had made a file and before
 * the commit that names it, or after a commit and before it had removed what that gave up. They only take space, and
 * are removed when the pool is opened, or repaired.
 *
 * Nothing is removed where the catalog may not be the whole truth. It is, if all of this holds:
 *   - no row is damaged, and every row is there that another one names
 *   - every file that a row names is there, and is what that row says
 *   - no file is newer than the catalog, or may be because it cannot be read
 * and if nothing is found wrong with what is in the bitmaps and in the undo log. That has to be seen by whoever reads
 * these: the core when it opens the pool, or the check.
 */
import fs from 'node:fs';
import path from 'node:path';
import { bitmapFile, isLaterFormat } from '../core/bitmap-file.ts';
import type { BitmapRow, EngineRow, VolumeRow } from '../core/rows.ts';
import { dataFile } from '../core/volume.ts';
import type { StoredRows } from './catalog-file.ts';
import { type BadFile, DATA_FILE, isNewerData } from './data-files.ts';
import { missingRows } from './missing-rows.ts';
import { BITMAP_FILE, type LaterGeneration, laterGenerations } from './older-catalog.ts';

const HEAD_BYTES = 16;
const OLDER = 'the catalog is older than it';

/** By its path below the pool. */
export const isPoolFile = (file: string): boolean => DATA_FILE.test(file) || BITMAP_FILE.test(file);

type NewerFile = { file: string; why: string };

/** Paths below the pool. `newer`, `later`: than the catalog. Files that are no pool's are in none. */
export type FileComparison = {
  strays: string[];
  newer: NewerFile[];
  later: LaterGeneration[];
  missing: string[];
};

export function compareFiles(poolDir: string, stored: StoredRows): FileComparison {
  const engine = stored.rows.find(({ table }) => table === 'engine')?.row as EngineRow | undefined;
  const nextId = engine?.nextId ?? 1;
  const there = new Set(['volumes', 'bitmaps'].flatMap((below) => filesBelow(poolDir, below)));
  const named = namedFiles(stored);
  const unnamed = [...there].filter((file) => !named.has(file));
  const newer = unnamed.flatMap((file) => {
    const why = whyNewer(poolDir, file, nextId);
    return why === null ? [] : [{ file, why }];
  });
  const later = laterGenerations(unnamed, there, stored.rows);
  const isNewer = new Set([...newer, ...later].map(({ file }) => file));
  return {
    strays: unnamed.filter((file) => !isNewer.has(file)),
    newer,
    later,
    missing: [...named].filter((file) => !there.has(file)),
  };
}

/** As far as rows and files tell. What is stray may be removed then, if bitmaps and undo log are found whole. */
export const isWholeTruth = (
  { rows, damaged }: StoredRows,
  { newer, later, missing }: FileComparison,
  badFiles: readonly BadFile[],
): boolean =>
  [damaged, newer, later, missing, badFiles, missingRows(rows)].every((found) => found.length === 0);

/** All files of a bitmap. */
export const generationsOf = (poolDir: string, bitmap: number): string[] =>
  filesBelow(poolDir, 'bitmaps').filter((file) => BITMAP_FILE.exec(file)?.[1] === String(bitmap));

function filesBelow(poolDir: string, below: string): string[] {
  const dir = path.join(poolDir, below);
  if (!fs.existsSync(dir)) return [];
  const files = fs.readdirSync(dir).map((name) => `${below}/${name}`);
  return files.filter(isPoolFile);
}

function namedFiles({ rows }: StoredRows): Set<string> {
  const named = new Set<string>();
  for (const { table, row } of rows) {
    if (table === 'volume') named.add(dataFile((row as VolumeRow).file).path);
    if (table !== 'bitmap') continue;
    const { id, gen } = row as BitmapRow;
    if (gen > 0) named.add(bitmapFile(id, gen).path);
  }
  return named;
}

/** A volume's file is made before the commit that gives out its number, and holds nothing then; a bitmap's is made after. */
function whyNewer(poolDir: string, file: string, nextId: number): string | null {
  const bitmap = BITMAP_FILE.exec(file)?.[1];
  const isNewer = bitmap === undefined ? isNewerData(poolDir, file, nextId) : Number(bitmap) >= nextId;
  if (isNewer) return `${OLDER}: its number was not given out yet`;
  if (bitmap === undefined) return null;
  try {
    return isLaterFormat(headOf(path.join(poolDir, file)))
      ? `${OLDER}: only a later release writes such a one`
      : null;
  } catch {
    return 'it cannot be read: the catalog may be older than it';
  }
}

function headOf(file: string): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  const fd = fs.openSync(file, 'r');
  try {
    fs.readSync(fd, head);
    return head;
  } finally {
    fs.closeSync(fd);
  }
}
