/**
 * Copies on the node where their originals are mounted, snapshots looked into, and volumes that grow while they are
 * written to.
 */
import assert from 'node:assert/strict';
import { statfsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountAt } from '../../src/sys/mount.ts';
import { run } from '../support/commands.ts';
import { CsiNode, fails, type Mode } from '../support/csi-node.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { checkFilesystem, type FilesystemKind } from '../support/filesystems.ts';
import { Fio } from '../support/fio.ts';

const VOLUME_BYTES = 384 * MiB;
const LARGER_BYTES = 768 * MiB;
const READER = { mode: 'SINGLE_NODE_READER_ONLY' as Mode };

/** The kernel asks for this capability, which even root may lack in a container. */
async function mayGrowMountedExt4(): Promise<boolean> {
  return (await run('setpriv', ['--dump']))
    .split('\n')
    .some((line) => /^Capability bounding set: .*sys_resource/.test(line));
}

for (const fsType of ['ext4', 'xfs'] satisfies FilesystemKind[]) {
  describe(`The CSI node service with ${fsType}`, () => {
    const suite = engineSuite();
    let node: CsiNode;
    const file = (name: string) => path.join(node.staging(name), 'file');
    const bytesOf = (name: string) => {
      const { blocks, bsize } = statfsSync(node.staging(name));
      return blocks * bsize;
    };
    const uuidOf = async (name: string) => {
      const { device } = await suite.engine.getVolume(name);
      return run('blkid', ['-p', '-s', 'UUID', '-o', 'value', device]);
    };

    before(async () => {
      node = await CsiNode.start(suite);
      await suite.engine.createVolume({ name: 'data', sizeBytes: VOLUME_BYTES });
      await node.stage('data', { fsType });
      await writeFile(file('data'), 'content', { flush: true });
      // Frozen, so that all is in its place and not only in the journal, which a read-only device cannot replay.
      await run('fsfreeze', ['--freeze', node.staging('data')]);
      await suite.engine.createSnapshots([{ name: 'snapshot', source: 'data' }]);
      await run('fsfreeze', ['--unfreeze', node.staging('data')]);
    });

    it('mounts several copies of a mounted volume at once, all with its id', async () => {
      await suite.engine.cloneVolume('snapshot', { name: 'of-snapshot', sizeBytes: 0 });
      await suite.engine.cloneVolume('data', { name: 'of-volume', sizeBytes: 0 });
      for (const name of ['of-snapshot', 'of-volume']) {
        await node.stage(name, { fsType });
        assert.equal(await readFile(file(name), 'utf8'), 'content');
        assert.equal(await uuidOf(name), await uuidOf('data'));
        await writeFile(file(name), `content of ${name}`, { flush: true });
      }
      assert.equal(await readFile(file('data'), 'utf8'), 'content');
      // In another order: the original when its copy is mounted already.
      await node.unstage('data');
      await node.stage('data', { fsType });
      for (const name of ['of-snapshot', 'of-volume']) await node.unstage(name);
    });

    it('mounts a copy that is larger than its original, with all of its size', async () => {
      await suite.engine.cloneVolume('snapshot', { name: 'larger', sizeBytes: LARGER_BYTES });
      await node.stage('larger', { fsType });
      assert.equal(await readFile(file('larger'), 'utf8'), 'content');
      assert.ok(bytesOf('larger') > 1.7 * bytesOf('data'), `${bytesOf('larger')} of ${bytesOf('data')}`);
      await node.unstage('larger');
      await suite.whileAttached('larger', (device) => checkFilesystem(fsType, device));
    });

    it('mounts a snapshot read-only, and never writable', async () => {
      assert.match(await fails('FAILED_PRECONDITION', node.stage('snapshot', { fsType })), /read-only/i);
      await node.stage('snapshot', { fsType, ...READER });
      const { options, superOptions } = mountAt(node.staging('snapshot'))!;
      assert.ok(options.includes('ro'));
      assert.ok(superOptions.includes('norecovery'), superOptions.join());
      const target = await node.publish('snapshot', { fsType, ...READER });
      assert.equal(await readFile(path.join(target, 'file'), 'utf8'), 'content');
      await node.unpublish('snapshot');
      await node.unstage('snapshot');
    });

    it('mounts a copy read-only for readers, with what its journal holds', async () => {
      await writeFile(file('data'), 'newer content', { flush: true });
      await suite.engine.cloneVolume('data', { name: 'to-read', sizeBytes: 0 });
      await node.stage('to-read', { fsType, ...READER });
      assert.equal(await readFile(file('to-read'), 'utf8'), 'newer content');
      await assert.rejects(writeFile(file('to-read'), ''), /EROFS/);
      await node.unstage('to-read');
    });

    it('refuses a snapshot of an empty volume, which has nothing to mount', async () => {
      await suite.engine.createVolume({ name: 'empty', sizeBytes: VOLUME_BYTES });
      await suite.engine.createSnapshots([{ name: 'of-empty', source: 'empty' }]);
      assert.match(await fails('FAILED_PRECONDITION', node.stage('of-empty', READER)), /no filesystem/);
      await suite.engine.cloneVolume('of-empty', { name: 'of-nothing', sizeBytes: 0 });
      await node.stage('of-nothing', { fsType });
      await node.unstage('of-nothing');
    });

    it('grows a volume while it is written to, read-only targets or not', async () => {
      const target = await node.publish('data', { fsType });
      const reader = await node.publish('data', { fsType, pod: 'reader', readonly: true });
      const job = {
        file: path.join(target, 'load'),
        pattern: 'randwrite',
        blockBytes: 4096,
        depth: 16,
      } as const;
      const load = new Fio({ ...job, rangeBytes: 64 * MiB, seconds: 60 }, suite.cleanup);
      await sleep(1000);
      const before = bytesOf('data');
      assert.equal(await node.expand('data', target), VOLUME_BYTES, 'nothing to do');
      await suite.engine.growVolume('data', LARGER_BYTES);
      if (fsType === 'ext4' && !(await mayGrowMountedExt4())) {
        const message = await fails('FAILED_PRECONDITION', node.expand('data', target));
        assert.match(message, /CAP_SYS_RESOURCE/);
      } else {
        assert.equal(await node.expand('data', reader), LARGER_BYTES);
        assert.equal(await node.expand('data', target), LARGER_BYTES);
        assert.ok(bytesOf('data') > 1.7 * before, `${bytesOf('data')} of ${before}`);
      }
      assert.ok(load.running, 'fio wrote all the time');
      await load.stop();
      await node.unpublish('data');
      await node.unpublish('data', 'reader');
      await node.unstage('data');
      await suite.whileAttached('data', (device) => checkFilesystem(fsType, device));
    });

    it('does not grow further than the volume', async () => {
      await node.stage('data', { fsType });
      assert.ok(bytesOf('data') > 0.9 * LARGER_BYTES, `${bytesOf('data')}`);
      const request = {
        volumeId: await node.id('data'),
        volumePath: node.staging('data'),
        capacityRange: { requiredBytes: LARGER_BYTES + MiB },
      };
      await fails(
        'OUT_OF_RANGE',
        node.call((done) => node.client.nodeExpandVolume(request, done)),
      );
      await node.unstage('data');
    });
  });
}
