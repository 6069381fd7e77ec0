/** The catalog's WAL: what deaths and power cuts leave of it, and what becomes of it where the catalog's file is gone. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Catalog } from '../../src/engine/catalog.ts';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { openPool } from '../../src/engine/pool.ts';

const FRAME = 24 + 4096;
const SECTOR = 512;

const volume = (id: number, bytes = 10) => ({
  table: 'volume',
  key: id,
  row: { id, name: 'x'.repeat(bytes) },
});

describe("The catalog's WAL", function () {
  this.timeout(60_000);
  let dir: string;
  let file: string;
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-wal-'));
    file = path.join(dir, 'catalog.db');
  });
  afterEach(() => fs.rmSync(dir, { recursive: true }));

  type Left = { db: Buffer; wal: Buffer };
  /** What an engine that is killed now leaves. */
  const left = (): Left => ({ db: fs.readFileSync(file), wal: fs.readFileSync(`${file}-wal`) });
  function put({ db, wal }: Left): void {
    fs.writeFileSync(file, db);
    fs.writeFileSync(`${file}-wal`, wal);
  }
  const keys = (catalog: Catalog): number[] => catalog.load().rows.map(({ key }) => key);

  it('may be torn in the first commit after a death amid a longer one', () => {
    const first = Catalog.open(dir);
    first.commit([volume(1)]);
    const before = left().wal.length;
    first.commit(Array.from({ length: 40 }, (_, i) => volume(100 + i, 900)));
    const longer = left();
    first.close();
    assert.ok(longer.wal.length > before + 4 * FRAME);
    for (let end = before; end < longer.wal.length; end += FRAME) {
      put({ db: longer.db, wal: longer.wal.subarray(0, end) });
      const second = Catalog.open(dir);
      const opened = left();
      assert.deepEqual(keys(second), [1]);
      second.commit([volume(2)]);
      const committed = left();
      second.close();
      // Its first sectors are on the disk, the others are not.
      for (let cut = before; cut < committed.wal.length; cut += 3 * SECTOR) {
        put({
          db: opened.db,
          wal: Buffer.concat([committed.wal.subarray(0, cut), opened.wal.subarray(cut)]),
        });
        const third = Catalog.open(dir);
        assert.deepEqual(keys(third).slice(0, 1), [1]);
        third.close();
      }
    }
  });

  const GONE = /catalog\.db is damaged: it is (missing|empty), yet .*catalog\.db-wal/;
  const asked: Record<string, (dir: string) => void> = {
    'a start': (pool) => assert.throws(() => Catalog.open(pool), GONE),
    'the start of an engine': (pool) => assert.throws(() => openPool(pool), GONE),
    'a check': (pool) => assert.match(checkPool(pool, { repair: true }).findings[0]!.what, GONE),
  };
  for (const [who, ask] of Object.entries(asked))
    for (const how of ['missing', 'empty'])
      it(`is left alone by ${who} while the catalog's file is ${how}, and holds its commits when that is back`, function () {
        if (who === 'the start of an engine' && process.geteuid?.() !== 0) this.skip();
        const first = Catalog.open(dir);
        first.commit([volume(1)]);
        const killed = left();
        first.close();
        put(killed);
        fs.mkdirSync(path.join(dir, 'volumes'));
        fs.writeFileSync(path.join(dir, 'log'), '');
        if (how === 'empty') fs.truncateSync(file);
        else fs.rmSync(file);
        ask(dir);
        assert.deepEqual(fs.readFileSync(`${file}-wal`), killed.wal);
        fs.writeFileSync(file, killed.db);
        const again = Catalog.open(dir);
        assert.deepEqual(keys(again), [1]);
        again.close();
      });
});
