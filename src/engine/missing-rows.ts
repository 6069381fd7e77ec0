/** Rows that others name and that are not there. In a catalog that is the whole truth there is none, but for those of epochs (orphans.ts). */
import type { EpochRow, MappingRow, VolumeRow } from '../core/rows.ts';
import type { CatalogRow } from './messages.ts';

/** By table and key. */
export function missingRows(rows: readonly CatalogRow[]): string[] {
  const there = new Set(rows.map(({ table, key }) => `${table} ${key}`));
  return [...new Set(rows.flatMap(namedBy))].filter((name) => !there.has(name));
}

/** A copy that is whole may outlive its source. */
function namedBy({ table, row }: CatalogRow): string[] {
  if (table === 'volume') {
    const { parent, held } = row as VolumeRow;
    return [...(parent === null ? [] : [`volume ${parent}`]), ...(held === null ? [] : [`bitmap ${held}`])];
  }
  if (table === 'mapping') {
    const { source, target, cut } = row as MappingRow;
    return [`volume ${target}`, ...(cut === 0 ? [`volume ${source}`] : [])];
  }
  if (table !== 'epoch') return [];
  const { volume, bitmap } = row as EpochRow;
  return [`volume ${volume}`, `bitmap ${bitmap}`];
}
