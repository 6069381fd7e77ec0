/**
 * An undo log that is damaged as a whole, or is not the pool's: nobody is shown wrong content for it. Those that may have had
 * grains in it are told apart from those that cannot have had any.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { log } from '../../src/base/log.ts';
import { decodeHeader, headerAt, SLOT } from '../../src/core/log-record.ts';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { FORMAT } from '../../src/engine/migrations.ts';
import { bytesOf, unpacked } from '../support/format-pools.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';
import { closedPool, copyPool, crashedPool, type SoundPool, youngPool } from '../support/sound-pool.ts';

/** What holds all of its own grains, and so needs nothing of the log. */
const WHOLE = ['alone', 'copy', 'data', 'large'];
/** Of a young pool, where its bits are in the log only, one more. */
const lacking = (which: string): string[] => (which === 'young' ? [...SNAPSHOTS, 'copy'].sort() : SNAPSHOTS);
const SNAPSHOTS = ['clone', 'data-monday', 'data-tuesday', 'large-monday'];

type Place = { at: number; bytes: number; seq: number };

/** The records in a log, by their place. */
function recordsOf(file: string): Place[] {
  const bytes = fs.readFileSync(file);
  const found: Place[] = [];
  for (let at = 0; at < bytes.length; at += SLOT) {
    const begun = headerAt(bytes.subarray(at, at + SLOT));
    if (begun === null) continue;
    const header = decodeHeader(Buffer.from(bytes.subarray(at, at + begun.blocks * SLOT)), begun.blocks);
    if (header === null) continue;
    found.push({ at, bytes: (header.headerBlocks + header.payloadSlots) * SLOT, seq: header.seq });
  }
  return found;
}

function zero(file: string, from: number, bytes: number): void {
  const fd = fs.openSync(file, 'r+');
  fs.writeSync(fd, Buffer.alloc(bytes), 0, bytes, from);
  fs.closeSync(fd);
}

