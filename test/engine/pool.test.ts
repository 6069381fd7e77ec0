/** A pool directory is made whole or not at all, and what cannot be a pool is refused before anything is touched. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type ErrorCode, FlashCopyError } from '../../src/base/errors.ts';
import { openPool } from '../../src/engine/pool.ts';
import { tryFlock } from '../../src/sys/libc.ts';

const MiB = 2 ** 20;
const LOG = 8 * MiB;

const failsWith = (code: ErrorCode, text: RegExp) => (error: unknown) =>
  error instanceof FlashCopyError && error.code === code && text.test(error.message);

describe('pool', () => {
  let base: string;
  let dir: string;

  before(function () {
    if (process.geteuid?.() !== 0) this.skip();
  });
  beforeEach(() => {
    base = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-pool-'));
    dir = path.join(base, 'a', 'pool');
  });
  afterEach(() => fs.rmSync(base, { recursive: true }));

  const open = (bytes: number | undefined = LOG, at = dir) => {
    const pool = openPool(at, bytes);
    pool.lock.release();
    return pool;
  };

  it('is made with its directories and a log that is written through', () => {
    assert.equal(open().logBytes, LOG);
    assert.deepEqual(fs.readdirSync(dir).sort(), ['bitmaps', 'engine.lock', 'log', 'volumes']);
    assert.equal(fs.statSync(dir).mode & 0o777, 0o700);
    const log = fs.readFileSync(path.join(dir, 'log'));
    assert.equal(log.length, LOG);
    assert.ok(log.every((byte) => byte === 0));
    assert.ok(fs.statSync(path.join(dir, 'log')).blocks * 512 >= LOG);
  });

  it('is known by its real path, and keeps its log', () => {
    open();
    fs.writeFileSync(path.join(dir, 'log'), 'content', { flag: 'r+' });
    const link = path.join(base, 'link');
    fs.symlinkSync(dir, link);
    const again = open(undefined, link);
    assert.deepEqual([again.dir, again.logBytes], [dir, LOG]);
    assert.equal(fs.readFileSync(path.join(dir, 'log')).toString('latin1', 0, 7), 'content');
    assert.throws(
      () => open(2 * LOG),
      failsWith('InvalidArgument', /made with one of 8388608\. .*leave --log-size out/),
    );
  });

  it('goes on where its making was interrupted', () => {
    fs.mkdirSync(dir, { recursive: true });
    fs.writeFileSync(path.join(dir, 'log.new'), 'half');
    fs.mkdirSync(path.join(dir, 'lost+found'));
    assert.equal(open().logBytes, LOG);
    assert.ok(!fs.existsSync(path.join(dir, 'log.new')));
  });

  it('is not used without the log that it had', () => {
    open();
    fs.writeFileSync(path.join(dir, 'catalog.db'), '');
    fs.rmSync(path.join(dir, 'log'));
    assert.throws(() => open(), failsWith('Damaged', /undo log .*pool\/log is missing/));
    assert.ok(!fs.existsSync(path.join(dir, 'log')));
  });

  it('refuses a directory with the files of others, and a file', () => {
    fs.mkdirSync(dir, { recursive: true });
    fs.writeFileSync(path.join(dir, 'thesis.tex'), '');
    assert.throws(() => open(), failsWith('PoolUnsuitable', /files that are no pool's \(thesis\.tex\)/));
    assert.deepEqual(fs.readdirSync(dir), ['thesis.tex']);
    assert.throws(
      () => open(LOG, path.join(dir, 'thesis.tex')),
      failsWith('PoolUnsuitable', /cannot be made|not a directory/),
    );
  });

  for (const [what, bytes] of [
    ['too small', 4096],
    ['no multiple of 4096', LOG + 1],
  ] as const) {
    it(`leaves nothing behind when the log asked for is ${what}`, () => {
      assert.throws(() => open(bytes), failsWith('InvalidArgument', /multiple of 4096, at least 7471104/));
      assert.deepEqual(fs.readdirSync(base), []);
    });
  }

  it('leaves nothing behind when there is no space', () => {
    const mnt = path.join(base, 'mnt');
    fs.mkdirSync(mnt);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'flashcopy-test', mnt]);
    try {
      assert.throws(
        () => open(LOG, path.join(mnt, 'pool')),
        failsWith('OutOfSpace', /needs 8388608 bytes for its log/),
      );
      assert.deepEqual(fs.readdirSync(mnt), []);
    } finally {
      execFileSync('umount', [mnt]);
    }
  });

  it('is opened on a full disk when it was made before, and is not made there', () => {
    const mnt = path.join(base, 'mnt');
    const pool = path.join(mnt, 'pool');
    fs.mkdirSync(mnt);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=10m', 'flashcopy-test', mnt]);
    try {
      open(LOG, pool);
      fs.writeFileSync(path.join(pool, 'catalog.db'), '');
      const fd = fs.openSync(path.join(mnt, 'filler'), 'w');
      assert.throws(() => {
        for (;;) fs.writeSync(fd, Buffer.alloc(4096));
      }, /ENOSPC/);
      fs.closeSync(fd);
      assert.equal(open(undefined, pool).logBytes, LOG);
      assert.deepEqual(fs.readdirSync(pool).sort(), [
        'bitmaps',
        'catalog.db',
        'engine.lock',
        'log',
        'volumes',
      ]);
      assert.throws(() => open(LOG, path.join(mnt, 'other')), failsWith('OutOfSpace', /is full/));
      assert.deepEqual(fs.readdirSync(mnt).sort(), ['filler', 'pool']);
    } finally {
      execFileSync('umount', [mnt]);
    }
  });

  it('does without the name of its holder where that cannot be written any more', () => {
    const { lock } = open(LOG); // and closed: what is written fails
    assert.doesNotThrow(() => lock.name([process.pid]));
  });

  it('has one holder at a time', () => {
    const first = openPool(dir, LOG);
    try {
      assert.throws(
        () => openPool(dir),
        failsWith('PoolLocked', new RegExp(`engine with pid ${process.pid}\\.`)),
      );
    } finally {
      first.lock.release();
    }
    open(undefined);
  });

  it('is not had beside an engine of a former release, which locks the file alone', () => {
    open();
    const file = path.join(dir, 'engine.lock');
    const fd = fs.openSync(file, 'r+');
    try {
      assert.ok(tryFlock(fd, file));
      for (const round of ['first', 'second'])
        assert.throws(() => openPool(dir), failsWith('PoolLocked', /in use by/), round);
    } finally {
      fs.closeSync(fd);
    }
    open(undefined);
  });
});
