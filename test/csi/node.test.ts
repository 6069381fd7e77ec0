/**
 * The CSI node service on real volumes: what kubelet asks for, as it asks for it.
 */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, statfsSync } from 'node:fs';
import { mkdir, readFile, symlink, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { NodeGetInfoResponse__Output } from '../../src/csi/generated/csi/v1/NodeGetInfoResponse.ts';
import { mountAt } from '../../src/sys/mount.ts';
import { attempt, run } from '../support/commands.ts';
import { CsiNode, fails, isWell, type Mode, NODE } from '../support/csi-node.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite, refused } from '../support/engine-suite.ts';
import type { FilesystemKind } from '../support/filesystems.ts';

const VOLUME_BYTES = 512 * MiB;

describe('The CSI node service', () => {
  const suite = engineSuite();
  let node: CsiNode;
  const create = (name: string, sizeBytes = VOLUME_BYTES) => suite.engine.createVolume({ name, sizeBytes });
  const deviceOf = async (name: string) => (await suite.engine.getVolume(name)).device;

  before(async () => {
    node = await CsiNode.start(suite);
  });

  for (const fsType of ['ext4', 'xfs'] satisfies FilesystemKind[]) {
    describe(`mounts ${fsType}`, () => {
      const name = `volume-${fsType}`;
      before(() => create(name));

      it('made on an empty volume, nosuid and nodev, and again when it was', async () => {
        for (let time = 0; time < 2; time++) await node.stage(name, { fsType });
        const staged = mountAt(node.staging(name))!;
        assert.equal(staged.type, fsType);
        assert.ok(staged.options.includes('nosuid') && staged.options.includes('nodev'));
        for (let time = 0; time < 2; time++) await node.publish(name, { fsType });
        await writeFile(path.join(node.target(name), 'file'), 'content');
        assert.equal(await readFile(path.join(node.staging(name), 'file'), 'utf8'), 'content');
      });

      it('tells bytes, inodes and that it is well', async () => {
        const stats = await node.stats(name);
        const { usage } = stats;
        const { blocks, bsize, files } = statfsSync(node.target(name));
        const [bytes, inodes] = usage;
        assert.deepEqual([bytes!.unit, bytes!.total], ['BYTES', blocks * bsize]);
        assert.ok(bytes!.used > 0 && bytes!.used + bytes!.available <= bytes!.total);
        assert.deepEqual([inodes!.unit, inodes!.total], ['INODES', files]);
        assert.equal(inodes!.used + inodes!.available, inodes!.total);
        assert.ok(isWell(stats), stats.volumeCondition!.message);
      });

      it('and takes it away again, in as many attempts as it is asked', async () => {
        for (let time = 0; time < 2; time++) await node.unpublish(name);
        assert.ok(!existsSync(node.target(name)));
        for (let time = 0; time < 2; time++) await node.unstage(name);
        assert.equal(await deviceOf(name), '');
        await node.stage(name, { fsType });
        assert.equal(await readFile(path.join(node.staging(name), 'file'), 'utf8'), 'content');
        await node.unstage(name);
      });
    });
  }

  describe('publishes', () => {
    const name = 'shared';
    const writable = (target: string) => attempt('touch', [path.join(target, 'written')]);
    before(async () => {
      await create(name);
      await node.stage(name);
    });
    after(() => node.release(name));

    it('read-only where it is asked, beside a writable target', async () => {
      const [reader, writer] = [{ readonly: true, pod: 'reader' }, { pod: 'writer' }];
      await node.publish(name, reader);
      await node.publish(name, writer);
      assert.match((await writable(node.target(name, 'reader'))).stderr, /Read-only/);
      assert.equal((await writable(node.target(name, 'writer'))).status, 0);
      await node.publish(name, reader);
      await fails('ALREADY_EXISTS', node.publish(name, { pod: 'reader' }));
      await fails('ALREADY_EXISTS', node.publish(name, { readonly: true, pod: 'writer' }));
    });

    it('at several targets for several writers, at one for a single writer', async () => {
      await node.publish(name, { mode: 'SINGLE_NODE_MULTI_WRITER', pod: 'third' });
      const message = await fails(
        'FAILED_PRECONDITION',
        node.publish(name, { mode: 'SINGLE_NODE_SINGLE_WRITER', pod: 'fourth' }),
      );
      assert.match(message, /pods\/shared-(reader|writer|third)/);
      assert.ok(!existsSync(node.target(name, 'fourth')));
      for (const pod of ['reader', 'writer']) await node.unpublish(name, pod);
      // The one target that it has, again.
      await node.publish(name, { mode: 'SINGLE_NODE_SINGLE_WRITER', pod: 'third' });
    });

    it('and keeps what is still published from being unstaged', async () => {
      assert.match(await fails('FAILED_PRECONDITION', node.unstage(name)), /pods\/shared-third/);
      assert.ok(mountAt(node.staging(name)), 'it is staged as before');
      await node.unpublish(name, 'third');
    });

    it('nothing over what is there, and removes nothing that is not its own', async () => {
      const target = node.target(name, 'strange');
      await mkdir(path.join(target, 'data'), { recursive: true });
      await run('mount', ['-t', 'tmpfs', 'tmpfs', target]);
      assert.match(await fails('FAILED_PRECONDITION', node.publish(name, { pod: 'strange' })), /tmpfs/);
      assert.match(await fails('FAILED_PRECONDITION', node.unpublish(name, 'strange')), /tmpfs/);
      await run('umount', [target]);
      assert.match(await fails('FAILED_PRECONDITION', node.unpublish(name, 'strange')), /content/);
      assert.ok(existsSync(path.join(target, 'data')));
    });

    it('not through a symbolic link', async () => {
      const [elsewhere, target] = [node.place('elsewhere'), node.target(name, 'link')];
      await mkdir(elsewhere);
      await symlink(elsewhere, target);
      assert.match(await fails('INVALID_ARGUMENT', node.publish(name, { pod: 'link' })), /symbolic link/);
      assert.equal(mountAt(elsewhere), undefined);
      await unlink(target);
    });
  });

  describe('has a raw block device', () => {
    const name = 'raw';
    const write = (target: string) =>
      attempt('dd', [
        'if=/dev/urandom',
        `of=${target}`,
        'bs=4096',
        'count=1',
        'conv=notrunc',
        'oflag=direct',
      ]);
    const block = { access: 'block' as const };
    before(() => create(name, 16 * MiB));

    it('that is published as a device and can be written', async () => {
      for (let time = 0; time < 2; time++) await node.stage(name, block);
      for (let time = 0; time < 2; time++) await node.publish(name, block);
      assert.ok(lstatSync(node.target(name)).isBlockDevice());
      assert.equal((await write(node.target(name))).status, 0);
      const stats = await node.stats(name);
      const { usage } = stats;
      assert.deepEqual([usage[0]!.unit, usage[0]!.total], ['BYTES', 16 * MiB]);
      assert.ok(isWell(stats), stats.volumeCondition!.message);
    });

    it('that is in use as long as it is published, whether somebody has it open or not', async () => {
      const message = /published at .*pods\/raw-pod/;
      assert.match(await refused('VolumeInUse', suite.engine.detachVolume(name)), message);
      assert.match(await refused('VolumeInUse', suite.engine.deleteVolume(name)), message);
      assert.equal((await write(node.target(name))).status, 0);
    });

    it('that is not mounted as well, nor unstaged, while it is published', async () => {
      assert.match(await fails('FAILED_PRECONDITION', node.stage(name)), /block device/);
      assert.match(await fails('FAILED_PRECONDITION', node.unstage(name)), /pods\/raw-pod/);
      await fails('FAILED_PRECONDITION', node.publish(name, { ...block, readonly: true, pod: 'reader' }));
      await fails('ALREADY_EXISTS', node.publish(name, { ...block, readonly: true }));
    });

    it('that cannot be written where it is read-only', async () => {
      await node.unpublish(name);
      assert.ok(!existsSync(node.target(name)));
      await node.publish(name, { ...block, readonly: true });
      assert.notEqual((await write(node.target(name))).status, 0);
      await node.unpublish(name);
      await node.publish(name, block);
      assert.equal((await write(node.target(name))).status, 0);
    });

    it('that grows while it is published', async () => {
      await suite.engine.growVolume(name, 32 * MiB);
      assert.equal(await node.expand(name, node.target(name), block), 32 * MiB);
      assert.equal((await node.stats(name)).usage[0]!.total, 32 * MiB);
    });

    it('and takes it away again', async () => {
      for (let time = 0; time < 2; time++) await node.unpublish(name);
      for (let time = 0; time < 2; time++) await node.unstage(name);
      assert.equal(await deviceOf(name), '');
    });
  });

  describe('mounts with options', () => {
    const name = 'options';
    before(() => create(name));
    after(() => node.release(name));

    it('that are in its list', async () => {
      await node.stage(name, { mountFlags: ['noatime', 'noexec', 'commit=30'] });
      const { options, superOptions } = mountAt(node.staging(name))!;
      for (const option of ['noatime', 'noexec', 'nosuid', 'nodev'])
        assert.ok(options.includes(option), option);
      assert.ok(superOptions.includes('commit=30'));
      const published = mountAt(await node.publish(name))!;
      for (const option of ['noatime', 'noexec', 'nosuid', 'nodev'])
        assert.ok(published.options.includes(option), option);
      await node.unpublish(name);
      await node.unstage(name);
    });

    for (const option of [
      'suid',
      'dev',
      'errors=panic',
      'nobarrier',
      'noatime,suid',
      'loop',
      'bind',
      'x-a',
      '',
    ])
      it(`and not "${option}"`, async () => {
        const message = await fails('INVALID_ARGUMENT', node.stage(name, { mountFlags: [option] }));
        assert.match(message, /mount option/);
      });

    it('and not those of another filesystem', async () => {
      assert.match(await fails('INVALID_ARGUMENT', node.stage(name, { mountFlags: ['inode32'] })), /inode32/);
    });

    it('read-only, with access for readers or by option', async () => {
      const modes: Mode[] = ['SINGLE_NODE_READER_ONLY', 'MULTI_NODE_READER_ONLY'];
      for (const wish of [...modes.map((mode) => ({ mode })), { mountFlags: ['ro'] }]) {
        await node.stage(name, wish);
        assert.ok(mountAt(await node.publish(name, wish))!.options.includes('ro'));
        await fails('ALREADY_EXISTS', node.stage(name));
        await node.unpublish(name);
        await node.unstage(name);
      }
    });

    it('and not as another filesystem than it has', async () => {
      assert.match(await fails('FAILED_PRECONDITION', node.stage(name, { fsType: 'xfs' })), /ext4/);
      await fails('INVALID_ARGUMENT', node.stage(name, { fsType: 'btrfs' }));
      assert.equal(await deviceOf(name), '');
    });
  });

  describe('refuses', () => {
    const strange = ['../../etc', 'x'.repeat(10_000), 'a\0b', `${NODE}/00000000/1`, `node-2/00000000/1`];
    const paths = { stagingTargetPath: '/nowhere/staging', targetPath: '/nowhere/target' };
    const volumeCapability = { accessMode: { mode: 'SINGLE_NODE_WRITER' as Mode }, mount: {} };

    it('ids that are not of its volumes', async () => {
      for (const volumeId of strange) {
        const request = { volumeId, ...paths, volumeCapability };
        await fails(
          'NOT_FOUND',
          node.call((done) => node.client.nodeStageVolume(request, done)),
        );
        await fails(
          'NOT_FOUND',
          node.call((done) => node.client.nodePublishVolume(request, done)),
        );
        const stats = { volumeId, volumePath: '/' };
        await fails(
          'NOT_FOUND',
          node.call((done) => node.client.nodeGetVolumeStats(stats, done)),
        );
        await fails(
          'NOT_FOUND',
          node.call((done) => node.client.nodeExpandVolume(stats, done)),
        );
        await node.call((done) => node.client.nodeUnpublishVolume(request, done));
        await node.call((done) => node.client.nodeUnstageVolume(request, done));
      }
    });

    it('arguments that are missing or wrong, before it looks for the volume', async () => {
      const whole = { volumeId: 'unknown', ...paths, volumeCapability };
      const wrong = [
        { ...whole, volumeId: '' },
        { ...whole, volumeCapability: null },
        { ...whole, volumeCapability: { mount: {} } },
        { ...whole, volumeCapability: { accessMode: volumeCapability.accessMode } },
        {
          ...whole,
          volumeCapability: { mount: {}, accessMode: { mode: 'MULTI_NODE_MULTI_WRITER' as Mode } },
        },
        ...['', 'relative', '/', '/a/../b', '/a//b', '/a\0b'].map((stagingTargetPath) => ({
          ...whole,
          stagingTargetPath,
        })),
      ];
      for (const request of wrong) {
        await fails(
          'INVALID_ARGUMENT',
          node.call((done) => node.client.nodeStageVolume(request, done)),
        );
        await fails(
          request.stagingTargetPath === '' ? 'FAILED_PRECONDITION' : 'INVALID_ARGUMENT',
          node.call((done) => node.client.nodePublishVolume(request, done)),
        );
      }
      const noTarget = { ...whole, targetPath: '' };
      await fails(
        'INVALID_ARGUMENT',
        node.call((done) => node.client.nodePublishVolume(noTarget, done)),
      );
      await fails(
        'INVALID_ARGUMENT',
        node.call((done) => node.client.nodeUnpublishVolume(noTarget, done)),
      );
    });

    it('to look at paths where the volume is not', async () => {
      await create('elsewhere', 16 * MiB);
      await fails('NOT_FOUND', node.stats('elsewhere', 'some/path'));
      await create('staged', 16 * MiB);
      await node.stage('staged');
      for (const place of ['/nowhere', '/', '/tmp', node.staging('staged')])
        await fails('NOT_FOUND', node.stats('elsewhere', place));
      await node.release('staged');
      await fails('NOT_FOUND', node.expand('elsewhere', '/tmp'));
      await fails('FAILED_PRECONDITION', node.publish('elsewhere'));
    });
  });

  it('tells its name, its topology and how many volumes it can have', async () => {
    const info = await node.call<NodeGetInfoResponse__Output>((done) => node.client.nodeGetInfo({}, done));
    assert.equal(info.nodeId, NODE);
    assert.deepEqual(info.accessibleTopology?.segments, { 'topology.flashcopy.dev/node': NODE });
    assert.equal(info.maxVolumesPerNode, 300);
  });

  it('does one thing after the other where many ask for the same volume at once', async () => {
    const name = 'many';
    await create(name);
    await Promise.all(Array.from({ length: 20 }, () => node.stage(name)));
    await Promise.all(Array.from({ length: 20 }, () => node.publish(name)));
    assert.ok(mountAt(node.target(name)));
    await Promise.all(Array.from({ length: 20 }, () => node.unpublish(name)));
    await Promise.all(Array.from({ length: 20 }, () => node.unstage(name)));
    assert.equal(await deviceOf(name), '');
  });
});
