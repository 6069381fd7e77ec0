/**
 * Space: what is discarded comes back, and a pool without any left costs a snapshot, not the host's writes.
 */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run, until } from '../support/commands.ts';
import { checksum, KiB, MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { checkFilesystem, makeFilesystem, mount } from '../support/filesystems.ts';
import { fio } from '../support/fio.ts';

/** More than half of the small pool: it has no room for a second one. */
const BUSY_BYTES = 272 * MiB;

const fill = (file: string, rangeBytes: number): Promise<unknown> =>
  fio({ file, pattern: 'write', blockBytes: 1024 * KiB, depth: 4, rangeBytes });

describe('Discarded space', () => {
  const suite = engineSuite();
  const allocated = async (name: string): Promise<number> =>
    (await suite.engine.getVolume(name)).allocatedBytes;

  it('comes back from a device', async () => {
    const device = await suite.volume('device', 128 * MiB);
    await fill(device, 128 * MiB);
    assert.ok((await allocated('device')) >= 128 * MiB);
    await run('blkdiscard', ['--offset', `${32 * MiB}`, '--length', `${96 * MiB}`, device]);
    assert.ok((await allocated('device')) <= 33 * MiB, `${await allocated('device')}`);
  });

  it('stays with a thick volume, as zeros', async () => {
    await suite.engine.createVolume({ name: 'thick', sizeBytes: 64 * MiB, provisioning: 'thick' });
    const device = await suite.engine.attachVolume('thick');
    await fill(device, 64 * MiB);
    await run('blkdiscard', [device]);
    assert.ok((await allocated('thick')) >= 64 * MiB, `${await allocated('thick')}`);
    await run('cmp', ['--bytes', `${64 * MiB}`, device, '/dev/zero']);
  });

  it('comes back from a filesystem', async () => {
    const device = await suite.volume('files', 256 * MiB);
    await makeFilesystem('ext4', device);
    const place = path.join(suite.directory, 'files');
    const unmount = await mount(suite.cleanup, device, place, 'ext4');
    const empty = await allocated('files');
    await fill(path.join(place, 'large'), 128 * MiB);
    const full = await allocated('files');
    assert.ok(full >= empty + 128 * MiB);
    await rm(path.join(place, 'large'));
    await run('sync', ['--file-system', place]);
    await run('fstrim', [place]);
    assert.ok((await allocated('files')) <= full - 120 * MiB, `${await allocated('files')} of ${full}`);
    await unmount();
    await checkFilesystem('ext4', device);
  });

  it('stays in a snapshot that was taken before', async () => {
    const device = await suite.volume('kept', 32 * MiB);
    await fill(device, 32 * MiB);
    const sum = await checksum(device, 32 * MiB);
    await suite.snapshot('kept', 'before');
    await run('blkdiscard', [device]);
    assert.notEqual(await checksum(device, 32 * MiB), sum);
    assert.equal(await suite.whileAttached('before', (snapshot) => checksum(snapshot, 32 * MiB)), sum);
  });
});

describe('A pool that was moved as a sparse copy', () => {
  const suite = engineSuite({ started: false });

  before(() => suite.start(undefined, ['--log-size', '16Mi']));

  it('has all the space again that it counts on, once its engine is started', async () => {
    await suite.engine.createVolume({ name: 'thick', sizeBytes: 64 * MiB, provisioning: 'thick' });
    const { pool } = suite.standalone;
    await suite.standalone.stop();
    const counted = ['log', 'reserve', 'volumes/1.data'].map((name) => path.join(pool, name));
    const sizes = counted.map((file) => statSync(file).size);
    const isAllocated = () => counted.map((file, i) => statSync(file).blocks * 512 >= sizes[i]!);
    for (const file of counted) {
      await run('cp', ['--archive', '--sparse=always', '--reflink=never', file, `${file}.copy`]);
      await rename(`${file}.copy`, file);
    }
    assert.deepEqual(isAllocated(), [false, false, false]);
    await suite.start();
    await until('all is allocated', () => !isAllocated().includes(false));
    assert.deepEqual((await suite.engine.pool()).warnings, []);
  });
});

describe('A pool without space left', () => {
  const suite = engineSuite({ started: false });

  before(async () => {
    const image = path.join(suite.directory, 'small.img');
    await writeFile(image, '');
    await truncate(image, 512 * MiB);
    await makeFilesystem('ext4', image);
    const place = path.join(suite.directory, 'small');
    await mkdir(place);
    await run('mount', ['-o', 'loop', image, place]);
    suite.cleanup.defer(`unmount ${place}`, () => run('umount', [place]));
    await suite.start(path.join(place, 'pool'), ['--log-size', '32Mi']);
  });

  it('breaks the snapshot that needs it and says so; writes go on and another snapshot stays', async () => {
    const { engine } = suite;
    const busy = await suite.volume('busy', BUSY_BYTES);
    const calm = await suite.volume('calm', 32 * MiB);
    await fill(busy, BUSY_BYTES);
    await fill(calm, 32 * MiB);
    const calmSum = await checksum(calm, 32 * MiB);
    await suite.snapshot('busy', 'doomed');
    await suite.snapshot('calm', 'safe');

    const job = {
      file: busy,
      pattern: 'randwrite',
      blockBytes: 64 * KiB,
      depth: 32,
      rangeBytes: BUSY_BYTES,
    } as const;
    await fio({ ...job, more: { verify: 'crc32c', verify_fatal: 1 } });

    const doomed = await engine.getVolume('doomed');
    assert.notEqual(doomed.state, 'online');
    assert.match(doomed.error, /space|ENOSPC/i);
    assert.equal((await engine.getVolume('busy')).state, 'online');
    assert.equal((await engine.getVolume('safe')).state, 'online');
    assert.equal(await suite.whileAttached('safe', (snapshot) => checksum(snapshot, 32 * MiB)), calmSum);

    await engine.deleteSnapshot('doomed');
    await suite.snapshot('busy', 'next');
    assert.equal((await engine.getVolume('next')).state, 'online');
  });
});
