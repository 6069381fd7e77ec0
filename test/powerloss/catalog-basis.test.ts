/**
 * What the power-loss simulator takes for granted of the catalog: that a commit is durable when it returns, all of it or
 * nothing, and that commits become durable in their order. Seen in the system calls of the real one: each commit is written
 * to the WAL, which is flushed after its last write and before the commit returns; the database file is written only while
 * everything in the WAL is flushed, and is flushed itself before the WAL begins anew.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Enough that the WAL is carried home in between. */
const COMMITS = 600;
const catalogModule = path.resolve(import.meta.dirname, '../../src/engine/catalog.ts');

/** Tells on stdout what it comes to. */
const program = `
  import { writeSync } from 'node:fs';
  const { Catalog } = await import(${JSON.stringify(catalogModule)});
  const catalog = Catalog.open(process.env.POOL);
  for (const pragma of ['synchronous', 'journal_mode'])
    writeSync(1, pragma + ' ' + catalog['db'].prepare('PRAGMA ' + pragma).get()[pragma]);
  for (let i = 1; i <= ${COMMITS}; i++) {
    writeSync(1, 'BEGIN ' + i);
    catalog.commit([{ table: 'volume', key: i % 50, row: { id: i, text: 'x'.repeat((i % 7) * 900) } }]);
    writeSync(1, 'END ' + i);
    catalog.tidy();
  }
`;

type Call = { file: 'wal' | 'db' | 'told'; what: 'write' | 'flush'; offset: number; text: string };

function traced(): Call[] {
  const pool = mkdtempSync(path.join(os.tmpdir(), 'flashcopy-catalog-'));
  try {
    const trace = path.join(pool, 'trace');
    const calls = 'trace=write,pwrite64,fdatasync,fsync';
    const node = [process.execPath, '--input-type=module', '--eval', program];
    // A file for each thread: so no call is told in two parts, another thread's between them.
    execFileSync('strace', ['-ff', '-y', '-o', trace, '-e', calls, ...node], {
      env: { ...process.env, POOL: pool },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const texts = globSync(`${trace}.*`).map((file) => readFileSync(file, 'utf8'));
    return texts
      .find((text) => text.includes('BEGIN '))!
      .split('\n')
      .flatMap(callOf);
  } finally {
    rmSync(pool, { recursive: true });
  }
}

function callOf(line: string): Call[] {
  const told = /\bwrite\(1<[^>]*>, "(?<text>[^"]*)"/.exec(line);
  if (told !== null) return [{ file: 'told', what: 'write', offset: 0, text: told.groups!['text']! }];
  const call = /\b(?<name>pwrite64|fdatasync|fsync)\(\d+<[^>]*\/catalog\.db(?<wal>-wal)?>/.exec(line);
  if (call === null) return [];
  assert.match(line, /\) += \d+$/, 'a call that failed');
  const file = call.groups!['wal'] === undefined ? 'db' : 'wal';
  if (call.groups!['name'] !== 'pwrite64') return [{ file, what: 'flush', offset: 0, text: '' }];
  return [{ file, what: 'write', offset: Number(/, (\d+)\) += \d+$/.exec(line)![1]), text: '' }];
}

describe('A commit of the catalog', function () {
  this.timeout(300_000);
  let calls: Call[];
  before(() => {
    calls = traced();
  });

  it('is made with a WAL and synchronous=FULL', () => {
    const told = calls.map((call) => call.text);
    assert.ok(told.includes('synchronous 2') && told.includes('journal_mode wal'));
  });

  it('is written to the WAL and flushed there before it returns', () => {
    let commits = 0;
    let written = false;
    let flushed = false;
    for (const { file, what, text } of calls) {
      if (file === 'wal' && what === 'write') {
        written = true;
        flushed = false;
      } else if (file === 'wal') flushed = true;
      else if (text.startsWith('BEGIN')) written = false;
      else if (text.startsWith('END')) {
        assert.ok(written && flushed, text);
        commits++;
      }
    }
    assert.equal(commits, COMMITS);
  });

  it('is in the database file only when the WAL is flushed, and the WAL begins anew only when that file is', () => {
    const clean = { wal: true, db: true };
    let carriedHome = 0;
    for (const { file, what, offset } of calls) {
      if (file === 'told') continue;
      if (what === 'flush') {
        clean[file] = true;
        continue;
      }
      if (file === 'db') assert.ok(clean.wal, 'the database file is written, and the WAL is not flushed');
      if (file === 'wal' && offset === 0) {
        assert.ok(clean.db, 'the WAL begins anew, and the database file is not flushed');
        carriedHome++;
      }
      clean[file] = false;
    }
    assert.ok(carriedHome >= 2, 'the WAL was never carried home');
  });
});
