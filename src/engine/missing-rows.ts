/** Rows that others name and that are not there. In a catalog that is the whole truth there is none, but for those of epochs (orphans.ts). */
import type { EpochRow, MappingRow, VolumeRow } from '../core/rows.ts';
import type { CatalogRow } from './messages.ts';

/** By table and key. */
export function missingRows(rows: readonly CatalogRow[]): string[] {
  const [volumes, bitmaps] = [keysOf(rows, 'volume'), keysOf(rows, 'bitmap')];
  const missing = new Set<string>();
  const volume = (key: number | null): void => {
    if (key !== null && !volumes.has(key)) missing.add(`volume ${key}`);
  };
  const bitmap = (key: number | null): void => {
    if (key !== null && !bitmaps.has(key)) missing.add(`bitmap ${key}`);
  };
  for (const { table, row } of rows) {
    if (table === 'volume') {
      volume((row as VolumeRow).parent);
      bitmap((row as VolumeRow).held);
    } else if (table === 'mapping') {
      const { source, target, cut } = row as MappingRow;
      volume(target);
      // A copy that is whole may outlive its source.
      if (cut === 0) volume(source);
    } else if (table === 'epoch') {
      volume((row as EpochRow).volume);
      bitmap((row as EpochRow).bitmap);
    }
  }
  return [...missing];
}

function keysOf(rows: readonly CatalogRow[], of: string): Set<number> {
  const keys = new Set<number>();
  for (const { table, key } of rows) if (table === of) keys.add(key);
  return keys;
}
