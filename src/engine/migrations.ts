/**
 * The formats that a pool's catalog has had, and how each is made from the one before.
 *
 * A migration's number is the format that it brings about; it is never changed or reused once released. Format 0 is an
 * empty file. All that a catalog lacks are run in one transaction together with the new number, so a catalog is always
 * of one format, whatever happens meanwhile.
 */
import type { DatabaseSync } from 'node:sqlite';

type Migration = { readonly format: number; readonly what: string; readonly run: (db: DatabaseSync) => void };

export const MIGRATIONS: readonly Migration[] = [
  {
    format: 1,
    what: 'rows with a checksum; the format and the identity of the pool',
    run: (db) =>
      db.exec(`
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE row (
          tab  TEXT    NOT NULL,
          key  INTEGER NOT NULL,
          body TEXT    NOT NULL,  -- JSON
          sum  INTEGER NOT NULL,  -- crc32 of tab|key|body
          PRIMARY KEY (tab, key)
        ) WITHOUT ROWID;
      `),
  },
];

/** The format that this program reads and writes. */
export const FORMAT = MIGRATIONS.at(-1)!.format;
