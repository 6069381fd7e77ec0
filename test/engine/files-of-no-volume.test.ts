/** The data file of a volume that was never made is nobody's, whoever has read or copied it since: it holds nothing but zeros. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { fallocate } from '../../src/sys/libc.ts';
import { MiB } from '../support/disks.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';
import { closedPool } from '../support/sound-pool.ts';

const FILE = 'volumes/999999.data';
const BYTES = 4 * MiB;

/** What has become of the space that was allocated for it, before the commit that never came. */
const SINCE: Record<string, (file: string) => void> = {
  'was read': (file) => void fs.readFileSync(file),
  'was copied with all its zeros': (file) => fs.writeFileSync(file, Buffer.alloc(BYTES)),
};

describe('The data file of a volume that was never made', () => {
  let top: string;
  let dir: string;
  beforeEach(() => {
    // On a disk: in a filesystem in memory, what was allocated stays a hole for the kernel.
    top = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-never-'));
    dir = path.join(top, 'pool');
    closedPool(dir);
    const fd = fs.openSync(path.join(dir, FILE), 'w');
    fallocate(fd, 0, 0, BYTES, FILE);
    fs.closeSync(fd);
  });
  afterEach(() => fs.rmSync(top, { recursive: true }));

  const openAndClose = () => PoolOnFiles.open(dir).close();
  const isThere = () => fs.existsSync(path.join(dir, FILE));

  for (const [what, happens] of Object.entries(SINCE)) {
    it(`is removed by a start where it ${what}`, () => {
      happens(path.join(dir, FILE));
      openAndClose();
      assert.ok(!isThere());
    });

    it(`is removed by a repair where it ${what}`, () => {
      happens(path.join(dir, FILE));
      assert.deepEqual(
        checkPool(dir, { repair: true }).repaired.map(({ file }) => file),
        [FILE],
      );
      assert.ok(!isThere());
    });
  }

  it('is that of another catalog where one byte of it is not zero: the pool is refused', () => {
    const fd = fs.openSync(path.join(dir, FILE), 'r+');
    fs.writeSync(fd, 'x', BYTES - 1);
    fs.closeSync(fd);
    assert.throws(openAndClose, { code: 'Damaged', message: /is older than volumes\/999999\.data/ });
    const { findings, repaired } = checkPool(dir, { repair: true });
    assert.deepEqual([findings.map(({ file }) => file), repaired], [[FILE], []]);
    assert.ok(isThere());
  });
});
