/** What a check finds in a pool, what a repair does about it, and that neither makes anything worse. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { type CheckReport, checkPool } from '../../src/engine/check/check-pool.ts';
import { lockPool } from '../../src/engine/pool-lock.ts';
import { run } from '../support/commands.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';
import {
  type Contents,
  closedPool,
  contentsOf,
  copyPool,
  crashedPool,
  filesOf,
  type SoundPool,
} from '../support/sound-pool.ts';

const MEMORY = '/dev/shm';

describe('The check of a pool', () => {
  let top: string;
  let closed: SoundPool;
  let crashed: SoundPool;
  let dir: string;

  before(() => {
    top = fs.mkdtempSync(path.join(MEMORY, 'flashcopy-check-'));
    closed = closedPool(path.join(top, 'closed'));
    crashed = crashedPool(path.join(top, 'crashed'));
    for (const { dir } of [closed, crashed]) checkPool(dir, { repair: true }); // the reserve
  });
  after(() => fs.rmSync(top, { recursive: true }));
  beforeEach(() => {
    dir = path.join(top, 'pool');
  });
  afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

  const use = (pool: SoundPool): void => copyPool(pool.dir, dir);
  const at = (name: string): string => path.join(dir, name);

  function sql<Row>(text: string): Row[] {
    const db = new DatabaseSync(at('catalog.db'));
    try {
      return db.prepare(text).all() as Row[];
    } finally {
      db.close();
    }
  }
  const row = <Row extends object>(table: string, where: string): Row & { id: number } => {
    const [found] = sql<{ body: string }>(
      `SELECT body FROM row WHERE tab = '${table}' AND body LIKE '%${where}%'`,
    );
    assert.ok(found, `there is a ${table} with ${where}`);
    return JSON.parse(found.body);
  };
  const volume = (name: string) =>
    row<{ file: number; held: number; epoch: number }>('volume', `"name":"${name}"`);
  const bitmapFileOf = (id: number): string =>
    `bitmaps/${fs.readdirSync(at('bitmaps')).find((name) => name.startsWith(`${id}.`))}`;
  /** The file of the oldest record of changes of a volume. */
  const recordOf = (name: string): string => {
    const { id } = volume(name);
    const epochs = sql<{ body: string }>(`SELECT body FROM row WHERE tab = 'epoch'`).map(({ body }) =>
      JSON.parse(body),
    );
    const files = fs.readdirSync(at('bitmaps'));
    const bitmaps = epochs
      .filter((e) => e.volume === id)
      .map((e) => files.find((f) => f.startsWith(`${e.bitmap}.`)));
    return `bitmaps/${bitmaps.find((name) => name !== undefined)}`;
  };

  function flip(name: string, offset: number): void {
    const bytes = fs.readFileSync(at(name));
    bytes[offset < 0 ? bytes.length + offset : offset]! ^= 0x10;
    fs.writeFileSync(at(name), bytes);
  }

  /** Looks, and sees that looking changed nothing. */
  function look(): CheckReport {
    const bytes = () => filesOf(dir).map((name) => [name, crc32(fs.readFileSync(at(name)))]);
    fs.writeFileSync(at('engine.lock'), '');
    const before = bytes();
    const report = checkPool(dir);
    fs.writeFileSync(at('engine.lock'), '');
    assert.deepEqual(bytes(), before);
    return report;
  }

  /** Looks, repairs, and repairs again, which finds nothing to do. */
  function repaired(left = 0): CheckReport {
    look();
    const report = checkPool(dir, { repair: true });
    assert.equal(report.findings.length, left, JSON.stringify(report.findings, null, 1));
    const again = checkPool(dir, { repair: true });
    assert.deepEqual([again.findings.length, again.repaired.length], [left, 0]);
    return report;
  }

  /** Opens it: every volume but these shows what it has to. */
  function served(contents: Contents, without: string[] = []): void {
    const pool = PoolOnFiles.open(dir);
    const states = new Map(pool.run(pool.core.listVolumes()).map((v) => [v.name, v]));
    for (const [name, content] of contents) {
      if (without.includes(name)) assert.notEqual(states.get(name)?.state ?? 'gone', 'online', name);
      else {
        assert.equal(states.get(name)?.state, 'online', `${name}: ${states.get(name)?.error}`);
        assert.ok(pool.read(name, 0, content.length).equals(content), `${name} shows what it has to`);
      }
    }
    pool.close();
  }

  /** Syncs, and sees that the copy is what its source is. */
  function syncs(): void {
    const pool = PoolOnFiles.open(dir);
    pool.run(pool.core.syncMapping('m'));
    const now = contentsOf(pool);
    assert.ok(now.get('copy')!.equals(now.get('data')!));
    pool.close();
  }

  it('finds nothing in a sound pool, closed or not, and changes nothing', () => {
    for (const pool of [closed, crashed]) {
      use(pool);
      const report = look();
      assert.deepEqual(report.findings, []);
      assert.deepEqual([report.volumes, report.snapshots, report.mappings], [6, 4, 6]);
      assert.equal(report.logRecords > 0, pool === crashed);
      assert.equal(report.notes.length > 0, pool === crashed);
      served(pool.contents);
      assert.deepEqual(look().findings, []);
      fs.rmSync(dir, { recursive: true });
    }
  });

  it('refuses a pool that an engine has, and names it; and a directory that is no pool', () => {
    use(closed);
    const lock = lockPool(dir);
    lock.name([process.pid]);
    assert.throws(() => checkPool(dir), {
      code: 'PoolLocked',
      message: new RegExp(`in use by the engine with pid ${process.pid}`),
    });
    lock.release();
    fs.mkdirSync(at('empty'));
    assert.throws(() => checkPool(at('empty')), { code: 'PoolUnsuitable' });
    assert.deepEqual(fs.readdirSync(at('empty')), []);
  });

  it('removes files that are nobody’s, and leaves those that are no pool’s or may be a volume’s', () => {
    use(closed);
    const { nextId } = row<{ nextId: number }>('engine', 'nextId');
    const stray = `volumes/${row('mapping', '"name":"m"').id}.data`;
    for (const name of [stray, `volumes/${nextId}.data`, 'bitmaps/7.99', 'log.new', 'bitmaps/notes.txt'])
      fs.writeFileSync(at(name), 'some data');
    fs.writeFileSync(at(`volumes/${nextId + 1}.data`), '');
    const strays = ['bitmaps/7.99', stray, `volumes/${nextId + 1}.data`];
    const first = repaired(5);
    assert.deepEqual(
      first.repaired.map((f) => f.file),
      ['log.new'],
    );
    assert.deepEqual(
      first.findings.map((f) => f.file).sort(),
      [...strays, 'bitmaps/notes.txt', `volumes/${nextId}.data`].sort(),
      'beside one that is newer than the catalog the others may be somebody’s too',
    );
    // Whose it is, somebody has to find out before an engine takes the number for something new.
    assert.throws(() => PoolOnFiles.open(dir), {
      code: 'Damaged',
      message: /catalog\.db is older than volumes/,
    });
    fs.rmSync(at(`volumes/${nextId}.data`));
    const second = repaired(1);
    assert.deepEqual(second.repaired.map((f) => f.file).sort(), strays.sort());
    assert.deepEqual(
      second.findings.map((f) => f.file),
      ['bitmaps/notes.txt'],
    );
    served(closed.contents);
  });

  it('drops rows that are nobody’s', () => {
    use(closed);
    const put = (table: string, id: number, body: string) =>
      sql(`INSERT INTO row VALUES ('${table}', ${id}, '${body}', ${crc32(`${table}|${id}|${body}`)})`);
    put('bitmap', 2, '{"id":2,"bits":5,"gen":0,"patch":[],"preset":[]}');
    put('epoch', 3, '{"id":3,"volume":9999,"seq":1,"bitmap":2}');
    assert.equal(repaired().repaired.length, 2, 'the bitmap has an owner until the epoch is gone');
    served(closed.contents);
  });

  it('makes a lost reserve again', () => {
    use(closed);
    fs.truncateSync(at('reserve'), 4096);
    assert.deepEqual(
      repaired().repaired.map((f) => f.file),
      ['reserve'],
    );
  });

  it('turns a damaged record of changes into "all of it changed", and the volume is served again', () => {
    use(closed);
    const file = recordOf('data');
    flip(file, -1);
    served(closed.contents, ['data']);
    const [found] = look().findings;
    assert.equal(found!.file, file);
    assert.deepEqual(found!.volumes, ['data']);
    assert.ok(found!.offset! >= 4096);
    repaired();
    served(closed.contents);
    syncs();
  });

  it('does so where the file of the record is missing, or its row is damaged', () => {
    use(closed);
    fs.rmSync(at(recordOf('data')));
    repaired();
    served(closed.contents);
    const [, id] = /(\d+)\./.exec(recordOf('copy'))!;
    sql(`UPDATE row SET body = replace(body, 'gen', 'gem') WHERE tab = 'bitmap' AND key = ${id}`);
    assert.match(look().findings[0]!.what, new RegExp(`row bitmap ${id} .* is damaged`));
    repaired();
    served(closed.contents);
    syncs();
  });

  it('does so everywhere where the row of an epoch is damaged, also the open one', () => {
    use(closed);
    const { id, epoch } = volume('data');
    sql(`UPDATE row SET sum = 1 WHERE tab = 'epoch' AND body LIKE '%"volume":${id},"seq":${epoch},%'`);
    // Of the others every record is there.
    served(closed.contents, ['data']);
    repaired();
    served(closed.contents);
    syncs();
  });

  it('keeps a damaged FC bitmap as it is, says whom it concerns and what can be done', () => {
    use(closed);
    const file = bitmapFileOf(volume('data-tuesday').held);
    const before = fs.readFileSync(at(file));
    flip(file, 4096 + 17);
    const { findings } = repaired(1);
    assert.equal(findings[0]!.file, file);
    assert.equal(findings[0]!.offset, 4096);
    assert.deepEqual(findings[0]!.volumes.sort(), ['clone', 'data-monday', 'data-tuesday']);
    assert.match(findings[0]!.remedy, /backup/);
    // Put back before an engine has seen the damage, all is well.
    const damaged = fs.readFileSync(at(file));
    fs.writeFileSync(at(file), before);
    assert.deepEqual(look().findings, []);
    fs.writeFileSync(at(file), damaged);
    served(closed.contents, ['clone', 'data-monday', 'data-tuesday']);
  });

  it('finds bitmap files that were exchanged', () => {
    use(closed);
    const files = [bitmapFileOf(volume('data-tuesday').held), bitmapFileOf(volume('large-monday').held)];
    fs.renameSync(at(files[0]!), at('x'));
    fs.renameSync(at(files[1]!), at(files[0]!));
    fs.renameSync(at('x'), at(files[1]!));
    const found = look().findings;
    assert.deepEqual(found.map((f) => f.file).sort(), [...files].sort());
    served(closed.contents, ['clone', 'data-monday', 'data-tuesday', 'large-monday']);
  });

  it('says what to do where the pool is mounted read-only', async () => {
    use(closed);
    await run('mount', ['--bind', dir, dir]);
    try {
      await run('mount', ['-o', 'remount,bind,ro', dir]);
      const message = /is mounted read-only.*Check a copy of it/;
      assert.throws(() => checkPool(dir), { code: 'PoolUnsuitable', message });
    } finally {
      await run('umount', [dir]);
    }
    assert.deepEqual(checkPool(dir).findings, []);
  });

  it('finds data files that are missing or short, and serves those that do not need them', () => {
    use(closed);
    fs.rmSync(at(`volumes/${volume('alone').file}.data`));
    fs.truncateSync(at(`volumes/${volume('clone').file}.data`), 4096);
    const { findings } = repaired(2);
    assert.deepEqual(
      findings.map((f) => f.volumes),
      [['alone'], ['clone']],
    );
    served(closed.contents, ['alone', 'clone']);
  });

  it('finds data files that were exchanged, and serves neither until they are back', () => {
    use(closed);
    const exchange = () => {
      const [one, other] = ['data', 'copy'].map((name) => at(`volumes/${volume(name).file}.data`));
      fs.renameSync(one!, at('x'));
      fs.renameSync(other!, one!);
      fs.renameSync(at('x'), other!);
    };
    exchange();
    const found = look().findings;
    assert.equal(found.length, 2);
    assert.ok(found.every((f) => /is volumes\/\d+\.data by its mark/.test(f.what)));
    const pool = PoolOnFiles.open(dir);
    for (const name of ['data', 'copy']) assert.equal(pool.run(pool.core.getVolume(name)).state, 'suspended');
    pool.abandon();
    exchange();
    assert.deepEqual(look().findings, []);
  });

  it('makes a new log where nothing was left in the old one, and only there', () => {
    use(closed);
    fs.rmSync(at('log'));
    repaired();
    served(closed.contents);
    fs.truncateSync(at('log'), fs.statSync(at('log')).size - 4096);
    assert.match(look().findings[0]!.what, /has \d+ bytes and must have \d+/);
    assert.throws(() => PoolOnFiles.open(dir), { code: 'Damaged', message: /undo log .*must have/ });
    repaired();
    served(closed.contents);
    fs.rmSync(dir, { recursive: true });

    use(crashed);
    fs.truncateSync(at('log'), fs.statSync(at('log')).size - 4096);
    const { findings } = repaired(1);
    assert.equal(findings[0]!.file, 'log');
    assert.equal(findings[0]!.repairable, false);
  });

  it('makes a mapping again from what its target says of itself', () => {
    use(closed);
    sql(
      `UPDATE row SET body = replace(body, 'copying', 'copyong') WHERE tab = 'mapping' AND body LIKE '%"data-monday"%'`,
    );
    served(closed.contents, ['data-monday']);
    repaired();
    served(closed.contents);
  });

  it('does not guess where several mappings are damaged', () => {
    use(closed);
    sql(`UPDATE row SET sum = 1 WHERE tab = 'mapping' AND body LIKE '%-monday"%'`);
    const { findings } = repaired(3);
    assert.ok(findings.every((f) => f.file === 'catalog.db' && !f.repairable));
  });

  it('wipes no data and marks the file where a volume has data that it does not hold', () => {
    use(closed);
    const { file, id } = volume('data-tuesday');
    const fd = fs.openSync(at(`volumes/${file}.data`), 'r+');
    fs.writeSync(fd, Buffer.alloc(4096, 7), 0, 4096, 250 * 4096);
    fs.closeSync(fd);
    const [found] = look().findings;
    assert.deepEqual([found!.file, found!.offset], [`volumes/${file}.data`, 250 * 4096]);
    repaired();
    assert.equal(row<{ sparse: boolean }>('volume', `"id":${id},`).sparse, false);
    served(closed.contents);
  });

  it('finds a volume that reads through one that is not there, and an id that would be given out twice', () => {
    use(closed);
    const { id } = volume('data-tuesday');
    sql(`DELETE FROM row WHERE tab = 'volume' AND key = ${id}`);
    const body = JSON.stringify({ ...row('engine', 'nextId'), nextId: 5 });
    sql(`UPDATE row SET body = '${body}', sum = ${crc32(`engine|1|${body}`)} WHERE tab = 'engine'`);
    const found = look().findings.map((f) => f.what);
    assert.ok(
      found.some((what) => /reads through volume \d+, which is not there/.test(what)),
      found.join('\n'),
    );
    assert.ok(found.some((what) => /would give out id 5/.test(what)));
  });

  it('says that a catalog is of a later release, or no catalog, and leaves it', () => {
    use(closed);
    fs.writeFileSync(at('catalog.db'), 'no catalog'.repeat(1000));
    const before = filesOf(dir);
    const { findings } = repaired(1);
    assert.equal(findings[0]!.file, 'catalog.db');
    assert.deepEqual(filesOf(dir), before);
  });
});
