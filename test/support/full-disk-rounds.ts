/**
 * Rounds of a disk that is filled to the last block and relieved again, under a pool of its own. In each, a snapshot that
 * an older one reads from is deleted while nothing is free, the engine is killed, and what is left must be what it was.
 */
import assert from 'node:assert/strict';
import { until } from './commands.ts';
import { checksum, KiB, MiB } from './disks.ts';
import type { EngineSuite } from './engine-suite.ts';
import { fio } from './fio.ts';
import { killOnce } from './kill-load.ts';
import { surely } from './mixed-load.ts';
import { SmallDisk } from './small-disk.ts';

const DISK_BYTES = 512 * MiB;
const DATA_BYTES = 32 * MiB;

export class FullDiskRounds {
  rounds = 0;
  readonly #suite: EngineSuite;
  readonly #disk: SmallDisk;
  readonly #device: string;

  private constructor(suite: EngineSuite, disk: SmallDisk, device: string) {
    this.#suite = suite;
    this.#disk = disk;
    this.#device = device;
  }

  static async begin(suite: EngineSuite): Promise<FullDiskRounds> {
    suite.begin();
    const disk = await SmallDisk.make(suite.cleanup, suite.directory, 'xfs', DISK_BYTES);
    await suite.start(disk.pool, ['--log-size', '16Mi']);
    await suite.engine.createVolume({ name: 'data', sizeBytes: DATA_BYTES, provisioning: 'thick' });
    return new FullDiskRounds(suite, disk, await suite.engine.attachVolume('data'));
  }

  /** How much of the disk is taken. */
  get usedBytes(): number {
    return DISK_BYTES - this.#disk.freeBytes;
  }

  async round(): Promise<void> {
    const { engine } = this.#suite;
    await this.#overwrite(0);
    await surely(() => engine.createSnapshots([{ name: 'older', source: 'data' }]));
    const older = await checksum(this.#device, DATA_BYTES);
    await this.#overwrite(8 * MiB);
    await surely(() => engine.createSnapshots([{ name: 'newer', source: 'data' }]));
    await this.#overwrite(0);
    const data = await checksum(this.#device, DATA_BYTES);
    await this.#disk.fillUp();
    await surely(() => engine.deleteSnapshot('newer'), 'VolumeNotFound');
    await killOnce(this.#suite);
    const reclaimed = async () => (await surely(() => engine.pool()))?.retired === 0;
    await until('what was deleted is reclaimed', reclaimed, 120_000);
    assert.equal(await checksum(this.#device, DATA_BYTES), data, 'a thick volume on a full disk');
    const device = (await surely(() => engine.attachVolume('older')))!;
    assert.equal(await checksum(device, DATA_BYTES), older, 'a snapshot on a full disk');
    this.#disk.relieve();
    await surely(() => engine.detachVolume('older'));
    await surely(() => engine.deleteSnapshot('older'), 'VolumeNotFound');
    this.rounds += 1;
  }

  #overwrite(offset: number): Promise<unknown> {
    const rangeBytes = 16 * MiB;
    const more = { offset, verify: 'crc32c', verify_fatal: 1 };
    return fio({ file: this.#device, pattern: 'write', blockBytes: 64 * KiB, depth: 8, rangeBytes, more });
  }
}
