/**
 * The catalog's file as it is read: rows with their checksums, pages, format, WAL. Nothing here writes but `settleWal`.
 *
 * Each part of the file that means something has something that tells its damage: rows a checksum of their own, the tree
 * of pages SQLite's check, the WAL the checksums of its frames (sqlite-wal.ts). What is left is space not in use.
 */
import fs from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { EIO, ENOSPC, FlashCopyError, IoError } from '../base/errors.ts';
import { TABLES } from '../core/rows.ts';
import type { CatalogRow, DataThreadStart } from './messages.ts';
import { stateOfWal } from './sqlite-wal.ts';

// SQLite's result codes; the low byte of an extended code is the primary one.
const SQLITE_CORRUPT = 11;
export const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

type DamagedRow = DataThreadStart['damaged'][number];
type StoredRow = { tab: string; key: number; body: string; sum: number };

export type StoredRows = { rows: CatalogRow[]; damaged: DamagedRow[] };
/** What the catalog says of the pool as a whole. */
export type PoolMeta = { format: number; pool: string };

export function sumOf(table: string, key: number, body: string): number {
  return crc32(`${table}|${key}|${body}`);
}

/** A row is a JSON object; anything else is damage that the checksum did not see. */
function parsed(body: string): object | undefined {
  try {
    const row: unknown = JSON.parse(body);
    return typeof row === 'object' && row !== null ? row : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** SQLite's primary result code, undefined for what is not SQLite's error. */
export function primaryCode(error: unknown): number | undefined {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  return code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number' ? errcode & 0xff : undefined;
}

export function damaged(file: string, found: string): FlashCopyError {
  return new FlashCopyError(
    'Damaged',
    `The catalog ${file} is damaged: ${found}. Nothing was changed. Keep a copy of the whole pool directory, then put ` +
      `back ${path.basename(file)} from a backup of the same moment as the rest of the pool.`,
  );
}

/** Runs it with SQLite's errors turned into coded ones. */
export function told<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const code = primaryCode(error);
    if (code === undefined) throw error;
    const { message } = error as Error;
    if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB) throw damaged(file, message);
    if (code === SQLITE_FULL) throw new IoError(ENOSPC, 'opening', file);
    throw new FlashCopyError('IoError', `The catalog ${file} could not be read: ${message}.`, {
      cause: error,
    });
  }
}

export function meta(db: DatabaseSync, key: string): string | undefined {
  const row = db.prepare('SELECT value FROM meta WHERE key = ?').get(key);
  return row?.['value'] as string | undefined;
}

/** Of a catalog whose rows can be read. */
export const poolMeta = (db: DatabaseSync): PoolMeta => ({ format: formatOf(db), pool: meta(db, 'pool')! });

export function formatOf(db: DatabaseSync): number {
  const table = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get();
  return table === undefined ? 0 : Number(meta(db, 'format') ?? Number.NaN);
}

/**
 * Looks at the format through a connection that cannot write: not even the WAL of a newer program's catalog may be
 * carried into its file by one that does not know what it holds.
 */
export function refuseNewer(file: string, known: number): void {
  const format = lookAt(file, (db) => {
    const found = formatOf(db);
    if (found > 0) checkMeta(db, file);
    return found;
  });
  if (Number.isNaN(format)) throw damaged(file, 'it names no format');
  if (format > known) {
    throw new FlashCopyError(
      'PoolTooNew',
      `The catalog ${file} has format ${format}, and this program knows formats up to ${known}. It was left as it is. ` +
        'Use the release that wrote it, or a later one.',
    );
  }
}

const META_SUM = 'sum';
const metaSum = (db: DatabaseSync): string => String(crc32(`${meta(db, 'format')}|${meta(db, 'pool')}`));

/** Pools that were made before there was this checksum have none until they are opened. */
function checkMeta(db: DatabaseSync, file: string): void {
  const sum = meta(db, META_SUM);
  if (meta(db, 'pool') === undefined || (sum !== undefined && sum !== metaSum(db)))
    throw damaged(file, 'its format or the identity of the pool does not match its checksum');
}

export function putMetaSum(db: DatabaseSync): void {
  if (meta(db, META_SUM) === metaSum(db)) return;
  db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(META_SUM, metaSum(db));
}

