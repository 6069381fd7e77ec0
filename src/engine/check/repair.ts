/**
 * Carries out the repairs of findings.
 *
 *   1. a log, if one is needed: it takes its name when it is whole
 *   2. one transaction for all rows
 *   3. files that nobody names any more go
 *   4. the reserve
 *
 * Each step is whole or not begun, and each leaves a pool in which the next check finds what is still to be done.
 */
import fs from 'node:fs';
import path from 'node:path';
import { log } from '../../base/log.ts';
import type { RowChange } from '../../core/ops.ts';
import { Catalog } from '../catalog.ts';
import { writeLog } from '../pool.ts';
import { Reserve } from '../reserve.ts';
import type { Finding, Repairs } from './findings.ts';
import type { PoolImage } from './pool-image.ts';

export function repair(image: PoolImage, findings: readonly Finding[]): void {
  const rows = new Map<string, RowChange>();
  const remove = new Set<string>();
  let logBytes = 0;
  let reserve = false;
  let nextId = image.engine?.nextId ?? 1;
  const asked: Repairs = {
    rows: [],
    remove: [],
    newId: () => nextId++,
    makeReserve: () => {
      reserve = true;
    },
    makeLog: (bytes) => {
      logBytes = bytes;
    },
  };
  for (const f of findings) f.repair?.(asked);
  // Two findings may ask for the same.
  for (const row of asked.rows) rows.set(`${row.table} ${row.key}`, row);
  for (const file of asked.remove) remove.add(file);

  if (logBytes > 0) writeLog(image.dir, logBytes);
  if (rows.size > 0) commit(image, [...rows.values()], nextId);
  for (const file of remove) fs.rmSync(path.join(image.dir, file), { force: true });
  if (reserve) new Reserve(image.dir).restore();
  log.info('pool repaired', { pool: image.dir, rows: rows.size, removed: [...remove], logBytes, reserve });
}

function commit(image: PoolImage, rows: RowChange[], nextId: number): void {
  const catalog = Catalog.open(image.dir);
  try {
    const engine = image.engine === undefined ? [] : [{ ...image.engine, nextId }];
    catalog.commit([...rows, ...engine.map((row) => ({ table: 'engine', key: 1, row }))]);
  } finally {
    catalog.close();
  }
}
