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
import fs from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../base/errors.ts';
import { PUT_CATALOG_BACK } from '../core/recovery-log.ts';
import type { BitmapRow, EngineRow } from '../core/rows.ts';
import { isNewerData } from './data-files.ts';
import type { CatalogRow } from './messages.ts';

export const BITMAP_FILE = /^bitmaps\/(\d+)\.(\d+)$/;

/** `gen`: the one that the catalog names. */
export type LaterGeneration = { file: string; gen: number };

export function refuseOlderCatalog(poolDir: string, rows: CatalogRow[]): void {
  const engine = rows.find(({ table }) => table === 'engine')?.row as EngineRow | undefined;
  const nextId = engine?.nextId ?? 1;
  const data = namesIn(poolDir, 'volumes').find((file) => isNewerData(poolDir, file, nextId));
  if (data !== undefined)
    refuse(poolDir, `${data}, which holds data under a number that the catalog has not given out yet`);
  const [later] = laterGenerations(namesIn(poolDir, 'bitmaps'), rows);
  if (later !== undefined) refuse(poolDir, `${later.file}: it names generation ${later.gen} of that bitmap`);
}

function refuse(poolDir: string, what: string): void {
  throw new FlashCopyError(
    'Damaged',
    `The catalog ${path.join(poolDir, 'catalog.db')} is older than ${what}. Nothing was changed. ${PUT_CATALOG_BACK} ` +
      '"flashcopy check" tells more.',
  );
}

/** Of the files, by their paths below the pool, those that are later than the rows can be. */
export function laterGenerations(files: Iterable<string>, rows: readonly CatalogRow[]): LaterGeneration[] {
  const generations = new Map<number, number[]>();
  for (const file of files) {
    const [, id, gen] = BITMAP_FILE.exec(file) ?? [];
    if (id !== undefined) generations.set(Number(id), [...(generations.get(Number(id)) ?? []), Number(gen)]);
  }
  return rows.flatMap(({ table, row }) => {
    if (table !== 'bitmap') return [];
    const { id, gen } = row as BitmapRow;
    const found = generations.get(id) ?? [];
    const latest = Math.max(0, ...found);
    const isGone = gen > 0 && !found.includes(gen);
    return latest > (isGone ? gen : gen + 1) ? [{ file: `bitmaps/${id}.${latest}`, gen }] : [];
  });
}

function namesIn(poolDir: string, below: string): string[] {
  const dir = path.join(poolDir, below);
  return fs.existsSync(dir) ? fs.readdirSync(dir).map((name) => `${below}/${name}`) : [];
}
