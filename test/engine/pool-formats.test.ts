/**
 * Pools across releases: one that an earlier release wrote is opened with all that it held, and one that a later release
 * wrote is refused and not touched.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { FlashCopyError } from '../../src/base/errors.ts';
import { formatOf, lookAt } from '../../src/engine/catalog-file.ts';
import { FORMAT, MIGRATIONS } from '../../src/engine/migrations.ts';
import { bytesOf, checkContent, days, fixtures, SECTOR, textsOf, unpacked } from '../support/format-pools.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';

describe('A pool of another release', () => {
  let dir: string;
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-formats-'));
  });
  afterEach(() => fs.rmSync(dir, { recursive: true }));

  it('has a fixture for every format there was', () => {
    const found = fs.readdirSync(fixtures).sort();
    const wanted = MIGRATIONS.flatMap(({ format }) => [
      `format-${format}-closed.tar.gz`,
      `format-${format}-crashed.tar.gz`,
    ]);
    assert.deepEqual(found, wanted);
  });

  for (const { format } of MIGRATIONS) {
    for (const end of ['closed', 'crashed']) {
      it(`of format ${format}, ${end}, is opened with all that it held, goes on, and is opened again`, () => {
        const place = unpacked(dir, `format-${format}-${end}`);
        const first = PoolOnFiles.open(place);
        checkContent(first);
        first.run(first.core.syncMapping('m'));
        first.write('data', 0, first.read('other', 0, SECTOR));
        first.close();
        const second = PoolOnFiles.open(place);
        assert.equal(textsOf(second, 'data').get(0), 'other');
        assert.deepEqual(textsOf(second, 'copy'), days(['tuesday', 4], ['wednesday', 8], ['monday', 20]));
        assert.deepEqual(textsOf(second, 'monday'), days(['monday', 32]));
        second.close();
      });
    }
  }

  it('is refused when its catalog is newer, and not touched', () => {
    const place = unpacked(dir, 'format-1-closed');
    const db = new DatabaseSync(path.join(place, 'catalog.db'));
    const { value: pool } = db.prepare(`SELECT value FROM meta WHERE key = 'pool'`).get() as {
      value: string;
    };
    const put = db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
    put.run('format', String(FORMAT + 1));
    put.run('sum', String(crc32(`${FORMAT + 1}|${pool}`)));
    db.close();
    const before = bytesOf(place);
    assert.throws(() => PoolOnFiles.open(place), { code: 'PoolTooNew', message: /catalog\.db/ });
    assert.deepEqual(bytesOf(place), before);
  });

  it('is refused when a bitmap file is newer, and not touched', () => {
    const place = unpacked(dir, 'format-1-closed');
    PoolOnFiles.open(place).close(); // what an opening adds is there
    const bitmaps = path.join(place, 'bitmaps');
    const name = fs.readdirSync(bitmaps)[0]!;
    const bytes = fs.readFileSync(path.join(bitmaps, name));
    raiseVersion(bytes, 2, bytes.readUInt32LE(44));
    fs.writeFileSync(path.join(bitmaps, name), bytes);
    const before = bytesOf(place);
    assert.throws(() => PoolOnFiles.open(place), {
      code: 'PoolTooNew',
      message: new RegExp(`bitmaps/${name} has format version 2`),
    });
    assert.deepEqual(bytesOf(place), before);
  });

  const newerData = (): [file: string, bytes: Buffer] => ['volumes/99999.data', Buffer.alloc(SECTOR, 1)];
  const newerBitmap = (place: string): [file: string, bytes: Buffer] => {
    const file = `bitmaps/${fs.readdirSync(path.join(place, 'bitmaps'))[0]!}`;
    const bytes = fs.readFileSync(path.join(place, file));
    raiseVersion(bytes, 2, bytes.readUInt32LE(44));
    return [file, bytes];
  };
  const newerRecord = (place: string): [file: string, bytes: Buffer] => {
    const bytes = fs.readFileSync(path.join(place, 'log'));
    const at = bytes.indexOf('GLCF', 0, 'latin1');
    raiseVersion(bytes.subarray(at), 3, bytes.readUInt32LE(at + 12));
    return ['log', bytes];
  };

  it('keeps its format when its start is refused: the release that wrote it goes on when the cause is away', () => {
    for (const [end, wound] of [
      ['closed', newerData],
      ['crashed', newerData],
      ['closed', newerBitmap],
      ['crashed', newerRecord],
    ] as const) {
      const place = unpacked(dir, `format-1-${end}`);
      const [name, bytes] = wound(place);
      const file = path.join(place, name);
      const before = fs.existsSync(file) ? fs.readFileSync(file) : undefined;
      fs.writeFileSync(file, bytes);
      for (let tries = 0; tries < 2; tries++) assert.throws(() => PoolOnFiles.open(place), FlashCopyError);
      assert.equal(lookAt(path.join(place, 'catalog.db'), formatOf), 1, wound.name);
      if (before === undefined) fs.rmSync(file);
      else fs.writeFileSync(file, before);
      const again = PoolOnFiles.open(place, MIGRATIONS.slice(0, 1));
      checkContent(again);
      again.close();
      fs.rmSync(place, { recursive: true });
    }
  });

  it('is refused when a record of its undo log is newer, and neither log nor bitmaps nor data are touched', () => {
    const place = unpacked(dir, 'format-1-crashed');
    const log = path.join(place, 'log');
    const bytes = fs.readFileSync(log);
    const at = bytes.indexOf('GLCF', 0, 'latin1');
    assert.equal(at % SECTOR, 0, 'there is a record');
    raiseVersion(bytes.subarray(at), 3, bytes.readUInt32LE(at + 12));
    fs.writeFileSync(log, bytes);
    const withoutCatalog = () => [...bytesOf(place)].filter(([name]) => !/^(catalog|reserve)/.test(name));
    const before = withoutCatalog();
    assert.throws(() => PoolOnFiles.open(place), { code: 'PoolTooNew', message: /undo log .* version 3/ });
    assert.deepEqual(withoutCatalog(), before);
  });
});

/** As a later release would write it: with another version and a good checksum of its directory or header. */
function raiseVersion(bytes: Buffer, version: number, blocks: number): void {
  bytes.writeUInt32LE(version, 4);
  bytes.writeUInt32LE(0, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, blocks * SECTOR)), 8);
}
