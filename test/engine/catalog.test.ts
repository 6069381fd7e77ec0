/** The catalog keeps its promises on a real file: durable, all or nothing, and never a guess about damage. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { FlashCopyError, IoError } from '../../src/base/errors.ts';
import { Catalog } from '../../src/engine/catalog.ts';
import { FORMAT } from '../../src/engine/migrations.ts';
import { RESERVE_BYTES } from '../../src/engine/reserve.ts';

const coded = (code: string, text: RegExp) => (error: unknown) =>
  error instanceof FlashCopyError && error.code === code && text.test(error.message);

type Meta = { value: string };

const volumes = (rows: object[]) => rows.map((row, i) => ({ table: 'volume', key: i + 1, row }));

describe('catalog', () => {
  let dir: string;
  let file: string;

  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-catalog-'));
    file = path.join(dir, 'catalog.db');
  });
  afterEach(() => fs.rmSync(dir, { recursive: true }));

  function sql(text: string): void {
    const db = new DatabaseSync(file);
    db.exec(text);
    db.close();
  }

  it('gives back what was committed, and the pool keeps its identity', () => {
    const first = Catalog.open(dir);
    first.commit(volumes([{ name: 'a' }, { name: 'b', sizes: [1, 2] }]));
    first.commit([
      { table: 'volume', key: 1, row: null },
      { table: 'volume', key: 2, row: { name: 'c' } },
      { table: 'mapping', key: 2, row: { text: 'ä|"' } },
    ]);
    first.close();
    assert.deepEqual(fs.readdirSync(dir).sort(), ['catalog.db', 'reserve']);

    const second = Catalog.open(dir);
    assert.equal(second.poolId, first.poolId);
    const { rows, damaged } = second.load();
    assert.deepEqual(damaged, []);
    assert.deepEqual(rows, [
      { table: 'mapping', key: 2, row: { text: 'ä|"' } },
      { table: 'volume', key: 2, row: { name: 'c' } },
    ]);
    second.close();
  });

  it('writes what a dead engine left in the WAL once more, and flushes it, before it counts', () => {
    const program = (...steps: string[]): string[] => {
      const url = new URL('../../src/engine/catalog.ts', import.meta.url);
      const opened = `const c = (await import('${url}')).Catalog.open('${dir}');`;
      return ['--input-type=module', '-e', [opened, ...steps].join('\n')];
    };
    const commit = `c.commit([{ table: 'volume', key: 1, row: { name: 'a' } }]);`;
    spawnSync(process.execPath, program(commit, `process.kill(process.pid, 'SIGKILL');`));
    const { size } = fs.statSync(`${file}-wal`);
    assert.ok(size > 0);
    const trace = path.join(dir, 'trace');
    const calls = 'trace=pwrite64,write,fsync,fdatasync';
    execFileSync('strace', ['-ff', '-qq', '-y', '-o', trace, '-e', calls, process.execPath, ...program()]);
    const texts = fs.globSync(`${trace}.*`).map((name) => fs.readFileSync(name, 'utf8'));
    const text = texts.find((one) => one.includes('catalog.db-wal>'))!;
    const ofPool = text.split('\n').filter((line) => /catalog\.db(-wal)?>/.test(line) && line.includes('('));
    assert.match(ofPool[0]!, new RegExp(`pwrite64\\(.*catalog.db-wal>, .*, ${size}, 0\\) = ${size}`));
    assert.match(ofPool[1]!, /fsync\(.*catalog.db-wal>/);
  });

  it('carries a long WAL into the file between commits, and in none', () => {
    const catalog = Catalog.open(dir);
    const before = fs.statSync(file).size;
    const commitMany = () => {
      for (let i = 0; i < 1000; i++) catalog.commit(volumes([{ name: `${i}`, text: 'x'.repeat(8000) }]));
    };
    commitMany();
    assert.equal(fs.statSync(file).size, before, 'all of it is in the WAL');
    catalog.tidy();
    assert.ok(fs.statSync(file).size > before);
    const wal = fs.statSync(`${file}-wal`).size;
    commitMany();
    assert.equal(fs.statSync(`${file}-wal`).size, wal, 'its space is used again');
    catalog.close();
    catalog.tidy(); // comes late: nothing to do
    const again = Catalog.open(dir);
    assert.deepEqual(
      again.load().rows.map(({ row }) => (row as { name: string }).name),
      ['999'],
    );
    again.close();
  });

  it('commits all changes or none', () => {
    const catalog = Catalog.open(dir);
    catalog.commit(volumes([{ name: 'a' }]));
    const circle: { self?: object } = {};
    circle.self = circle;
    assert.throws(() => catalog.commit(volumes([{ name: 'b' }, circle])), TypeError);
    assert.deepEqual(catalog.load().rows, volumes([{ name: 'a' }]));
    catalog.commit(volumes([{ name: 'c' }]));
    assert.deepEqual(catalog.load().rows, volumes([{ name: 'c' }]));
    catalog.close();
  });

  it('names damaged rows by table, key and file, and gives the others', () => {
    const catalog = Catalog.open(dir);
    catalog.commit(volumes([{ name: 'a' }, { name: 'b' }, { name: 'c' }]));
    catalog.close();
    sql(`UPDATE row SET body = replace(body, 'b', 'x') WHERE key = 2; UPDATE row SET key = 7 WHERE key = 3`);

    const again = Catalog.open(dir);
    const { rows, damaged } = again.load();
    again.close();
    assert.deepEqual(rows, volumes([{ name: 'a' }]));
    assert.deepEqual(
      damaged.map(({ table, key }) => [table, key]),
      [['volume', 2], ['volume', 7]],
    ); // biome-ignore format: two pairs
    assert.ok(damaged.every(({ table, key, error }) => error.includes(`${table} ${key} of ${file}`)));
  });

  it('refuses a newer format and leaves the files as they are, WAL included', () => {
    Catalog.open(dir).close();
    const writer = new DatabaseSync(file);
    const { value: pool } = writer.prepare(`SELECT value FROM meta WHERE key = 'pool'`).get() as Meta;
    const put = writer.prepare('UPDATE meta SET value = ? WHERE key = ?');
    writer.exec('BEGIN');
    put.run(String(FORMAT + 1), 'format');
    put.run(String(crc32(`${FORMAT + 1}|${pool}`)), 'sum');
    writer.exec('COMMIT');
    // What a killed writer leaves: the new format is in the WAL alone.
    const left = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-catalog-'));
    for (const name of ['catalog.db', 'catalog.db-wal'])
      fs.copyFileSync(path.join(dir, name), path.join(left, name));
    writer.close();
    try {
      const content = () =>
        fs.readdirSync(left).map((name) => [name, fs.readFileSync(path.join(left, name))]);
      const before = content();
      assert.throws(
        () => Catalog.open(left),
        coded(
          'PoolTooNew',
          new RegExp(`format ${FORMAT + 1}, and this program knows formats up to ${FORMAT}`),
        ),
      );
      assert.deepEqual(content(), before);
    } finally {
      fs.rmSync(left, { recursive: true });
    }
  });

  it('calls it damage when the format or the identity of the pool is another one', () => {
    Catalog.open(dir).close();
    for (const [key, value] of [
      ['format', '3'],
      ['pool', '00000000-0000-4000-8000-000000000000'],
    ]) {
      const reader = new DatabaseSync(file);
      const { value: before } = reader.prepare(`SELECT value FROM meta WHERE key = '${key}'`).get() as Meta;
      reader.close();
      sql(`UPDATE meta SET value = '${value}' WHERE key = '${key}'`);
      assert.throws(() => Catalog.open(dir), coded('Damaged', /format or the identity/));
      sql(`UPDATE meta SET value = '${before}' WHERE key = '${key}'`);
    }
    Catalog.open(dir).close();
  });

  it('knows a damaged row also where its table or its key is what was damaged', () => {
    const catalog = Catalog.open(dir);
    catalog.commit(volumes([{ id: 1 }, { id: 2 }, { id: 3 }]));
    catalog.close();
    sql(`UPDATE row SET tab = 'volumf' WHERE key = 1; UPDATE row SET key = 7 WHERE key = 3`);
    const again = Catalog.open(dir);
    const { damaged } = again.load();
    assert.deepEqual(
      damaged.map(({ table, key }) => `${table} ${key}`).sort(),
      ['volume 1', 'volume 3'],
    ); // biome-ignore format: two rows
    again.close();
    sql(`UPDATE row SET body = '{"id":9}' WHERE tab = 'volumf'`);
    const last = Catalog.open(dir);
    assert.throws(() => last.load(), coded('Damaged', /row volumf 1 .* there is no table/));
    last.close();
  });

  it('calls a file that is no database, or has bad pages, damaged', () => {
    fs.writeFileSync(file, 'no database'.repeat(1000));
    assert.throws(() => Catalog.open(dir), coded('Damaged', /catalog\.db is damaged.*backup/));

    fs.rmSync(file);
    const catalog = Catalog.open(dir);
    catalog.commit(volumes(Array.from({ length: 2000 }, (_, i) => ({ name: `volume-${i}` }))));
    catalog.close();
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, Buffer.alloc(4096, 0x5a), 0, 4096, 4 * 4096);
    fs.closeSync(fd);
    assert.throws(() => Catalog.open(dir), coded('Damaged', /catalog\.db is damaged/));
  });

  it('does not begin an empty catalog beside the data of volumes', () => {
    fs.mkdirSync(path.join(dir, 'volumes'));
    fs.writeFileSync(path.join(dir, 'volumes', '1.data'), '');
    assert.throws(
      () => Catalog.open(dir),
      coded('Damaged', /missing or empty, yet .*volumes holds the data of 1/),
    );
  });

  it('survives a kill at any time with every commit that returned', () => {
    const script = `
      import fs from 'node:fs';
      import { Catalog } from '${path.resolve('src/engine/catalog.ts')}';
      const catalog = Catalog.open('${dir}');
      for (let i = 1; ; i++) {
        catalog.commit([{ table: 't', key: 1, row: { i } }, { table: 't', key: i + 1, row: { i } }]);
        fs.writeSync(1, i + '\\n');
        if (i === 40) process.kill(process.pid, 'SIGKILL');
      }`;
    let told = '';
    try {
      execFileSync(process.execPath, ['--input-type=module', '-e', script], {
        encoding: 'utf8',
        stdio: 'pipe',
      });
    } catch (error) {
      told = (error as { stdout: string }).stdout;
    }
    assert.equal(told.trim().split('\n').at(-1), '40');
    const catalog = Catalog.open(dir);
    const { rows, damaged } = catalog.load();
    catalog.close();
    assert.deepEqual(damaged, []);
    assert.equal(rows.length, 41);
    assert.deepEqual(rows[0]!.row, { i: 40 });
  });

  describe('on a full filesystem', () => {
    const SIZE_MIB = 40;
    let mnt: string;

    before(function () {
      if (process.geteuid?.() !== 0) this.skip();
    });
    beforeEach(() => {
      mnt = path.join(dir, 'mnt');
      fs.mkdirSync(mnt);
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m`, 'flashcopy-test', mnt]);
    });
    afterEach(() => execFileSync('umount', [mnt]));

    const fill = () => {
      const fd = fs.openSync(path.join(mnt, 'filler'), 'a');
      try {
        for (;;) fs.writeSync(fd, Buffer.alloc(65536));
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
      } finally {
        fs.closeSync(fd);
      }
    };
    const big = { text: 'x'.repeat(1024 * 1024) };

    it('uses the reserve, then fails with ENOSPC and changes nothing, then works again when there is space', () => {
      const catalog = Catalog.open(mnt);
      // A pool so small that it had no space for a reserve gets one by hand.
      fs.writeFileSync(path.join(mnt, 'reserve'), Buffer.alloc(RESERVE_BYTES));
      catalog.commit(volumes([{ name: 'a' }]));
      fill();
      catalog.commit(volumes([big]));
      const left = fs.statSync(path.join(mnt, 'reserve')).size;
      assert.ok(
        left > 0 && left < RESERVE_BYTES,
        `${left} bytes of the reserve are left: it is used in pieces`,
      );

      fs.truncateSync(path.join(mnt, 'reserve'), 0);
      fill();
      const enospc = (error: unknown) =>
        error instanceof IoError && error.errno === 28 && error.code === 'OutOfSpace';
      assert.throws(() => catalog.commit([{ table: 'volume', key: 2, row: { ...big, more: big } }]), enospc);
      assert.deepEqual(catalog.load().rows, volumes([big]), 'nothing was changed');

      fs.rmSync(path.join(mnt, 'filler'));
      catalog.commit([{ table: 'volume', key: 2, row: { name: 'b' } }]);
      catalog.close();
      const again = Catalog.open(mnt);
      assert.deepEqual(again.load().rows, volumes([big, { name: 'b' }]));
      again.close();
    });
  });
});
