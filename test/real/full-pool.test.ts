/**
 * A pool whose filesystem is full to the last block: what must go on goes on, whatever it needs of space it has already.
 */
import assert from 'node:assert/strict';
import { run, until } from '../support/commands.ts';
import { checksum, type DirectFile, KiB, MiB, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { fio } from '../support/fio.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { untilCopied } from '../support/standalone.ts';

const LOG_BYTES = 16 * MiB;
const DATA_BYTES = 48 * MiB;

const overwrite = (file: string, offset: number, rangeBytes: number): Promise<unknown> =>
  fio({ file, pattern: 'write', blockBytes: 64 * KiB, depth: 8, rangeBytes, more: { offset } });

for (const kind of ['ext4', 'xfs'] as const) {
  describe(`A full pool on ${kind}`, function () {
    this.timeout(240_000);
    const suite = engineSuite({ started: false, sound: true });
    let disk: SmallDisk;

    before(async () => {
      disk = await SmallDisk.make(suite.cleanup, suite.directory, kind, 512 * MiB);
      await suite.start(disk.pool, ['--log-size', `${LOG_BYTES / MiB}Mi`]);
    });
    afterEach(() => disk.relieve());

    const sumOf = (name: string) => suite.whileAttached(name, (snapshot) => checksum(snapshot, DATA_BYTES));
    const untilReclaimed = () =>
      until('what was deleted is reclaimed', async () => (await suite.engine.pool()).retired === 0, 60_000);

    it('warns before it is full', async () => {
      assert.deepEqual((await suite.engine.pool()).warnings, []);
      await suite.engine.createVolume({ name: 'promised', sizeBytes: 1024 * MiB });
      const [promised] = (await suite.engine.pool()).warnings;
      assert.match(promised!, /may still take .* writes will fail when it is full/);
      await suite.engine.deleteVolume('promised');
      await disk.fillUp();
      const [full] = (await suite.engine.pool()).warnings;
      assert.match(full!, /Only 0\.\d MiB of \d+\.\d MiB are free/);
    });

    it('deletes anything, also what others read from, and all its space comes back', async () => {
      const { engine } = suite;
      const freeBefore = disk.freeBytes;
      const data = await suite.volume('data', DATA_BYTES);
      await overwrite(data, 0, DATA_BYTES);
      for (const [i, name] of ['monday', 'tuesday', 'wednesday'].entries()) {
        await suite.snapshot('data', name);
        await overwrite(data, i * 8 * MiB, 24 * MiB);
      }
      const monday = await sumOf('monday');
      await disk.fillUp();

      // What monday reads there is moved to it.
      await engine.deleteSnapshot('tuesday');
      await assert.rejects(engine.getVolume('tuesday'), { code: 'VolumeNotFound' });
      await untilReclaimed();
      assert.equal((await engine.getVolume('monday')).state, 'online');
      assert.equal(await sumOf('monday'), monday);

      await engine.deleteSnapshot('monday');
      await engine.deleteSnapshot('wednesday');
      await engine.detachVolume('data');
      await engine.deleteVolume('data');
      await untilReclaimed();
      disk.relieve();
      await until('the space is back', () => disk.freeBytes > freeBefore - 20 * MiB);
    });

    it('costs a volume its snapshot or its write, as each was made, and no other anything', async () => {
      const { engine } = suite;
      const sums = new Map<string, string>();
      for (const cowFailure of ['breakSnapshot', 'failWrite'] as const) {
        await engine.createVolume({ name: cowFailure, sizeBytes: DATA_BYTES, cowFailure });
        await overwrite(await engine.attachVolume(cowFailure), 0, DATA_BYTES);
        await suite.snapshot(cowFailure, `of-${cowFailure}`);
        sums.set(cowFailure, await sumOf(`of-${cowFailure}`));
      }
      await disk.fillUp();

      const { device: strict } = await engine.getVolume('failWrite');
      await assert.rejects(overwrite(strict, 0, 4 * MiB), /No space left|error 28/);
      const { device: lenient } = await engine.getVolume('breakSnapshot');
      await fio({
        file: lenient,
        pattern: 'randwrite',
        blockBytes: 64 * KiB,
        depth: 8,
        rangeBytes: DATA_BYTES,
        more: { verify: 'crc32c', verify_fatal: 1 },
      });

      const broken = await engine.getVolume('of-breakSnapshot');
      assert.equal(broken.state, 'suspended');
      assert.match(broken.error, /ENOSPC/);
      assert.equal((await engine.getVolume('of-failWrite')).state, 'online');
      assert.equal(await sumOf('of-failWrite'), sums.get('failWrite'));
      assert.equal((await engine.getVolume('failWrite')).state, 'online');

      disk.relieve();
      await overwrite(strict, 0, 4 * MiB);
      assert.equal(await sumOf('of-failWrite'), sums.get('failWrite'));
      for (const cowFailure of ['breakSnapshot', 'failWrite']) {
        await engine.deleteSnapshot(`of-${cowFailure}`);
        await engine.detachVolume(cowFailure);
        await engine.deleteVolume(cowFailure);
      }
      await untilReclaimed();
    });

    it('fails the writes of a thin volume to new places, and no others', async () => {
      const { engine } = suite;
      const thin = await suite.volume('thin', DATA_BYTES);
      await overwrite(thin, 0, 8 * MiB);
      await disk.fillUp();
      await assert.rejects(overwrite(thin, 16 * MiB, 4 * MiB), /No space left|error 28/);
      await overwrite(thin, 0, 8 * MiB);
      assert.equal((await engine.getVolume('thin')).state, 'online');
      disk.relieve();
      await overwrite(thin, 16 * MiB, 4 * MiB);
      await engine.detachVolume('thin');
      await engine.deleteVolume('thin');
    });

    it('does not concern thick volumes: they take writes and old grains, again and again', async () => {
      const { engine } = suite;
      for (const name of ['thick', 'copy'])
        await engine.createVolume({ name, sizeBytes: DATA_BYTES, provisioning: 'thick' });
      const thick = await engine.attachVolume('thick');
      await engine.createMapping({ name: 'm', source: 'thick', target: 'copy', incremental: true });
      await engine.startMappings(['m']);
      await disk.fillUp();
      let last = '';
      for (let round = 0; round < 2; round++) {
        // Each time old grains for the whole log, and more; and bitmaps that must be written.
        await overwrite(thick, 0, DATA_BYTES);
        await run('blkdiscard', ['--offset', `${round * MiB}`, '--length', `${8 * MiB}`, thick]);
        last = await checksum(thick, DATA_BYTES);
        await engine.syncMapping('m');
        await overwrite(thick, 0, DATA_BYTES);
      }
      await engine.setCopyRate('m', 150);
      await untilCopied(engine, 'm');
      assert.equal(await sumOf('copy'), last);
    });

    it('lets its engine be killed, stopped and started, and loses nothing', async () => {
      const { engine } = suite;
      const { device } = await engine.getVolume('thick');
      await disk.fillUp();
      await withDirectFile(device, 'write', async (file) => {
        for (let kill = 0; kill < 3; kill++) {
          await file.write(kill * SECTOR, tagSector(`kill ${kill}`));
          await suite.standalone.killChild();
          await file.read(kill * SECTOR, SECTOR);
        }
      });
      const sum = await checksum(device, DATA_BYTES);
      await suite.standalone.stop();
      await disk.fillUp(); // that gave space back
      await suite.start(disk.pool);
      const again = await suite.engine.attachVolume('thick');
      assert.equal(await checksum(again, DATA_BYTES), sum);
      await withDirectFile(again, 'durable', (file: DirectFile) => file.write(0, tagSector('goes on')));
      await suite.engine.deleteMapping('m', false);
      await suite.engine.deleteVolume('copy');
      await untilReclaimed();
    });
  });
}
