/**
 * Filesystems on volumes and on copies of volumes that were taken while the filesystem was written to.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../support/commands.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import {
  checkFilesystem,
  checksumFiles,
  type FilesystemKind,
  makeFilesystem,
  mount,
} from '../support/filesystems.ts';
import { Fio } from '../support/fio.ts';

// XFS wants 300 MiB at least.
const VOLUME_BYTES = 384 * MiB;

/** Of sizes that are no multiple of anything. */
async function writeFiles(directory: string): Promise<void> {
  await mkdir(directory);
  for (let at = 0; at < 40; at++)
    await writeFile(path.join(directory, `${at}`), randomBytes(at * 23_456 + 7));
}

for (const kind of ['ext4', 'xfs'] satisfies FilesystemKind[]) {
  describe(`${kind} on a volume`, () => {
    const suite = engineSuite();
    let device: string;
    const place = (name: string): string => path.join(suite.directory, name);

    before(async () => {
      device = await suite.volume('data', VOLUME_BYTES);
      await makeFilesystem(kind, device);
    });

    it('holds what was written when it is mounted again', async () => {
      let unmount = await mount(suite.cleanup, device, place('data'), kind);
      await writeFiles(place('data/files'));
      const written = await checksumFiles(place('data/files'));
      await unmount();
      unmount = await mount(suite.cleanup, device, place('data'), kind);
      assert.deepEqual(await checksumFiles(place('data/files')), written);
      await unmount();
      await checkFilesystem(kind, device);
    });

    it('is whole in a copy that was taken while fio wrote to it', async () => {
      const unmount = await mount(suite.cleanup, device, place('data'), kind);
      await run('sync', ['--file-system', place('data')]);
      const written = await checksumFiles(place('data/files'));
      const file = place('data/load');
      const writer = new Fio(
{ file, pattern: 'randwrite', blockBytes: 4096, depth: 16, rangeBytes: 64 * MiB, seconds: 60 }, suite.cleanup);
      await sleep(1500);
      await suite.engine.createVolume({ name: 'copy', sizeBytes: VOLUME_BYTES });
      await suite.engine.createMapping({ name: 'map', source: 'data', target: 'copy', copyRate: 100 });
      await suite.engine.startMappings(['map']);
      const copy = await suite.engine.attachVolume('copy');
      const unmountCopy = await mount(suite.cleanup, copy, place('copy'), kind);
      assert.deepEqual(await checksumFiles(place('copy/files')), written);
      assert.ok(writer.running, 'fio wrote all the time');
      await unmountCopy();
      await checkFilesystem(kind, copy);
      await writer.stop();
      await unmount();
      await checkFilesystem(kind, device);
    });
  });
} // biome-ignore format: one line
