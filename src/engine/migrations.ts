/**
 * The formats that a pool's catalog has had, and how each is made from the one before.
 *
 * A migration's number is the format that it brings about; it is never changed or reused once released. Format 0 is an
 * empty file. All that a catalog lacks are run in one transaction together with the new number and the first commit, so a catalog
 * is always of one format, whatever happens meanwhile, and a start that is refused leaves it in its own. What is in other files goes over by itself: an engine reads what earlier formats
 * left there and writes the present one.
 */
import type { DatabaseSync } from 'node:sqlite';

export type Migration = {
  readonly format: number;
  readonly what: string;
  readonly run: (db: DatabaseSync) => void;
};

/** Oldest first. */
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
  {
    format: 2,
    what: 'records of the undo log say which pool they are of, and the row "engine" which of them must be there',
    run: () => undefined, // the rows are as they were; the engine adds to its own as it goes
  },
];

/** The format that these bring about. */
export const lastFormat = (migrations: readonly Migration[]): number => migrations.at(-1)!.format;

/** The format that this program reads and writes. */
export const FORMAT = lastFormat(MIGRATIONS);

/** Those that lead to that format: a catalog that has it is left in it. */
export const migrationsTo = (format = FORMAT): readonly Migration[] =>
  MIGRATIONS.filter((migration) => migration.format <= Math.max(format, 1));
