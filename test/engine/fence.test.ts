/** What a dead engine was writing, to a disk that takes its time for it: it does not land on anything newer. */
import assert from 'node:assert/strict';
import { closeSync, constants, mkdirSync, openSync, statSync } from 'node:fs';
import path from 'node:path';
import { op, type Plan, PoolFile, Runner } from '../../src/core/ops.ts';
import { MemoryPool } from '../../src/engine/memory-pool.ts';
import { RingDriver } from '../../src/engine/ring-driver.ts';
import { Ring } from '../../src/sys/ring.ts';
import { Cleanup } from '../support/cleanup.ts';
import { run } from '../support/commands.ts';
import { MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { SLOW, type SlowDisk, slowDisk } from '../support/slow-disk.ts';

const AT = 2 * SECTOR;

for (const kind of ['ext4', 'xfs'] as const) {
  describe(`A write of a dead engine that is at a slow disk, on ${kind},`, () => {
    const cleanup = new Cleanup();
    const memory = new MemoryPool();
    const block = memory.take(2 * SECTOR);
    let disk: SlowDisk;
    let dir: string;
    before(async () => {
      disk = await slowDisk(cleanup, kind);
      dir = disk.place;
      mkdirSync(path.join(dir, 'volumes'));
    });
    after(() => cleanup.all());

    /** Its ring, with that write under way; the answer waits until it has ended. */
    async function formerEngine(file: PoolFile): Promise<() => void> {
      const ring = new Ring();
      const fd = openSync(path.join(dir, file.path), constants.O_RDWR | constants.O_DIRECT);
      block.bytes.set(tagSector(SLOW));
      let result = 0;
      const complete = (bytes: number) => {
        result = bytes;
      };
      const isAtDisk = disk.hasOne();
      ring.write(fd, block.address, SECTOR, AT, ring.adopt({ complete }));
      ring.flush();
      await isAtDisk;
      return () => {
        while (result === 0) {
          ring.enter();
          ring.dispatch();
        }
        assert.equal(result, SECTOR);
        ring.close();
        closeSync(fd);
      };
    }

    /** The next one: it writes as its first act, and flushes. */
    function nextEngine(file: PoolFile, text: string): void {
      const ring = new Ring();
      const commit = () => assert.fail('nothing is committed');
      const driver = new RingDriver(ring, { poolDir: dir, commit });
      const runner = new Runner(driver);
      driver.runner = runner;
      block.bytes.set(tagSector(text), SECTOR);
      const plan = function* (): Plan<void> {
        yield op.write(file, AT, SECTOR, block, SECTOR);
        yield op.flush(file);
      };
      let ended = false;
      runner.spawn(plan(), (error) => {
        assert.equal(error, null);
        ended = true;
      });
      for (runner.pump(); !ended; runner.pump()) {
        ring.enter();
        ring.dispatch();
      }
      driver.close();
      ring.close();
    }

    it('does not land on a newer one, neither in a data file nor in the log, and they are as long as before', async () => {
      for (const name of ['volumes/1.data', 'log']) {
        const file = path.join(dir, name);
        await run('dd', ['if=/dev/zero', `of=${file}`, 'bs=1M', 'count=1', 'conv=fsync', 'status=none']);
        const untilEnded = await formerEngine(new PoolFile(name));
        nextEngine(new PoolFile(name), 'newer');
        untilEnded();
        await withDirectFile(file, 'read', async (content) =>
          assert.equal(readTag(await content.read(AT, SECTOR)), 'newer', name),
        );
        assert.equal(statSync(file).size, MiB);
      }
    });
  });
}
