/**
 * A migration that is cut off, anywhere and by anything, leaves a pool of the old format or of the new one, with all that was
 * in it; and the next start opens that. The pools are those that earlier releases wrote.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { BitmapRow, EpochRow } from '../../src/core/rows.ts';
import { Catalog } from '../../src/engine/catalog.ts';
import { formatOf, lookAt, rowsOf } from '../../src/engine/catalog-file.ts';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { FORMAT, MIGRATIONS } from '../../src/engine/migrations.ts';
import { Random } from '../sim/random.ts';
import { bytesOf, checkContent, unpacked } from '../support/format-pools.ts';
import { FURTHER, NOTES } from '../support/further-format.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';

const PROGRAM = path.resolve(import.meta.dirname, '../support/further-format.ts');
/** The system calls that change files, or make them durable; and those that a full disk refuses. */
const CALLS = 'pwrite64,fdatasync,fsync,ftruncate,unlink';
const TAKE_SPACE = 'pwrite64,ftruncate,fallocate';
const SECTOR = 512;
/** Calls of a step that is cut off at several places. */
const LONG = 100;

const formatIn = (pool: string): number => lookAt(path.join(pool, 'catalog.db'), formatOf);

/** As a release further on opens it, with all that it held. */
function openFurther(pool: string): void {
  const opened = PoolOnFiles.open(pool, FURTHER);
  try {
    checkContent(opened);
    const { rows } = opened.catalog.load();
    // What has no such field was written since: by the engine, and not by a migration that was run by half.
    const volumes = rows.filter(({ table }) => table === 'volume');
    assert.ok(volumes.length > 0 && volumes.every(({ row }) => (row as { further?: true }).further));
  } finally {
    opened.close();
  }
  assert.equal(formatIn(pool), FORMAT + 1);
  const db = new DatabaseSync(path.join(pool, 'catalog.db'), { readOnly: true });
  assert.equal(db.prepare('SELECT count(*) AS n FROM note').get()!['n'], NOTES);
  db.close();
}

/** As an engine's start leaves the catalog. */
function committed(pool: string, migrations = MIGRATIONS): void {
  const catalog = Catalog.open(pool, migrations);
  try {
    catalog.commit([]);
  } finally {
    catalog.close();
  }
}

/** How to look at these calls only. */
const strace = (which: string, output: string): string[] => [
  ...['-f', '-qq', '-o', output, '-e', `trace=${which}`],
];

/** Those of the program, as strace tells them. */
function callsIn(pool: string, which = CALLS): string[] {
  const trace = `${pool}.trace`;
  execFileSync('strace', ['-y', ...strace(which, trace), process.execPath, PROGRAM, pool]);
  // A call that another thread's came into is told in two lines.
  return fs
    .readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => /^\d+ +\w+\(/.test(line));
}

