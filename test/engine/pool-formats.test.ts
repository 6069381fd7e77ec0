/**
 * Pools across releases: one that an earlier release wrote is opened with all that it held, and one that a later release
 * wrote is refused and not touched.
 *
 * The fixtures were written by the release that had each format; they are never made again. Closed: as after SIGTERM.
 * Crashed: as after a power loss, with commits in the WAL and old grains in the undo log only.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { FORMAT, MIGRATIONS } from '../../src/engine/migrations.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';

const fixtures = path.resolve(import.meta.dirname, '../fixtures');
const SECTOR = 4096;
const GRAIN = 64 * 1024;

function unpacked(dir: string, name: string): string {
  const pool = path.join(dir, name);
  fs.mkdirSync(pool);
  execFileSync('tar', ['-xzf', path.join(fixtures, `${name}.tar.gz`), '-C', pool]);
  return pool;
}

/** The text of each sector of the volume that is not zeros. */
function textsOf(pool: PoolOnFiles, name: string): Map<number, string> {
  const { sizeBytes } = pool.volume(name);
  const texts = new Map<number, string>();
  for (let at = 0; at < sizeBytes; at += SECTOR) {
    const bytes = pool.read(name, at, SECTOR);
    if (bytes.every((byte) => byte === 0)) continue;
    const text = bytes.toString('latin1').split('\n')[0]!;
    const whole = Buffer.alloc(SECTOR);
    whole.fill(`${text}\n`);
    // In a grain of many sectors a line may go across their border.
    if (at % GRAIN === 0 || name.startsWith('large') === false)
      assert.ok(whole.equals(bytes), `${name} at ${at}`);
    texts.set(at, text);
  }
  return texts;
}

/** What the 32 sectors of `data` that were written say: the first `days[i][1]` of them ... */
function days(...parts: [text: string, count: number][]): Map<number, string> {
  const texts = parts.flatMap(([text, count]) => Array.from({ length: count }, () => text));
  return new Map(texts.map((text, i) => [i * 2 * SECTOR, text]));
}

function checkContent(pool: PoolOnFiles): void {
  assert.deepEqual(textsOf(pool, 'monday'), days(['monday', 32]));
  assert.deepEqual(textsOf(pool, 'tuesday'), days(['tuesday', 8], ['monday', 24]));
  assert.deepEqual(textsOf(pool, 'copy'), days(['tuesday', 8], ['monday', 24]));
  assert.deepEqual(textsOf(pool, 'data'), days(['tuesday', 4], ['wednesday', 8], ['monday', 20]));
  assert.deepEqual(textsOf(pool, 'other'), new Map([[0, 'other']]));
  assert.equal(textsOf(pool, 'large').get(GRAIN), 'wednesday');
  assert.equal(textsOf(pool, 'large-monday').get(GRAIN), undefined);
  assert.equal(textsOf(pool, 'large-monday').get(0), 'large');
  const volumes = pool.run(pool.core.listVolumes());
  assert.deepEqual(
    volumes.filter(({ state }) => state !== 'online'),
    [],
  );
  assert.deepEqual(volumes.find(({ name }) => name === 'large')!.labels, { a: 'b' });
  const mapping = pool.run(pool.core.getMapping('m'));
  const { state, incremental, copyRate, changedBytes } = mapping;
  assert.deepEqual({ state, incremental, copyRate }, { state: 'copied', incremental: true, copyRate: 150 });
  // After a power loss whole regions count as changed.
  assert.ok(changedBytes >= 8 * SECTOR, `${changedBytes} bytes changed`);
}

/** Every file's bytes. */
function bytesOf(pool: string): Map<string, string> {
  const names = fs.readdirSync(pool, { recursive: true, encoding: 'utf8' }).sort();
  const files = names.filter((name) => fs.statSync(path.join(pool, name)).isFile());
  return new Map(files.map((name) => [name, fs.readFileSync(path.join(pool, name)).toString('base64')]));
}

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
    raiseVersion(bytes, bytes.readUInt32LE(44));
    fs.writeFileSync(path.join(bitmaps, name), bytes);
    const before = bytesOf(place);
    assert.throws(() => PoolOnFiles.open(place), {
      code: 'PoolTooNew',
      message: new RegExp(`bitmaps/${name} has format version 2`),
    });
    assert.deepEqual(bytesOf(place), before);
  });

  it('is refused when a record of its undo log is newer, and neither log nor bitmaps nor data are touched', () => {
    const place = unpacked(dir, 'format-1-crashed');
    const log = path.join(place, 'log');
    const bytes = fs.readFileSync(log);
    const at = bytes.indexOf('GLCF', 0, 'latin1');
    assert.equal(at % SECTOR, 0, 'there is a record');
    raiseVersion(bytes.subarray(at), bytes.readUInt32LE(at + 12));
    fs.writeFileSync(log, bytes);
    const withoutCatalog = () => [...bytesOf(place)].filter(([name]) => !/^(catalog|reserve)/.test(name));
    const before = withoutCatalog();
    assert.throws(() => PoolOnFiles.open(place), { code: 'PoolTooNew', message: /undo log .* version 2/ });
    assert.deepEqual(withoutCatalog(), before);
  });
});

/** As a later release would write it: with another version and a good checksum of its directory or header. */
function raiseVersion(bytes: Buffer, blocks: number): void {
  bytes.writeUInt32LE(2, 4);
  bytes.writeUInt32LE(0, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, blocks * SECTOR)), 8);
}
