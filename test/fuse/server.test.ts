/**
 * The FUSE server, the ring, the driver and the loop around them, on a real mount and real loop devices, with the
 * pass-through core.
 */
import assert from 'node:assert/strict';
import { constants, promises as fs, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { BUGGY_VOLUME, FIRST_READ_ONLY } from '../support/pass-through-core.ts';
import { PassThroughRig, sh } from '../support/pass-through-rig.ts';

const MIB = 1 << 20;
const { O_RDWR, O_RDONLY } = constants;

async function errorCode(attempt: Promise<unknown>): Promise<string | undefined> {
  try {
    await attempt;
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

const pattern = (length: number, seed: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => i * seed + (i >> 12)));

describe('The FUSE server', () => {
  let rig: PassThroughRig;

  before(async function () {
    if (process.getuid?.() !== 0) this.skip();
    rig = await PassThroughRig.start();
    await rig.call('createVolume', { id: 1, sizeBytes: 64 * MIB });
    await rig.call('createVolume', { id: FIRST_READ_ONLY, sizeBytes: 4 * MIB });
    await rig.call('createVolume', { id: BUGGY_VOLUME, sizeBytes: 4 * MIB });
  });
  after(() => rig?.end());

  const ids = async (): Promise<number[]> => (await fs.readdir(rig.mnt)).map(Number).sort((a, b) => a - b);

  describe('shows a tree', () => {
    it('with a file for each volume, named by its id and as large as the volume', async () => {
      assert.deepEqual(await ids(), [1, BUGGY_VOLUME, FIRST_READ_ONLY]);
      const stat = await fs.stat(rig.file(1));
      assert.equal(stat.size, 64 * MIB);
      assert.equal(stat.ino, 2);
      assert.equal(stat.mode, 0o100600);
      assert.equal((await fs.stat(rig.file(FIRST_READ_ONLY))).mode, 0o100400);
    });

    it('that lists more volumes than fit one answer', async () => {
      const many = Array.from({ length: 300 }, (_, i) => 1000 + i);
      for (const id of many) await rig.call('createVolume', { id, sizeBytes: 4096 });
      assert.deepEqual((await ids()).slice(3), many);
      for (const id of many) await rig.call('deleteVolume', id);
      assert.equal((await ids()).length, 3);
    });

    it('in which a volume has one name only', async () => {
      for (const name of ['2', '01', '+1', '1 ', '1x', '0', '-1', '1e0', '9'.repeat(17), 'x'.repeat(200)]) {
        assert.equal(await errorCode(fs.stat(path.join(rig.mnt, name))), 'ENOENT', name);
      }
    });

    it('that nobody can change', async () => {
      assert.equal(await errorCode(fs.writeFile(path.join(rig.mnt, '7'), '')), 'EPERM');
      assert.equal(await errorCode(fs.unlink(rig.file(1))), 'EPERM');
      assert.equal(await errorCode(fs.truncate(rig.file(1), 4096)), 'EPERM');
      assert.equal(await errorCode(fs.rename(rig.file(1), path.join(rig.mnt, '8'))), 'EPERM');
      assert.equal(await errorCode(fs.mkdir(path.join(rig.mnt, '9'))), 'EPERM');
    });

    it('from which a deleted volume goes at once, also for who has it open', async () => {
      await rig.call('createVolume', { id: 5, sizeBytes: MIB });
      const handle = await fs.open(rig.file(5), O_RDWR);
      await rig.call('deleteVolume', 5);
      assert.equal(await errorCode(handle.read(Buffer.alloc(4096), 0, 4096, 0)), 'ENOENT');
      assert.equal(await errorCode(fs.open(rig.file(5), O_RDWR)), 'ENOENT');
      await handle.close();
    });
  });

  describe('reads and writes', () => {
    it('what the volume holds, in requests of every size', async () => {
      const handle = await fs.open(rig.file(1), O_RDWR);
      for (const [bytes, at] of [
        [4096, 8192],
        [MIB, 4096],
        [5 * MIB + 8192, 12288],
      ] as const) {
        const data = pattern(bytes, bytes % 251);
        assert.equal((await handle.write(data, 0, bytes, at)).bytesWritten, bytes);
        const back = Buffer.alloc(bytes);
        assert.equal((await handle.read(back, 0, bytes, at)).bytesRead, bytes);
        assert.ok(back.equals(data));
        const stored = await fs.open(rig.dataFile(1), O_RDONLY);
        await stored.read(back, 0, bytes, at);
        await stored.close();
        assert.ok(back.equals(data));
      }
      await handle.sync();
      await handle.close();
    });

    it('up to the end of a volume, and not past it', async () => {
      const handle = await fs.open(rig.file(1), O_RDWR);
      assert.equal((await handle.read(Buffer.alloc(8192), 0, 8192, 64 * MIB - 4096)).bytesRead, 4096);
      assert.equal((await handle.read(Buffer.alloc(4096), 0, 4096, 64 * MIB)).bytesRead, 0);
      assert.equal(await errorCode(handle.write(Buffer.alloc(4096), 0, 4096, 64 * MIB)), 'EFBIG');
      await handle.close();
    });

    it('only in multiples of 4096 bytes', async () => {
      const handle = await fs.open(rig.file(1), O_RDWR);
      assert.equal(await errorCode(handle.read(Buffer.alloc(512), 0, 512, 0)), 'EINVAL');
      assert.equal(await errorCode(handle.write(Buffer.alloc(4096), 0, 4096, 512)), 'EINVAL');
      await handle.close();
    });

    it('and does not write to a read-only volume', async () => {
      assert.equal(await errorCode(fs.open(rig.file(FIRST_READ_ONLY), O_RDWR)), 'EROFS');
      assert.equal((await fs.readFile(rig.file(FIRST_READ_ONLY))).length, 4 * MIB);
    });

    it('and turns a bug of the core into EIO and an entry of the log', async () => {
      assert.equal(await errorCode(fs.readFile(rig.file(BUGGY_VOLUME))), 'EIO');
      const isError = ({ level }: { level: string }): boolean => level === 'error';
      while (!rig.logged.some(isError)) await sleep(10);
      const entry = rig.logged.find(isError);
      assert.match(String(entry?.fields['error']), /TypeError: a bug in the core/);
    });
  });

  describe('makes holes', () => {
    const allocated = async (): Promise<number> => (await fs.stat(rig.dataFile(1))).blocks * 512;

    it('for discard and for write zeroes, of a loop device as well', async () => {
      const device = await rig.attach(1);
      for (const options of [[], ['--zeroout']]) {
        await sh('dd', 'if=/dev/urandom', `of=${device}`, 'bs=1M', 'count=16', 'oflag=direct', 'status=none');
        const before = await allocated();
        await sh('blkdiscard', ...options, '--offset', '4096', '--length', String(8 * MIB), device);
        assert.ok((await allocated()) <= before - 8 * MIB);
        const start = Buffer.alloc(MIB);
        const handle = await fs.open(rig.file(1), O_RDONLY);
        await handle.read(start, 0, MIB, 4096);
        await handle.close();
        assert.ok(start.equals(Buffer.alloc(MIB)));
      }
    });

    it('and refuses other kinds of fallocate', async () => {
      await assert.rejects(sh('fallocate', '--length', '4096', rig.file(1)), /not supported/);
      await assert.rejects(
        sh('fallocate', '--punch-hole', '--length', '512', rig.file(1)),
        /Invalid argument/,
      );
    });
  });

  describe('besides', () => {
    it('tells the kernel when a volume has grown', async () => {
      await rig.call('createVolume', { id: 3, sizeBytes: 8 * MIB });
      const device = await rig.attach(3);
      assert.equal(await sh('blockdev', '--getsize64', device), String(8 * MIB));
      assert.equal(await sh('blockdev', '--getss', device), '4096');
      await rig.call('growVolume', 3, 24 * MIB);
      await sh('stat', rig.file(3));
      await sh('losetup', '--set-capacity', device);
      assert.equal(await sh('blockdev', '--getsize64', device), String(24 * MIB));
      assert.equal((await fs.stat(rig.file(3))).size, 24 * MIB);
    });

    it('never waits in a read of /dev/fuse', () => {
      const flags = /flags:\t(\d+)/.exec(readFileSync(`/proc/${rig.pid}/fdinfo/3`, 'utf8'))![1]!;
      assert.ok((Number.parseInt(flags, 8) & constants.O_NONBLOCK) !== 0);
    });

    it('uses no CPU while there is nothing to do', async () => {
      const ticks = (): number => {
        const fields = readFileSync(`/proc/${rig.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
        return Number(fields[11]) + Number(fields[12]);
      };
      await sleep(200);
      const before = ticks();
      await sleep(2000);
      assert.ok(ticks() - before <= 1, `${ticks() - before} ticks`);
    });
  });
});