/** Looks at the catalog without changing anything. Nobody else may have it open. */
export function lookAt<T>(file: string, look: (db: DatabaseSync) => T): T {
  const files = ['-wal', '-shm'].map((ending) => file + ending).filter((name) => !fs.existsSync(name));
  return told(file, () => {
    const db = new DatabaseSync(file, { readOnly: true });
    try {
      return look(db);
    } finally {
      db.close();
      // Reading makes these where they are missing; empty, they mean nothing.
      for (const name of files) fs.rmSync(name, { force: true });
    }
  });
}

/** SQLite takes the WAL of a database without pages for a leftover and deletes it, even when it is only to look. */
export function refuseLoneWal(file: string): void {
  const sizeOf = (name: string): number | undefined => fs.statSync(name, { throwIfNoEntry: false })?.size;
  const wal = `${file}-wal`;
  if (sizeOf(file) || !sizeOf(wal)) return;
  throw damaged(
    file,
    `it is ${fs.existsSync(file) ? 'empty' : 'missing'}, yet ${wal} is not, which may hold its last commits`,
  );
}

/** SQLite takes damage in its WAL for the WAL's end, and would go on without the commits behind it. Where the last one ends. */
export function refuseDamagedWal(file: string): number {
  const { damaged: place, end } = stateOfWal(`${file}-wal`);
  if (place === null) return end;
  throw damaged(file, `${path.basename(file)}-wal at byte ${place} is damaged, and commits follow that`);
}

const CHUNK = 1024 * 1024;

/**
 * A dead engine's last commits may be in the WAL and not on the disk: it was killed before their flush, or that failed, and the
 * kernel takes them for written (B3). They count from here on, so they are written once more and flushed. What is behind
 * their `end` never counted: it is cut off, before a next commit can be written over a part of it (sqlite-wal.ts).
 */
export function settleWal(file: string, end: number): void {
  const wal = `${file}-wal`;
  if (!fs.existsSync(wal)) return;
  let fd = -1;
  try {
    fd = fs.openSync(wal, 'r+');
    const bytes = Buffer.alloc(CHUNK);
    for (let at = 0; at < end; ) {
      const length = fs.readSync(fd, bytes, 0, Math.min(CHUNK, end - at), at);
      if (length === 0) break;
      for (let done = 0; done < length; ) done += fs.writeSync(fd, bytes, done, length - done, at + done);
      at += length;
    }
    fs.ftruncateSync(fd, end);
    fs.fsyncSync(fd);
  } catch (error) {
    throw new IoError(-((error as NodeJS.ErrnoException).errno ?? -EIO), 'write', wal);
  } finally {
    if (fd >= 0) fs.closeSync(fd);
  }
}

/** Every row, those apart whose checksum or JSON is wrong. */
export function rowsOf(db: DatabaseSync, file: string): StoredRows {
  const rows: CatalogRow[] = [];
  const damagedRows: DamagedRow[] = [];
  for (const stored of db.prepare('SELECT tab, key, body, sum FROM row').iterate()) {
    const { tab, key, body, sum } = stored as StoredRow;
    const row = sum === sumOf(tab, key, body) ? parsed(body) : undefined;
    if (row !== undefined) rows.push({ table: tab, key, row });
    else damagedRows.push(damagedRow(stored as StoredRow, file));
  }
  return { rows, damaged: damagedRows };
}

/**
 * A damaged row by what it is: where its table or key is what was damaged, the checksum tells which ones it had. One of
 * which that cannot be told may have been anybody's.
 */
function damagedRow(stored: StoredRow, file: string): DamagedRow {
  const { tab, key, body, sum } = stored;
  const id = (parsed(body) as { id?: unknown } | undefined)?.id;
  for (const table of new Set([tab, ...TABLES]))
    for (const at of [key, id])
      if (typeof at === 'number' && sumOf(table, at, body) === sum)
        return {
          table,
          key: at,
          error: `row ${table} ${at} of ${file} is damaged: it is stored as ${tab} ${key}`,
        };
  const error = `row ${tab} ${key} of ${file} is damaged: its content does not match its checksum`;
  if ((TABLES as readonly string[]).includes(tab)) return { table: tab, key, error };
  throw damaged(file, `${error}, and there is no table ${tab}`);
}

/**
 * Damage to the tree of pages could hide rows, which no checksum of a row can tell. So could rows out of order: what is
 * looked up by its key is then not found. (A "quick" check does not look at the order.)
 */
export function checkPages(db: DatabaseSync, file: string): void {
  const found = db.prepare('PRAGMA integrity_check(1)').get()?.['integrity_check'];
  if (found !== 'ok') throw damaged(file, String(found));
}
