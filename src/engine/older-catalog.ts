/**
 * A catalog that is older than the files of its pool: a copy that was put back, or one that has lost its WAL. It would show other
 * content than there is, and what it does not name would be taken for nobody's. So the pool is refused.
 *
 *   data      is written to a file only after the commit that made it a volume's: one whose number was never given out has none,
 *             but zeros. A catalog without a row has given out none
 *   bitmaps   a generation is written when the one before is in the catalog, and that goes when the new one is. So beside
 *             the one that the catalog names there may be the next, and none but the next; and where it is gone, there is no later one
 *
 * The undo log tells the same of itself (log-scan.ts).
 */
import path from 'node:path';
import { FlashCopyError } from '../base/errors.ts';
import { bitmapFile } from '../core/bitmap-file.ts';
import { PUT_CATALOG_BACK } from '../core/recovery-log.ts';
import type { BitmapRow } from '../core/rows.ts';
import { DATA_FILE } from './data-files.ts';
import type { CatalogRow } from './messages.ts';

export const BITMAP_FILE = /^bitmaps\/(\d+)\.(\d+)$/;

/** `gen`: the one that the catalog names. */
export type LaterGeneration = { file: string; gen: number };

/** By what was found (stray-files.ts). */
export function refuseOlderCatalog(
  poolDir: string,
  { newer, later: [later] }: { newer: readonly { file: string }[]; later: readonly LaterGeneration[] },
): void {
  const data = newer.find(({ file }) => DATA_FILE.test(file));
  if (data !== undefined)
    refuse(poolDir, `${data.file}, which holds data under a number that the catalog has not given out yet`);
  if (later !== undefined) refuse(poolDir, `${later.file}: it names generation ${later.gen} of that bitmap`);
}

function refuse(poolDir: string, what: string): void {
  throw new FlashCopyError(
    'Damaged',
    `The catalog ${path.join(poolDir, 'catalog.db')} is older than ${what}. Nothing was changed. ${PUT_CATALOG_BACK} ` +
      '"flashcopy check" tells more.',
  );
}

/** Of the files that no row names, by their paths below the pool, those that are later than the rows can be. `there`: all files. */
export function laterGenerations(
  unnamed: Iterable<string>,
  there: { has: (file: string) => boolean },
  rows: readonly CatalogRow[],
): LaterGeneration[] {
  const latest = new Map<number, number>();
  for (const file of unnamed) {
    const [, id, gen] = BITMAP_FILE.exec(file) ?? [];
    if (id !== undefined) latest.set(Number(id), Math.max(Number(gen), latest.get(Number(id)) ?? 0));
  }
  const later: LaterGeneration[] = [];
  for (const { table, row } of rows) {
    const { id, gen } = row as BitmapRow;
    const found = table === 'bitmap' ? latest.get(id) : undefined;
    if (found === undefined) continue;
    const isGone = gen > 0 && !there.has(bitmapFile(id, gen).path);
    if (found > (isGone ? gen : gen + 1)) later.push({ file: bitmapFile(id, found).path, gen });
  }
  return later;
}
