/**
 * Files below volumes/ and bitmaps/ that no row of the catalog names: a process died after it had made a file and before
 * the commit that names it, or after a commit and before it had removed what that gave up. They only take space, and
 * are removed when the pool is opened, before anything uses it.
 *
 * Nothing is removed where the catalog may not be the whole truth: with a row that is damaged, without a file that a row
 * names, or beside a file that is newer than the catalog.
 */
import fs from 'node:fs';
import path from 'node:path';
import { log } from '../base/log.ts';
import { bitmapFile } from '../core/bitmap-file.ts';
import type { BitmapRow, EngineRow, VolumeRow } from '../core/rows.ts';
import { dataFile } from '../core/volume.ts';
import type { StoredRows } from './catalog-file.ts';
import { DATA_FILE, isNewerData } from './data-files.ts';

const BITMAP_FILE = /^bitmaps\/(\d+)\.\d+$/;

/** By its path below the pool. */
export const isPoolFile = (file: string): boolean => DATA_FILE.test(file) || BITMAP_FILE.test(file);

/** Paths below the pool. `newer`: with a number that the catalog has not given out. Files that are no pool's are in none. */
export type FileComparison = { strays: string[]; newer: string[]; missing: string[] };

/** `nextId`: the first number that was not given out. */
export function compareFiles(poolDir: string, stored: StoredRows, nextId: number): FileComparison {
  const there = new Set(['volumes', 'bitmaps'].flatMap((below) => filesBelow(poolDir, below)));
  const named = namedFiles(stored);
  const unnamed = [...there].filter((file) => !named.has(file));
  const newer = unnamed.filter((file) => isNewer(poolDir, file, nextId));
  return {
    strays: unnamed.filter((file) => !newer.includes(file)),
    newer,
    missing: [...named].filter((file) => !there.has(file)),
  };
}

/** The caller has the pool's lock, and nobody uses the pool. */
export function removeStrayFiles(poolDir: string, stored: StoredRows): void {
  const engine = stored.rows.find(({ table }) => table === 'engine')?.row as EngineRow | undefined;
  if (stored.damaged.length > 0 || engine === undefined) return;
  const { strays, newer, missing } = compareFiles(poolDir, stored, engine.nextId);
  if (newer.length > 0 || missing.length > 0) return;
  for (const file of strays) remove(poolDir, file);
}

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
function isNewer(poolDir: string, file: string, nextId: number): boolean {
  const bitmap = BITMAP_FILE.exec(file)?.[1];
  return bitmap === undefined ? isNewerData(poolDir, file, nextId) : Number(bitmap) >= nextId;
}

function remove(poolDir: string, file: string): void {
  try {
    fs.rmSync(path.join(poolDir, file), { force: true });
    log.info('a file that a former engine has left, and nobody needs, is removed', { file });
  } catch (error) {
    log.warn('a file that nobody needs could not be removed', { file, error: (error as Error).message });
  }
}
