/** What a pool's files say, looked at before the core opens it. */
import { randomInt } from 'node:crypto';
import type { Catalog } from './catalog.ts';
import { badDataFiles } from './data-files.ts';
import { markLog } from './log-mark.ts';
import type { DataThreadStart } from './messages.ts';
import { refuseOlderCatalog } from './older-catalog.ts';
import { compareFiles, isWholeTruth } from './stray-files.ts';

/** Removes nothing: the pool may still be refused. Damaged: the catalog does not belong to these files. The caller has the pool's lock. */
export function readPool(
  poolDir: string,
  catalog: Catalog,
): Pick<DataThreadStart, 'rows' | 'damaged' | 'badFiles' | 'strays' | 'pool' | 'mark' | 'memoryId'> {
  const stored = catalog.load();
  const files = compareFiles(poolDir, stored);
  refuseOlderCatalog(poolDir, files);
  const badFiles = badDataFiles(poolDir, stored.rows);
  const isNew = stored.rows.length === 0 && stored.damaged.length === 0;
  // What lies beside a catalog without a row cannot be its leftover.
  const strays = !isNew && isWholeTruth(stored, files, badFiles) ? files.strays : [];
  const { poolId: pool } = catalog;
  const memoryId = randomInt(1, 2 ** 32);
  return { ...stored, badFiles, strays, pool, memoryId, ...(isNew && { mark: markLog(poolDir, pool) }) };
}
