/** A pool's files that no row names: removed when it is opened, where the catalog is surely the whole truth. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { FlashCopyError } from '../../src/base/errors.ts';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { strayFiles } from '../support/leftovers.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';
import { closedPool, crashedPool } from '../support/sound-pool.ts';

describe('Files of a pool that no row names', () => {
  let top: string;
  let dir: string;
  beforeEach(() => {
    top = fs.mkdtempSync('/dev/shm/flashcopy-strays-');
    dir = path.join(top, 'pool');
    closedPool(dir);
  });
  afterEach(() => fs.rmSync(top, { recursive: true }));

  const put = (name: string, content = '') => fs.writeFileSync(path.join(dir, name), content);
  const there = (name: string) => fs.existsSync(path.join(dir, name));
  const openAndClose = () => PoolOnFiles.open(dir).close();
  /** Its number was given out, to something else. */
  function unusedDataFile(): string {
    for (let n = 1; ; n++) if (!there(`volumes/${n}.data`)) return `volumes/${n}.data`;
  }

  it('are removed when it is opened: what a death has left', () => {
    put('bitmaps/1.999', 'a generation that no commit names');
    put(unusedDataFile(), 'of a volume that is gone');
    put('volumes/999999.data'); // made, and its commit never came
    openAndClose();
    assert.deepEqual(strayFiles(dir), []);
  });

  it('are told from the others in one look at the folders', () => {
    const { readdirSync } = fs;
    const looks: string[] = [];
    fs.readdirSync = ((at: string, ...rest: []) => {
      looks.push(path.relative(dir, at));
      return readdirSync(at, ...rest);
    }) as typeof readdirSync;
    try {
      openAndClose();
    } finally {
      fs.readdirSync = readdirSync;
    }
    assert.deepEqual(looks.sort(), ['bitmaps', 'volumes']);
  });

  it('stay where they are if they are none of a pool', () => {
    put('volumes/notes.txt', 'mine');
    openAndClose();
    assert.ok(there('volumes/notes.txt'));
  });

  it('stay, beside a file that a row names and that is not there', () => {
    fs.rmSync(path.join(dir, 'bitmaps', fs.readdirSync(path.join(dir, 'bitmaps'))[0]!));
    put('bitmaps/1.999', 'it may be what is missing');
    openAndClose();
    assert.ok(there('bitmaps/1.999'));
    const { repaired } = checkPool(dir, { repair: true });
    assert.ok(there('bitmaps/1.999'), `also after a repair of ${repaired.length} findings`);
  });

  it('stay, beside a bitmap with a number that the catalog has not given out: it is an old copy', () => {
    put('bitmaps/1.999', 'of a catalog that was lost');
    put('bitmaps/999999.1', 'of a catalog that was lost');
    openAndClose();
    assert.ok(there('bitmaps/1.999') && there('bitmaps/999999.1'));
    const { findings } = checkPool(dir, { repair: true });
    assert.deepEqual(findings.map(({ file }) => file).sort(), ['bitmaps/1.999', 'bitmaps/999999.1']);
    assert.ok(there('bitmaps/1.999') && there('bitmaps/999999.1'));
  });

  const sql = (text: string, ...values: (string | number)[]) => {
    const db = new DatabaseSync(path.join(dir, 'catalog.db'));
    try {
      return db.prepare(text).all(...values) as { key: number; body: string }[];
    } finally {
      db.close();
    }
  };
  const volumeRow = (name: string) =>
    sql(`SELECT key, body FROM row WHERE tab = 'volume' AND body LIKE ?`, `%"name":"${name}"%`)[0]!;
  const filesThere = () => ['volumes', 'bitmaps'].flatMap((below) => fs.readdirSync(path.join(dir, below)));
  /** Of the engine, of the check; again, because the first one may have changed what the second one finds. */
  const twice = [
    ['a start', () => [openAndClose(), openAndClose()]],
    ['a repair', () => [checkPool(dir, { repair: true }), checkPool(dir, { repair: true })]],
  ] as const;

  for (const [what, happens] of twice) {
    it(`stay at ${what} where a row is missing that others name, with the bitmaps that were its`, () => {
      for (const name of ['data', 'data-monday', 'large', 'copy']) {
        fs.rmSync(dir, { recursive: true });
        closedPool(dir);
        sql(`DELETE FROM row WHERE tab = 'volume' AND key = ?`, volumeRow(name).key);
        const before = filesThere();
        happens();
        const after = filesThere();
        // A closed engine writes a bitmap anew.
        const kept = (file: string) => after.some((name) => name.split('.')[0] === file.split('.')[0]);
        assert.deepEqual(
          before.filter((file) => !kept(file)),
          [],
          name,
        );
      }
    });

    it(`stay at ${what} where a bitmap cannot be read`, () => {
      const [file] = fs.readdirSync(path.join(dir, 'bitmaps'));
      put(`bitmaps/${file}`, 'no bitmap');
      put(unusedDataFile(), 'whose?');
      const before = fs.readdirSync(path.join(dir, 'volumes'));
      if (what === 'a start') openAndClose();
      else checkPool(dir, { repair: true });
      assert.deepEqual(fs.readdirSync(path.join(dir, 'volumes')), before);
    });

    it(`stay at ${what} beside a bitmap that only a later release writes`, () => {
      const [file] = fs.readdirSync(path.join(dir, 'bitmaps'));
      const bytes = fs.readFileSync(path.join(dir, 'bitmaps', file!));
      bytes.writeUInt32LE(2, 4);
      fs.writeFileSync(path.join(dir, 'bitmaps/1.1'), bytes);
      put(unusedDataFile(), 'whose?');
      const before = fs.readdirSync(path.join(dir, 'volumes'));
      happens();
      assert.ok(there('bitmaps/1.1'));
      assert.deepEqual(fs.readdirSync(path.join(dir, 'volumes')), before);
    });

    it(`stay at ${what} beside a bitmap that no row names and that cannot be read`, () => {
      fs.mkdirSync(path.join(dir, 'bitmaps/1.999'));
      const stray = unusedDataFile();
      put(stray, 'whose?');
      happens();
      assert.ok(there('bitmaps/1.999') && there(stray));
      const told = checkPool(dir).findings.find(({ file }) => file === 'bitmaps/1.999');
      assert.match(told!.what, /cannot be read/);
    });

    it(`stay at ${what} where a record of the undo log is missing`, () => {
      fs.rmSync(dir, { recursive: true });
      crashedPool(dir);
      const { tailSlot } = JSON.parse(sql(`SELECT key, body FROM row WHERE tab = 'engine'`)[0]!.body);
      const fd = fs.openSync(path.join(dir, 'log'), 'r+');
      fs.writeSync(fd, Buffer.alloc(4096), 0, 4096, tailSlot * 4096);
      fs.closeSync(fd);
      const stray = unusedDataFile();
      put(stray, 'whose?');
      if (what === 'a start') PoolOnFiles.open(dir).abandon();
      else checkPool(dir, { repair: true });
      assert.ok(there(stray));
    });
  }

  it('stay where the pool is refused', () => {
    const stray = unusedDataFile();
    put(stray, 'whose?');
    fs.truncateSync(path.join(dir, 'log'), fs.statSync(path.join(dir, 'log')).size - 4096);
    assert.throws(openAndClose, { code: 'Damaged', message: /Nothing was changed/ });
    assert.ok(there(stray));
  });

  it('and hold data, where the catalog has no row at all: the pool is refused, and the check says why', () => {
    const empty = path.join(top, 'empty');
    fs.mkdirSync(empty);
    PoolOnFiles.open(empty).abandon();
    fs.rmSync(path.join(dir, 'catalog.db'));
    fs.copyFileSync(path.join(empty, 'catalog.db'), path.join(dir, 'catalog.db'));
    assert.throws(openAndClose, (error) => error instanceof FlashCopyError && error.code === 'Damaged');
    const { findings, repaired } = checkPool(dir, { repair: true });
    assert.ok(findings.some(({ what }) => what.includes('the catalog is older')));
    assert.deepEqual(repaired, []);
  });
});
