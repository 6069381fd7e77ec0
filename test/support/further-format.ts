/**
 * A release that is one format further: its migration rewrites every row and adds a table of some pages, so that it
 * has a long transaction to be cut off in. Run as a program with a pool directory it opens the catalog as an engine does, and commits.
 */
import { writeSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { Catalog } from '../../src/engine/catalog.ts';
import { sumOf } from '../../src/engine/catalog-file.ts';
import { FORMAT, MIGRATIONS, type Migration } from '../../src/engine/migrations.ts';

export const NOTES = 60;

function run(db: DatabaseSync): void {
  const put = db.prepare('UPDATE row SET body = ?, sum = ? WHERE tab = ? AND key = ?');
  for (const { tab, key, body } of db.prepare('SELECT tab, key, body FROM row').all()) {
    const further = JSON.stringify({ ...JSON.parse(body as string), further: true });
    put.run(further, sumOf(tab as string, key as number, further), tab!, key!);
  }
  db.exec('CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)');
  const note = db.prepare('INSERT INTO note (id, text) VALUES (?, ?)');
  for (let id = 1; id <= NOTES; id++) note.run(id, 'x'.repeat(3000));
}

export const FURTHER: readonly Migration[] = [...MIGRATIONS, { format: FORMAT + 1, what: 'further', run }];

if (import.meta.main) {
  const catalog = Catalog.open(process.argv[2]!, FURTHER);
  catalog.commit([]);
  writeSync(1, 'opened');
  catalog.close();
}
