/** The scrub finds damage in a pool that is in use, mends what memory still has, and goes on after a restart. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { ScrubInfo } from '../../src/base/model.ts';
import { op, type Plan } from '../../src/core/ops.ts';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { damageOf } from '../../src/engine/data-files.ts';
import { KiB, MiB } from '../support/disks.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';
import { closedPool, contentsOf, copyPool, type SoundPool } from '../support/sound-pool.ts';

const FAST = 2 ** 40;

describe('The scrub', () => {
  let top: string;
  let sound: SoundPool;
  let dir: string;
  let pool: PoolOnFiles;

  before(() => {
    top = fs.mkdtempSync(path.join('/dev/shm', 'flashcopy-scrub-'));
    sound = closedPool(path.join(top, 'sound'));
    dir = path.join(top, 'pool');
  });
  after(() => fs.rmSync(top, { recursive: true }));
  beforeEach(() => {
    copyPool(sound.dir, dir);
    pool = PoolOnFiles.open(dir);
  });
  afterEach(() => fs.rmSync(dir, { recursive: true }));

  const info = (): ScrubInfo => pool.run(pool.core.getScrub());
  const nap = function* (): Plan<void> {
    yield op.sleep(5);
  };
  /** As the engine starts one, to its end. */
  function scrub(rate = FAST, during: () => void = () => undefined): ScrubInfo {
    pool.run(pool.core.startScrub(rate, damageOf(pool.catalog, dir)));
    while (info().state === 'running') {
      during();
      pool.run(nap());
    }
    return info();
  }
  const fileOf = (name: string): string => pool.run(pool.core.getVolume(name)).file;
  const bitmaps = (): string[] => fs.readdirSync(path.join(dir, 'bitmaps')).map((name) => `bitmaps/${name}`);
  function overwrite(file: string, offset: number, bytes: Buffer): void {
    const fd = fs.openSync(path.join(dir, file), 'r+');
    fs.writeSync(fd, bytes, 0, bytes.length, offset);
    fs.closeSync(fd);
  }
  const warnings = (): string[] => pool.run(pool.core.pool()).warnings;
  const shows = (): void => {
    for (const [name, content] of contentsOf(pool))
      assert.ok(content.equals(sound.contents.get(name)!), name);
  };

  it('finds nothing in a sound pool, also while the host writes and snapshots come and go', () => {
    assert.equal(info().state, 'never');
    const quiet = scrub();
    assert.deepEqual([quiet.state, quiet.findings, quiet.doneBytes], ['done', [], quiet.totalBytes]);
    let n = 0;
    const busy = scrub(64 * MiB, () => {
      n++;
      pool.write('data', (n % 256) * 4 * KiB, Buffer.alloc(4 * KiB, n));
      pool.write('clone', (n % 200) * 4 * KiB, Buffer.alloc(8 * KiB, n));
      if (n % 3 === 0) pool.run(pool.core.createSnapshots([{ name: `s${n}`, source: 'data' }]));
      if (n % 3 === 2 && n > 3) pool.run(pool.core.deleteSnapshot(`s${n - 2}`));
      if (n % 4 === 0) pool.flush('data');
    });
    assert.deepEqual([busy.state, busy.findings], ['done', []]);
    assert.ok(n > 10, 'the host was at work meanwhile');
    assert.deepEqual(warnings(), []);
    pool.close();
  });

  it('writes a damaged or missing bitmap file anew from memory, and names file and byte', () => {
    const [one, other] = bitmaps().sort(
      (a, b) => fs.statSync(path.join(dir, b)).size - fs.statSync(path.join(dir, a)).size,
    );
    overwrite(one!, 4096 + 5, Buffer.from([0x55]));
    fs.rmSync(path.join(dir, other!));
    const { findings, state } = scrub();
    assert.equal(state, 'done');
    assert.deepEqual(findings.map((f) => f.file).sort(), [one, other].sort());
    assert.equal(findings.find((f) => f.file === one)!.offset, 4096);
    assert.ok(warnings().some((text) => text.includes(`${one} at byte 4096`)));
    assert.deepEqual(scrub().findings, []);
    shows();
    pool.close();
    assert.deepEqual(
      checkPool(dir).findings.filter((f) => f.file !== 'reserve'),
      [],
    );
    pool = PoolOnFiles.open(dir);
    shows();
    pool.close();
  });

  it('finds blocks that cannot be read, to the byte, and serves the volume on', () => {
    const file = fileOf('alone');
    pool.unreadable = { file, offset: 20 * 4096, length: 2 * 4096 };
    const { findings } = scrub();
    assert.equal(findings.length, 1);
    const [found] = findings;
    assert.deepEqual([found!.volume, found!.file, found!.offset], ['alone', file, 20 * 4096]);
    assert.match(found!.what, /^2 blocks of 4096 bytes .* EIO/);
    assert.equal(pool.run(pool.core.getVolume('alone')).state, 'online');
    assert.equal(pool.read('alone', 0, 4096).subarray(0, 5).toString(), 'alone');
    pool.unreadable = null;
    pool.close();
  });

  it('finds data where there is to be none, and that data is never shown', () => {
    overwrite(fileOf('data-tuesday'), 250 * 4096, Buffer.alloc(4096, 7));
    const { findings } = scrub();
    assert.deepEqual(
      findings.map((f) => [f.volume, f.offset]),
      [['data-tuesday', 250 * 4096]],
    );
    // Zeros of the source become a hole of the snapshot, which is one now.
    pool.write('data', 250 * 4096, Buffer.alloc(4096, 1));
    shows_('data-tuesday');
    pool.close();
    assert.deepEqual(
      checkPool(dir).findings.filter((f) => f.file !== 'reserve'),
      [],
    );
  });
  const shows_ = (name: string): void => {
    const content = sound.contents.get(name)!;
    assert.ok(pool.read(name, 0, content.length).equals(content), name);
  };

  it('suspends a volume whose data file was cut short, and those that read through it', () => {
    const file = fileOf('data-monday');
    fs.truncateSync(path.join(dir, file), 8192);
    const { findings } = scrub();
    assert.deepEqual(
      findings.map((f) => f.file),
      [file],
    );
    const states = new Map(pool.run(pool.core.listVolumes()).map((v) => [v.name, v.state]));
    assert.equal(states.get('data-monday'), 'suspended');
    assert.equal(states.get('clone'), 'suspended');
    assert.equal(states.get('data'), 'online');
    assert.throws(() => pool.read('clone', 0, 4096), { code: 'Suspended', message: new RegExp(file) });
    pool.close();
  });

  it('reads the catalog from the disk again', () => {
    // Wherever the row is: in the file, or in the WAL.
    const row = Buffer.from('"name":"alone"');
    let changed = 0;
    for (const name of ['catalog.db', 'catalog.db-wal']) {
      const bytes = fs.readFileSync(path.join(dir, name));
      for (let at = bytes.indexOf(row); at >= 0; at = bytes.indexOf(row, at + 1), changed++)
        overwrite(name, at, Buffer.from('"name":"alome"'));
    }
    assert.ok(changed > 0);
    const { findings } = scrub();
    assert.deepEqual(
      findings.map((f) => f.file),
      ['catalog.db'],
    );
    pool.abandon();
  });

  it('stops, and goes on from there after a restart', () => {
    pool.run(pool.core.startScrub(2 * MiB, []));
    while (info().doneBytes < MiB) pool.run(nap());
    pool.run(pool.core.stopScrub());
    const stopped = info();
    assert.equal(stopped.state, 'stopped');
    pool.run(pool.core.startScrub(64 * KiB, []));
    pool.close();

    pool = PoolOnFiles.open(dir);
    const going = info();
    assert.equal(going.state, 'running');
    assert.equal(going.startedAt, stopped.startedAt);
    assert.ok(going.doneBytes >= stopped.doneBytes && going.doneBytes < going.totalBytes);
    assert.equal(scrub().state, 'done');
    pool.close();
    pool = PoolOnFiles.open(dir);
    assert.equal(info().state, 'done');
    assert.throws(() => pool.run(pool.core.startScrub(5, [])), { code: 'InvalidArgument' });
    pool.close();
  });
});
