/** A catalog.db of an earlier moment that was put back: the pool is refused and stays as it is, and goes on with the right one. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { KiB } from '../support/disks.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';
import { filesOf } from '../support/sound-pool.ts';

const GRAIN = 64 * KiB;
const GRAINS = 16;
/** With its snapshot, so much that the undo log goes round. */
const LARGE = 256;

describe('A catalog that is older than its pool', () => {
  let top: string;
  let dir: string;
  beforeEach(() => {
    top = fs.mkdtempSync('/dev/shm/flashcopy-older-');
    dir = path.join(top, 'pool');
    fs.mkdirSync(dir);
  });
  afterEach(() => fs.rmSync(top, { recursive: true }));

  const at = (name: string) => path.join(dir, name);
  const keep = (as: string) => fs.copyFileSync(at('catalog.db'), path.join(top, as));
  const putBack = (kept: string) => fs.copyFileSync(path.join(top, kept), at('catalog.db'));
  function write(pool: PoolOnFiles, name: string, grains: number, byte: number): void {
    for (let g = 0; g < grains; g++) pool.write(name, g * GRAIN, Buffer.alloc(GRAIN, byte));
    pool.flush(name);
  }
  function session(happens: (pool: PoolOnFiles) => void): void {
    const pool = PoolOnFiles.open(dir);
    happens(pool);
    pool.close();
  }
  function create(pool: PoolOnFiles, name: string, grains: number): void {
    pool.run(pool.core.createVolume({ name, sizeBytes: grains * GRAIN, grainBytes: GRAIN }));
    write(pool, name, grains, 1);
    pool.run(pool.core.createSnapshots([{ name: `${name}-s`, source: name }]));
  }
  const content = () =>
    filesOf(dir)
      .filter((name) => !/^(engine\.lock|catalog\.db.*|reserve)$/.test(name))
      .map((name) => [name, crc32(fs.readFileSync(at(name)))]);

  /** Neither a start nor a repair goes on with it, or changes anything. */
  function refused(told: RegExp): void {
    const before = content();
    assert.throws(() => PoolOnFiles.open(dir), { code: 'Damaged', message: told });
    const { findings, repaired } = checkPool(dir, { repair: true });
    assert.ok(findings.some(({ what, remedy }) => /is older/.test(what) && /catalog\.db-wal/.test(remedy)));
    assert.deepEqual(repaired, []);
    assert.throws(() => PoolOnFiles.open(dir), { code: 'Damaged', message: told });
    assert.deepEqual(content(), before);
  }

  it('is refused for a bitmap of a generation behind the next', () => {
    session((pool) => create(pool, 'v', GRAINS));
    keep('old');
    for (const byte of [2, 3]) session((pool) => write(pool, 'v', byte * 2, byte));
    keep('right');
    putBack('old');
    refused(/is older than bitmaps\/.* generation 0/);
    putBack('right');
    session((pool) => assert.equal(pool.read('v-s', 0, GRAIN)[0], 1));
  });

  it('is refused for the next generation of a bitmap, where its own is gone', () => {
    session((pool) => create(pool, 'v', GRAINS));
    session((pool) => write(pool, 'v', 1, 2));
    keep('old');
    session((pool) => write(pool, 'v', 2, 2));
    keep('right');
    putBack('old');
    refused(/is older than bitmaps\/.* generation 1/);
    putBack('right');
    session((pool) => assert.deepEqual([...pool.read('v-s', GRAIN, 3)], [1, 1, 1]));
  });

  it('is refused for an undo log that has gone round since', () => {
    session((pool) => {
      create(pool, 'v', GRAINS);
      create(pool, 'large', LARGE);
    });
    keep('old');
    for (const byte of [2, 3])
      session((pool) => {
        write(pool, 'large', LARGE, byte);
        pool.run(pool.core.createSnapshots([{ name: `s${byte}`, source: 'large' }]));
        write(pool, 'large', LARGE, byte + 2);
        pool.run(pool.core.deleteSnapshot(`s${byte}`));
      });
    putBack('old');
    // Of bitmaps and volumes nothing tells: so much is only the log's.
    for (const name of fs.readdirSync(at('bitmaps'))) fs.rmSync(at(`bitmaps/${name}`));
    refused(/is older than the undo log/);
  });
});
