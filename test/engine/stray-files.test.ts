/** A pool's files that no row names: removed when it is opened, where the catalog is surely the whole truth. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../../src/base/errors.ts';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { strayFiles } from '../support/leftovers.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';
import { closedPool } from '../support/sound-pool.ts';

describe('Files of a pool that no row names', () => {
  let top: string;
  let dir: string;
  beforeEach(() => {
    top = fs.mkdtempSync('/dev/shm/flashcopy-strays-');
    dir = path.join(top, 'pool');
    closedPool(dir);
  });
  afterEach(() => fs.rmSync(top, { recursive: true }));

  const put = (name: string, content = '') => fs.writeFileSync(path.join(dir, name), content);
  const there = (name: string) => fs.existsSync(path.join(dir, name));
  const openAndClose = () => PoolOnFiles.open(dir).close();
  /** Its number was given out, to something else. */
  function unusedDataFile(): string {
    for (let n = 1; ; n++) if (!there(`volumes/${n}.data`)) return `volumes/${n}.data`;
  }

  it('are removed when it is opened: what a death has left', () => {
    put('bitmaps/1.999', 'a generation that no commit names');
    put(unusedDataFile(), 'of a volume that is gone');
    put('volumes/999999.data'); // made, and its commit never came
    openAndClose();
    assert.deepEqual(strayFiles(dir), []);
  });

  it('stay where they are if they are none of a pool', () => {
    put('volumes/notes.txt', 'mine');
    openAndClose();
    assert.ok(there('volumes/notes.txt'));
  });

  it('stay, beside a file that a row names and that is not there', () => {
    fs.rmSync(path.join(dir, 'bitmaps', fs.readdirSync(path.join(dir, 'bitmaps'))[0]!));
    put('bitmaps/1.999', 'it may be what is missing');
    openAndClose();
    assert.ok(there('bitmaps/1.999'));
    const { repaired } = checkPool(dir, { repair: true });
    assert.ok(there('bitmaps/1.999'), `also after a repair of ${repaired.length} findings`);
  });

  it('stay, beside a bitmap with a number that the catalog has not given out: it is an old copy', () => {
    put('bitmaps/1.999', 'of a catalog that was lost');
    put('bitmaps/999999.1', 'of a catalog that was lost');
    openAndClose();
    assert.ok(there('bitmaps/1.999') && there('bitmaps/999999.1'));
    const { findings } = checkPool(dir, { repair: true });
    assert.deepEqual(findings.map(({ file }) => file).sort(), ['bitmaps/1.999', 'bitmaps/999999.1']);
    assert.ok(there('bitmaps/1.999') && there('bitmaps/999999.1'));
  });

  it('and hold data, where the catalog has no row at all: the pool is refused, and the check says why', () => {
    const empty = path.join(top, 'empty');
    fs.mkdirSync(empty);
    PoolOnFiles.open(empty).abandon();
    fs.rmSync(path.join(dir, 'catalog.db'));
    fs.copyFileSync(path.join(empty, 'catalog.db'), path.join(dir, 'catalog.db'));
    assert.throws(openAndClose, (error) => error instanceof FlashCopyError && error.code === 'Damaged');
    const { findings, repaired } = checkPool(dir, { repair: true });
    assert.ok(findings.some(({ what }) => what.includes('the catalog is older')));
    assert.deepEqual(repaired, []);
  });
});