describe('An undo log', function () {
  this.timeout(120_000);
  let top: string;
  let crashed: SoundPool;
  let closed: SoundPool;
  let young: SoundPool;
  let dir: string;
  const logFile = () => path.join(dir, 'log');

  before(() => {
    log.silent = true;
    top = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-log-'));
    crashed = crashedPool(path.join(top, 'crashed'));
    closed = closedPool(path.join(top, 'closed'));
    young = youngPool(path.join(top, 'young'));
  });
  after(() => {
    log.silent = false;
    fs.rmSync(top, { recursive: true });
  });
  let count = 0;
  const take = (pool: SoundPool): void => {
    dir = path.join(top, `trial-${++count}`);
    copyPool(pool.dir, dir);
  };

  /** Who is served shows what it has to; who is not says why. The names of those that are not. */
  function look(pool: PoolOnFiles, sound: SoundPool, why: RegExp): string[] {
    const listed = new Map(pool.run(pool.core.listVolumes()).map((volume) => [volume.name, volume]));
    const suspended: string[] = [];
    for (const [name, content] of sound.contents) {
      const { state, error } = listed.get(name)!;
      if (state === 'online') {
        assert.ok(pool.read(name, 0, content.length).equals(content), `${name} shows something else`);
        continue;
      }
      assert.match(error, why);
      suspended.push(name);
    }
    return suspended.sort();
  }

  function opened(sound: SoundPool, why: RegExp): string[] {
    const pool = PoolOnFiles.open(dir);
    try {
      return look(pool, sound, why);
    } finally {
      pool.abandon();
    }
  }

  for (const which of ['crashed', 'young'] as const)
    describe(`of a pool that lost power (${which}), when it has become zeros,`, () => {
      const sound = () => (which === 'crashed' ? crashed : young);
      const why = /log at byte \d+ is damaged: record \d+, which may have held grains of it, cannot be read/;

      it('suspends those that lack grains, names file and byte, and serves the others', () => {
        take(sound());
        zero(logFile(), 0, fs.statSync(logFile()).size);
        const [found] = checkPool(dir).findings.filter(({ file }) => file === 'log');
        assert.match(found!.what, /record \d+ must be there, and cannot be read/);
        assert.equal(typeof found!.offset, 'number');
        for (const name of SNAPSHOTS) assert.ok(found!.volumes.includes(name), name);
        assert.deepEqual(opened(sound(), why), lacking(which));
      });

      it('says the same at every start, and concerns nobody who comes later', () => {
        take(sound());
        zero(logFile(), 0, fs.statSync(logFile()).size);
        let pool = PoolOnFiles.open(dir);
        pool.run(pool.core.createSnapshots([{ name: 'later', source: 'alone' }]));
        pool.abandon();
        pool = PoolOnFiles.open(dir);
        assert.deepEqual(look(pool, sound(), why), lacking(which));
        const before = pool.read('alone', 0, SLOT);
        pool.write('alone', 0, Buffer.alloc(SLOT, 'changed'));
        pool.flush('alone');
        pool.abandon();
        pool = PoolOnFiles.open(dir);
        assert.equal(pool.run(pool.core.getVolume('later')).state, 'online');
        assert.ok(pool.read('later', 0, SLOT).equals(before));
        pool.close();
      });
    });

  it('that has lost several records in a row is not taken to end there', () => {
    take(crashed);
    const records = recordsOf(logFile()).filter(({ seq }) => seq > 0);
    const last = Math.max(...records.map(({ seq }) => seq));
    const tail = records.filter(({ seq }) => seq > last - 12).sort((a, b) => a.seq - b.seq);
    assert.equal(tail.length, 12);
    for (const { at, bytes } of tail.slice(2, 9)) zero(logFile(), at, bytes);
    const suspended = opened(crashed, /log at byte \d+ is damaged: record \d+,/);
    assert.deepEqual(suspended, SNAPSHOTS);
  });

  it('whose first record is damaged, and that has no other, is not taken for an empty one', () => {
    take(closed);
    // One record, which makes the tail's place the only one that counts.
    let pool = PoolOnFiles.open(dir);
    pool.write('data', 5 * SLOT, Buffer.alloc(SLOT, 'once more'));
    pool.flush('data');
    const contents = new Map([...closed.contents.keys()].map((name) => [name, pool.read(name, 0, pool.volume(name).sizeBytes)])); // biome-ignore format: one line
    const living = dir;
    take({ dir: living, contents });
    pool.abandon();
    // It was there when an engine opened the pool once more: the next one knows that.
    pool = PoolOnFiles.open(dir);
    const between = dir;
    take({ dir: between, contents });
    pool.abandon();
    const [record] = recordsOf(logFile()).sort((a, b) => b.seq - a.seq);
    zero(logFile(), record!.at, record!.bytes);
    const suspended = opened({ dir, contents }, /log at byte \d+ is damaged/);
    assert.deepEqual(suspended, SNAPSHOTS);
  });

  describe('of another pool', () => {
    for (const which of ['crashed', 'closed', 'young'] as const)
      it(`is refused by one that is ${which}, named, and neither pool is touched`, () => {
        const sound = { crashed, closed, young }[which];
        const other = which === 'young' ? crashed : young;
        take(sound);
        fs.copyFileSync(path.join(other.dir, 'log'), logFile());
        const bytes = () => [...bytesOf(dir)].filter(([name]) => !/^(catalog|reserve)/.test(name));
        const before = bytes();
        assert.throws(() => PoolOnFiles.open(dir), {
          code: 'Damaged',
          message: /^The undo log log is of another pool \([0-9a-f]{32}\), and not of this one/,
        });
        assert.deepEqual(bytes(), before);
        const [found] = checkPool(dir).findings;
        assert.match(`${found!.file}: ${found!.what}`, /^log: the undo log is of another pool/);
        fs.copyFileSync(path.join(sound.dir, 'log'), logFile());
        assert.deepEqual(opened(sound, /^$/), [], 'with its own one it is as it was');
      });
  });

  describe('that is gone for good', () => {
    const wounds = {
      missing: () => fs.rmSync(logFile()),
      short: () => fs.truncateSync(logFile(), fs.statSync(logFile()).size - SLOT),
      "another pool's": () => fs.copyFileSync(path.join(young.dir, 'log'), logFile()),
    };
    for (const [what, wound] of Object.entries(wounds))
      it(`(${what}) is only done without when somebody says so; then what needs it is lost, and all others are served`, () => {
        take(crashed);
        wound();
        assert.throws(() => PoolOnFiles.open(dir), { code: 'Damaged', message: /undo log/ });
        const { findings } = checkPool(dir, { repair: true });
        assert.match(findings.find(({ file }) => file === 'log')!.remedy, /--repair --give-up-log/);
        assert.throws(() => PoolOnFiles.open(dir), { code: 'Damaged', message: /undo log/ });
        const { repaired } = checkPool(dir, { repair: true, giveUpLog: true });
        assert.ok(repaired.some(({ file }) => file === 'log'));
        assert.equal(fs.existsSync(`${logFile()}.given-up`), what !== 'missing');
        assert.deepEqual(opened(crashed, /log at byte \d+ is damaged/), SNAPSHOTS);
      });
  });

  it('that is given up has its pool in the present format: no earlier release takes the new one for a whole one', () => {
    dir = unpacked(fs.mkdtempSync(path.join(top, 'given-up-')), 'format-1-crashed');
    fs.rmSync(logFile());
    assert.equal(checkPool(dir).format, 1);
    checkPool(dir, { repair: true, giveUpLog: true });
    assert.equal(checkPool(dir).format, FORMAT);
  });

  it('of another pool, in one that was closed: nobody is lost when the right one is given up', () => {
    take(closed);
    fs.copyFileSync(path.join(young.dir, 'log'), logFile());
    assert.match(checkPool(dir).findings[0]!.remedy, /--give-up-log .*nobody is lost/);
    const report = checkPool(dir, { repair: true, giveUpLog: true });
    assert.deepEqual(report.findings, []);
    assert.match(report.notes.join('\n'), /log\.given-up is what a repair found/);
    assert.deepEqual(opened(closed, /^$/), []);
  });

  it('of a closed pool that is longer or shorter than it must be is made anew, at once and as the catalog says', () => {
    for (const more of [SLOT, 64 * SLOT, -SLOT]) {
      take(closed);
      const { size } = fs.statSync(logFile());
      fs.truncateSync(logFile(), size + more);
      const { repaired } = checkPool(dir, { repair: true });
      assert.deepEqual(
        [repaired.filter(({ file }) => file === 'log').length, fs.statSync(logFile()).size],
        [1, size],
      );
      assert.deepEqual(checkPool(dir).findings, []);
      assert.deepEqual(opened(closed, /^$/), []);
    }
  });

  it('that is given up is kept, and so are those that were given up before', () => {
    take(closed);
    const others = [young, crashed, young].map((pool) => fs.readFileSync(path.join(pool.dir, 'log')));
    for (const other of others) {
      fs.writeFileSync(logFile(), other);
      checkPool(dir, { repair: true, giveUpLog: true });
    }
    const kept = ['', '.2', '.3'].map((more) => fs.readFileSync(`${logFile()}.given-up${more}`));
    assert.deepEqual(kept, others);
    const { findings, notes } = checkPool(dir);
    assert.deepEqual(findings, []);
    assert.match(notes.join('\n'), /log\.given-up\.3 is what a repair found/);
  });

  it('of an earlier moment is not taken for the present one', () => {
    take(closed);
    const backup = path.join(top, 'backup');
    fs.copyFileSync(logFile(), backup);
    const pool = PoolOnFiles.open(dir);
    for (let i = 0; i < 40; i++) pool.write('data', i * SLOT, Buffer.alloc(SLOT, `later ${i}`));
    pool.flush('data');
    const contents = new Map([...closed.contents.keys()].map((name) => [name, pool.read(name, 0, pool.volume(name).sizeBytes)])); // biome-ignore format: one line
    const living = dir;
    take({ dir: living, contents });
    pool.abandon();
    PoolOnFiles.open(dir).abandon(); // after the power loss; then the old log comes in
    const again = dir;
    take({ dir: again, contents });
    fs.copyFileSync(backup, logFile());
    const found = opened({ dir, contents }, /log at byte \d+ is damaged/);
    for (const name of WHOLE) assert.ok(!found.includes(name), name);
  });
});
