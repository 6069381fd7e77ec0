/** A thick volume that does not fit takes no space from its neighbours, not even while it is being refused. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Plan } from '../../src/core/ops.ts';
import { Cleanup } from '../support/cleanup.ts';
import { run } from '../support/commands.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
/** ext4 takes free space in steps of 128 MiB: so large that being refused takes it a while. */
const DISK_BYTES = 256 * GiB;
const PAGE = 4096;

describe('A thick volume that is too large for the pool', function () {
  this.timeout(60_000);
  const cleanup = new Cleanup();
  let place = '';
  let pool: PoolOnFiles;
  let writes = 0;

  before(async () => {
    const top = mkdtempSync(path.join(os.tmpdir(), 'flashcopy-thick-'));
    cleanup.defer(`remove ${top}`, () => rmSync(top, { recursive: true }));
    const image = path.join(top, 'image');
    place = path.join(top, 'place');
    writeFileSync(image, '');
    truncateSync(image, DISK_BYTES);
    await run('mkfs.ext4', ['-q', '-m', '0', image]);
    mkdirSync(place);
    await run('mount', ['-o', 'loop,noinit_itable', image, place]);
    cleanup.defer(`unmount ${place}`, () => run('umount', [place]));
    mkdirSync(path.join(place, 'pool'));
    pool = PoolOnFiles.open(path.join(place, 'pool'));
    cleanup.defer('let go of the pool', () => pool.abandon());
    const { core } = pool;
    pool.run(core.createVolume({ name: 'thin', sizeBytes: GiB }));
    pool.run(core.createVolume({ name: 'thick', sizeBytes: 4 * MiB, provisioning: 'thick' }));
    for (let i = 0; i < 16; i++) pool.write('thin', i * PAGE, Buffer.alloc(PAGE, 1));
  });
  after(() => cleanup.all());

  const freeBytes = (): number => {
    const { bavail, bsize } = statfsSync(place);
    return bavail * bsize;
  };
  /** Writes to new places of a neighbour, as long as the plans are under way; then how those ended. */
  const besideWrites = (...plans: Plan<unknown>[]): unknown[] => {
    const ended: unknown[] = [];
    for (const plan of plans)
      pool.spawn(plan, (error) => ended.push((error as { code?: string } | null)?.code));
    for (let left = 100; ended.length < plans.length || left > 0; left--)
      pool.write('thin', (writes++ % 200_000) * PAGE, Buffer.alloc(PAGE, 2));
    return ended;
  };
  const huge = (name: string, sizeBytes: number) =>
    pool.core.createVolume({ name, sizeBytes, provisioning: 'thick' });

  it('is refused, and writes of a thin neighbour go on beside that', () => {
    assert.deepEqual(besideWrites(huge('huge', 2 * DISK_BYTES)), ['OutOfSpace']);
  });

  it('is refused beside another one that takes what there is', () => {
    const part = Math.floor((freeBytes() * 0.6) / MiB) * MiB;
    const ended = besideWrites(huge('one', part), huge('other', part));
    assert.deepEqual(new Set(ended), new Set(['OutOfSpace', undefined]));
  });

  it('nor grows to that, nor is made as a copy, and keeps the snapshots of its neighbours', () => {
    const { core } = pool;
    pool.run(core.createSnapshots([{ name: 'snapshot', source: 'thin' }]));
    const copy = { name: 'copy', sizeBytes: 2 * DISK_BYTES, provisioning: 'thick' as const };
    const ended = besideWrites(core.growVolume('thick', 2 * DISK_BYTES), core.cloneVolume('thin', copy));
    assert.deepEqual(ended, ['OutOfSpace', 'OutOfSpace']);
    assert.equal(pool.run(core.getVolume('snapshot')).state, 'online');
    assert.equal(pool.run(core.getVolume('thick')).sizeBytes, 4 * MiB);
  });

  it('leaves some space, where it nearly fits', () => {
    const ended = besideWrites(huge('last', Math.floor(freeBytes() / MiB - 65) * MiB));
    assert.deepEqual(ended, [undefined]);
    assert.ok(freeBytes() > 32 * MiB);
    assert.deepEqual(besideWrites(huge('more', 2 * MiB)), ['OutOfSpace']);
  });
});
