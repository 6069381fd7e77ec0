/** What a pool counts on having, its log, its reserve, its catalog and its thick volumes, it has again after a start, wherever it was copied. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { log } from '../../src/base/log.ts';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { OwnSpace } from '../../src/engine/own-space.ts';
import { bytesWithoutSpace, countWithoutSpace } from '../../src/sys/extents.ts';
import { Cleanup } from '../support/cleanup.ts';
import { run, until } from '../support/commands.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';

const MiB = 2 ** 20;
const THICK_BYTES = 24 * MiB;
const FILES = ['log', 'reserve', 'catalog.db', 'volumes/1.data', 'volumes/2.data'];
const COPIES = {
  'a sparse one': ['--sparse=always', '--reflink=never'],
  'one that shares its blocks': ['--reflink=always'],
};

describe('The space of a pool that was copied', function () {
  this.timeout(60_000);
  const cleanup = new Cleanup();
  let place = '';
  let dir = '';
  let copy = '';
  let ballast = '';
  let opened: PoolOnFiles[] = [];

  before(async () => {
    log.silent = true;
    const top = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-own-'));
    cleanup.defer(`remove ${top}`, () => fs.rmSync(top, { recursive: true }));
    const image = path.join(top, 'image');
    place = path.join(top, 'place');
    fs.writeFileSync(image, '');
    fs.truncateSync(image, 512 * MiB);
    await run('mkfs.xfs', ['-q', image]);
    fs.mkdirSync(place);
    await run('mount', ['-o', 'loop', image, place]);
    cleanup.defer(`unmount ${place}`, () => run('umount', [place]));
    [dir, copy, ballast] = ['pool', 'copy', 'ballast'].map((name) => path.join(place, name)) as [
      string,
      string,
      string,
    ];
  });
  after(async () => {
    log.silent = false;
    await cleanup.all();
  });
  const open = (at: string): PoolOnFiles => {
    const pool = PoolOnFiles.open(at);
    opened.push(pool);
    return pool;
  };
  const close = (pool: PoolOnFiles): void => {
    pool.close();
    opened = opened.filter((other) => other !== pool);
  };
  beforeEach(() => {
    fs.mkdirSync(dir);
    const pool = open(dir);
    for (const name of ['data', 'alone']) {
      pool.run(pool.core.createVolume({ name, sizeBytes: THICK_BYTES, provisioning: 'thick' }));
      for (let at = 0; at < THICK_BYTES; at += 2 * MiB) pool.write(name, at, Buffer.alloc(MiB, at / MiB));
    }
    pool.run(pool.core.createSnapshots([{ name: 'snapshot', source: 'data' }]));
    close(pool);
  });
  afterEach(() => {
    for (const pool of opened) pool.abandon();
    opened = [];
    for (const each of [dir, copy, ballast]) fs.rmSync(each, { recursive: true, force: true });
  });

  const freeBytes = (): number => {
    const { bavail, bsize } = fs.statfsSync(place);
    return bavail * bsize;
  };
  const leave = (bytes: number) => run('fallocate', ['--length', `${freeBytes() - bytes}`, ballast]);
  const fillUp = (): void => {
    const fd = fs.openSync(ballast, 'a');
    try {
      for (;;) fs.writeSync(fd, Buffer.alloc(64 * 1024));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    } finally {
      fs.closeSync(fd);
    }
  };
  const missing = (pool: string, files = FILES): number =>
    files
      .map((file) => {
        const fd = fs.openSync(path.join(pool, file), 'r');
        const bytes = bytesWithoutSpace(fd, fs.fstatSync(fd).size, file);
        fs.closeSync(fd);
        return bytes;
      })
      .reduce((sum, bytes) => sum + bytes);
  const contents = (pool: string): Buffer[] => FILES.map((file) => fs.readFileSync(path.join(pool, file)));
  /** As an engine does at its start. */
  const start = async (pool: string, hostWaits = false): Promise<string[]> => {
    const space = new OwnSpace(pool, hostWaits);
    space.takeFixed();
    const started = open(pool);
    space.countsOn(started.catalog.load().rows);
    await space.takeBeside();
    close(started);
    return space.warnings;
  };
  /** How often others had their turn while it was looked at what the file lacks, and taken. */
  async function turnsOfStart(pool: string, file: string): Promise<number> {
    let turns = 0;
    const { open: openFile } = fs.promises;
    fs.promises.open = async (...asked) => {
      const handle = await openFile(...asked);
      const { stat } = handle;
      handle.stat = ((...how: []) => {
        if (asked[0] === path.join(pool, file)) turns++;
        return stat.apply(handle, how);
      }) as typeof stat;
      return handle;
    };
    try {
      await start(pool);
    } finally {
      fs.promises.open = openFile;
    }
    return turns;
  }
  const logFindings = (pool: string) => checkPool(pool).findings.filter(({ file }) => file === 'log');

  for (const [what, how] of Object.entries(COPIES))
    describe(`as ${what}`, () => {
      it('is taken at the next start of the copy, and of the pool; nothing of what they hold changes', async () => {
        await run('cp', ['--archive', ...how, dir, copy]);
        assert.ok(missing(copy, ['log', 'reserve']) > 20 * MiB);
        for (const pool of [dir, copy]) {
          const before = contents(pool);
          assert.equal(logFindings(pool).length, missing(pool, ['log']) > 0 ? 1 : 0);
          assert.deepEqual(await start(pool), []);
          assert.equal(missing(pool), 0);
          const [, , , ...data] = contents(pool);
          assert.deepEqual(data, before.slice(3));
          assert.deepEqual(checkPool(pool).findings, []);
        }
      });

      it('is taken beside the I/O of a host that waits for the engine, but for what is small', async () => {
        await run('cp', ['--archive', ...how, dir, copy]);
        const space = new OwnSpace(copy, true).takeFixed();
        assert.equal(missing(copy, ['reserve', 'catalog.db']), 0);
        assert.ok(missing(copy, ['log']) > 0);
        await space.takeBeside();
        assert.equal(missing(copy, ['log']), 0);
        assert.deepEqual(space.warnings, []);
      });

      it('is there on a full disk after that, for all that was promised it', async () => {
        await run('cp', ['--archive', ...how, dir, copy]);
        for (const pool of [dir, copy]) await start(pool);
        fillUp();
        for (const at of [copy, dir]) {
          const pool = open(at);
          for (let offset = 0; offset < THICK_BYTES; offset += MiB)
            pool.write('alone', offset, Buffer.alloc(MiB, 0xee));
          for (let i = 0; i < 8; i++) pool.write('data', i * 65536, Buffer.alloc(65536, 0xdd));
          for (let i = 0; i < 8; i++) pool.run(pool.core.createVolume({ name: `n${i}`, sizeBytes: MiB }));
          pool.run(pool.core.deleteVolume('alone'));
          close(pool);
        }
      });

      it('is not taken, and that is told, where there is too little', async () => {
        await run('cp', ['--archive', ...how, dir, copy]);
        const [before, lacking] = [contents(copy), missing(copy)];
        await leave(4 * MiB);
        for (const hostWaits of [false, true]) {
          const warnings = await start(copy, hostWaits);
          assert.match(warnings.join(' '), /Of log \d+\.\d MiB have no space of their own/);
          assert.match(warnings.join(' '), /Of the thick volumes data, alone \d+\.\d MiB/);
        }
        assert.ok(missing(copy) > 0 && missing(copy) <= lacking);
        assert.deepEqual(contents(copy).slice(3), before.slice(3));
        fs.rmSync(ballast);
        await until('its space is there', () => freeBytes() > 100 * MiB); // XFS gives it back a little later
        assert.deepEqual(await start(copy), []);
        assert.equal(missing(copy), 0);
      });
    });

  it('is looked at a little at a time, also where nothing is missing: commits have their turn', async () => {
    const file = path.join(dir, 'volumes/1.data');
    const fd = fs.openSync(file, 'r+');
    for (let at = MiB; at < THICK_BYTES; at += 8192) fs.writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, at);
    fs.fsyncSync(fd);
    const looks = [...countWithoutSpace(fd, THICK_BYTES, file)].length;
    fs.closeSync(fd);
    assert.ok(looks > 8, `${looks} looks at the map of its extents`);
    const turns = await turnsOfStart(dir, 'volumes/1.data');
    assert.ok(turns >= looks, `${looks} looks, and ${turns} turns`);
  });

  it('is taken a little at a time where it is shared: whoever opens the file waits for that', async () => {
    const pool = open(dir);
    for (let at = 0; at < THICK_BYTES; at += MiB) pool.write('data', at, Buffer.alloc(MiB, 1));
    close(pool);
    await run('cp', ['--archive', '--reflink=always', dir, copy]);
    assert.equal(missing(copy, ['volumes/1.data']), THICK_BYTES);
    const turns = await turnsOfStart(copy, 'volumes/1.data');
    assert.ok(turns >= THICK_BYTES / MiB, `${turns} turns`);
    assert.equal(missing(copy), 0);
  });

  it('is left as it is where nothing was copied, also on a full disk', async () => {
    await start(dir);
    fillUp();
    assert.deepEqual(await start(dir), []);
    assert.equal(missing(dir), 0);
  });
});