/** Calls of one kind for one file in a row are a step: each by the numbers of its calls, from 1 on. */
function stepsOf(calls: readonly string[]): number[][] {
  const kindOf = (call: string): string => /(\w+)\([^<"]*[<"]([^>"]*)/.exec(call)!.slice(1).join(' ');
  const steps: number[][] = [];
  calls.forEach((call, i) => {
    const goesOn = i > 0 && kindOf(calls[i - 1]!) === kindOf(call);
    if (goesOn) steps.at(-1)!.push(i + 1);
    else steps.push([i + 1]);
  });
  return steps;
}

/** Of each step one call; of long ones, which are many pages, the first, the last and one between. */
function someOf(steps: readonly number[][]): number[] {
  return steps.flatMap((step) => {
    const middle = step[Math.floor(step.length / 2)]!;
    return step.length < LONG ? [middle] : [step[0]!, middle, step.at(-1)!];
  });
}

/** The program, with something done to one of these calls; whether it came to its end. */
function injected(pool: string, what: string, which = CALLS): { opened: boolean; told: string } {
  const args = [...strace(which, '/dev/null'), '-e', `inject=${which}:${what}`];
  const { stdout, stderr, error } = spawnSync('strace', [...args, process.execPath, PROGRAM, pool], {
    encoding: 'utf8',
  });
  if (error) throw error;
  return { opened: stdout === 'opened', told: stderr };
}

describe('A migration of the catalog', function () {
  this.timeout(600_000);
  let dir: string;
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-migrations-'));
  });
  afterEach(() => fs.rmSync(dir, { recursive: true }));

  const pools = ['format-1-closed', 'format-1-crashed'];

  for (const name of pools)
    describe(`of ${name}`, () => {
      /** The numbers of calls at which to cut it off. */
      const places = (which?: string): number[] => someOf(stepsOf(callsIn(unpacked(dir, name), which)));
      beforeEach(() => fs.rmSync(path.join(dir, name), { recursive: true, force: true }));
      const anew = (): string => {
        fs.rmSync(path.join(dir, name), { recursive: true, force: true });
        return unpacked(dir, name);
      };

      it('that is killed at any of its steps leaves the old format or the new one', () => {
        const found = new Set<number>();
        const at = places();
        for (const nth of at) {
          const pool = anew();
          injected(pool, `signal=SIGKILL:when=${nth}`);
          found.add(formatIn(pool));
          openFurther(pool);
        }
        assert.deepEqual([...found].sort(), [1, FORMAT + 1]);
        assert.ok(at.length > 12, `it was killed at ${at.length} places`);
      });

      it('that meets a full disk from any of them on says so, and is done by the next start', () => {
        let refused = 0;
        for (const nth of places(TAKE_SPACE)) {
          const pool = anew();
          const { opened, told } = injected(pool, `error=ENOSPC:when=${nth}+`, TAKE_SPACE);
          if (!opened) {
            refused++;
            assert.match(told, /OutOfSpace|IoError|ENOSPC|full/, told);
          }
          assert.ok([1, FORMAT + 1].includes(formatIn(pool)));
          openFurther(pool);
        }
        assert.ok(refused > 3, `it was refused ${refused} times`);
      });
    });

  it('that loses power before it is flushed, whatever of it has come to the disk, has not been', () => {
    const random = new Random(1);
    const wal = 'catalog.db-wal';
    const found = new Set<number>();
    const calls = callsIn(unpacked(dir, 'format-1-crashed'));
    fs.rmSync(path.join(dir, 'format-1-crashed'), { recursive: true });
    const place = unpacked(dir, 'format-1-crashed');
    const before = fs.statSync(path.join(place, wal)).size;
    // Killed when the WAL is to be flushed: all of it is written, and nothing of it has to be on the disk.
    const isOfWal = (call: string, name: RegExp): boolean =>
      name.test(call) && call.includes('catalog.db-wal>');
    const next = (from: number, name: RegExp): number =>
      calls.findIndex((call, i) => i > from && isOfWal(call, name));
    const SYNC = /\bf(data)?sync\(/;
    // Before that, what was in it is written once more.
    const settled = next(-1, SYNC);
    const first = next(settled, /\bpwrite64\(/);
    const flush = next(first, SYNC);
    assert.ok(settled >= 0 && first > settled && flush > first, calls.join('\n'));
    // Calls of each kind are counted apart.
    const kind = /\w+(?=\()/.exec(calls[flush]!)![0];
    const nth = calls.slice(0, flush + 1).filter((call) => call.includes(` ${kind}(`)).length;
    assert.ok(!injected(place, `signal=SIGKILL:when=${nth}`, kind).opened);
    assert.equal(formatIn(place), FORMAT + 1, 'all of it is written');
    const written = fs.readFileSync(path.join(place, wal));
    fs.rmSync(place, { recursive: true });
    for (let trial = 0; trial < 8; trial++) {
      const pool = unpacked(dir, 'format-1-crashed');
      const left = Buffer.from(written);
      for (let at = Math.ceil(before / SECTOR) * SECTOR; at < left.length; at += SECTOR)
        if (random.int(20) === 0) left.fill(0, at, Math.min(left.length, at + SECTOR));
      const length = trial % 2 === 0 ? left.length : before + random.int(left.length - before);
      fs.writeFileSync(path.join(pool, wal), left.subarray(0, length));
      found.add(formatIn(pool));
      openFurther(pool);
      fs.rmSync(pool, { recursive: true });
    }
    assert.deepEqual([...found], [1]);
  });

  it('that fails changes nothing, and the release before opens the pool as it was', () => {
    const pool = unpacked(dir, 'format-1-closed');
    committed(pool); // in this release's format
    const bytes = bytesOf(pool);
    const failing = [
      ...FURTHER.slice(0, -1),
      {
        ...FURTHER.at(-1)!,
        run: (db: DatabaseSync) => {
          FURTHER.at(-1)!.run(db);
          throw new Error('in the midst of it');
        },
      },
    ];
    assert.throws(() => Catalog.open(pool, failing), /in the midst of it/);
    assert.deepEqual(bytesOf(pool), bytes);
    const again = PoolOnFiles.open(pool);
    checkContent(again);
    again.close();
  });

  it('on a filesystem that is really full changes nothing, and is done when there is space', function () {
    if (process.geteuid?.() !== 0) this.skip();
    const mnt = path.join(dir, 'mnt');
    fs.mkdirSync(mnt);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'flashcopy-test', mnt]);
    try {
      committed(mnt);
      fs.rmSync(path.join(mnt, 'reserve'), { force: true });
      const filler = path.join(mnt, 'filler');
      const fd = fs.openSync(filler, 'a');
      assert.throws(() => {
        for (;;) fs.writeSync(fd, Buffer.alloc(4096));
      }, /ENOSPC/);
      fs.closeSync(fd);
      assert.throws(() => committed(mnt, FURTHER), { code: 'OutOfSpace' });
      fs.rmSync(filler);
      assert.equal(formatIn(mnt), FORMAT);
      committed(mnt, FURTHER);
      assert.equal(formatIn(mnt), FORMAT + 1);
    } finally {
      execFileSync('umount', [mnt]);
    }
  });

  it('is not made by a check, which says what format there is, nor by its repair', () => {
    for (const name of pools) {
      const pool = unpacked(dir, name);
      PoolOnFiles.open(pool, MIGRATIONS.slice(0, 1)).close(); // what an opening adds is there
      const bytes = bytesOf(pool);
      const report = checkPool(pool);
      assert.equal(report.format, 1);
      assert.match(report.notes.join('\n'), new RegExp(`has format 1, and this release writes ${FORMAT}\\.`));
      assert.deepEqual(report.findings, []);
      assert.deepEqual(bytesOf(pool), bytes);
      // A record of changes that is damaged: its row is changed by a repair.
      const { rows } = lookAt(path.join(pool, 'catalog.db'), (db) => rowsOf(db, 'catalog.db'));
      const written = rows.filter(({ table, row }) => table === 'bitmap' && (row as BitmapRow).gen > 0);
      const epochs = new Set(
        rows.filter(({ table }) => table === 'epoch').map(({ row }) => (row as EpochRow).bitmap),
      );
      const { id, gen } = written.map(({ row }) => row as BitmapRow).find((row) => epochs.has(row.id))!;
      fs.truncateSync(path.join(pool, `bitmaps/${id}.${gen}`), 100);
      assert.ok(checkPool(pool, { repair: true }).repaired.length > 0);
      assert.equal(formatIn(pool), 1);
    }
  });

  it('is refused to be undone: the release before leaves the pool alone', () => {
    const pool = unpacked(dir, 'format-1-crashed');
    committed(pool, FURTHER);
    const bytes = bytesOf(pool);
    assert.throws(() => PoolOnFiles.open(pool), { code: 'PoolTooNew', message: /catalog\.db has format/ });
    assert.match(checkPool(pool).findings[0]!.what, /has format/);
    assert.deepEqual(bytesOf(pool), bytes);
  });
});
