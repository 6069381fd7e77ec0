/**
 * Carries out the repairs of findings.
 *
 *   1. a log, if one is needed: it takes its name when it is whole; one that is given up is kept as log.given-up, beside
 *      those that were before
 *   2. one transaction for all rows
 *   3. files that nobody names any more go
 *   4. the reserve
 *
 * Each step is whole or not begun, and each leaves a pool in which the next check finds what is still to be done.
 */
import fs from 'node:fs';
import path from 'node:path';
import { log } from '../../base/log.ts';
import { SLOT } from '../../core/log-record.ts';
import type { RowChange } from '../../core/ops.ts';
import type { EngineRow } from '../../core/rows.ts';
import { Catalog } from '../catalog.ts';
import { FORMAT, migrationsTo } from '../migrations.ts';
import { writeLog } from '../pool.ts';
import { Reserve } from '../reserve.ts';
import { type Finding, GIVEN_UP, type Repairs } from './findings.ts';
import type { PoolImage } from './pool-image.ts';

export function repair(image: PoolImage, findings: readonly Finding[]): void {
  const rows = new Map<string, RowChange>();
  const remove = new Set<string>();
  let logBytes = 0;
  let isGivenUp = false;
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
    giveUpLog: (bytes) => {
      logBytes = bytes;
      isGivenUp = true;
    },
  };
  for (const f of findings) f.repair?.(asked);
  // Two findings may ask for the same.
  for (const row of asked.rows) rows.set(`${row.table} ${row.key}`, row);
  for (const file of asked.remove) remove.add(file);

  // The catalog has to know it before there is a log that could be taken for a whole one.
  if (isGivenUp) {
    // In the present format: releases of an earlier one do not know what the catalog says of it, and would serve holes.
    commit(image, { ...givenUp(image, logBytes), nextId }, [...rows.values()], FORMAT);
    keepAside(image.dir);
  }
  if (logBytes > 0) writeLog(image.dir, logBytes);
  if (rows.size > 0 && !isGivenUp)
    commit(image, image.engine && { ...image.engine, nextId }, [...rows.values()]);
  for (const file of remove) fs.rmSync(path.join(image.dir, file), { force: true });
  if (reserve) new Reserve(image.dir).restore();
  log.info('pool repaired', { pool: image.dir, rows: rows.size, removed: [...remove], logBytes, reserve });
}

/** There must be a record where none will be: no engine takes the new log for a whole one. */
const givenUp = (image: PoolImage, bytes: number): EngineRow => ({
  ...image.engine!,
  tailWritten: true,
  logSlots: bytes / SLOT,
});

function keepAside(dir: string): void {
  const file = path.join(dir, 'log');
  if (!fs.existsSync(file)) return;
  let aside = GIVEN_UP;
  for (let n = 2; fs.existsSync(path.join(dir, aside)); n++) aside = `${GIVEN_UP}.${n}`;
  fs.renameSync(file, path.join(dir, aside));
}

/** In the format that the pool has, if none is asked for. */
function commit(
  image: PoolImage,
  engine: EngineRow | undefined,
  rows: RowChange[],
  format = image.meta?.format,
): void {
  const catalog = Catalog.open(image.dir, migrationsTo(format));
  try {
    catalog.commit([...rows, ...(engine ? [{ table: 'engine', key: 1, row: engine }] : [])]);
  } finally {
    catalog.close();
  }
}
