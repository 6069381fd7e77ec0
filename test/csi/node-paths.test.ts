/**
 * Paths that the CSI node service is given and cannot be used, lead elsewhere, or hold something else: it says so, and
 * neither hides, shows nor removes what is not the volume that was asked for.
 */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { mountAt } from '../../src/sys/mount.ts';
import { run } from '../support/commands.ts';
import { CsiNode, capability, fails } from '../support/csi-node.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';

const VOLUME_BYTES = 64 * MiB;

describe('The CSI node service is given', () => {
  const suite = engineSuite();
  let node: CsiNode;
  const create = (name: string) => suite.engine.createVolume({ name, sizeBytes: VOLUME_BYTES });
  const block = { access: 'block' as const };

  /** As for a pod, at any path. */
  const publishAt = async (name: string, targetPath: string, stagingTargetPath = node.staging(name)) => {
    const paths = { stagingTargetPath, targetPath };
    const request = { volumeId: await node.id(name), ...paths, volumeCapability: capability({}) };
    await node.call((done) => node.client.nodePublishVolume(request, done));
  };
  const unpublishAt = async (name: string, targetPath: string) => {
    const request = { volumeId: await node.id(name), targetPath };
    await node.call((done) => node.client.nodeUnpublishVolume(request, done));
  };

  before(async () => {
    node = await CsiNode.start(suite);
    for (const name of ['a', 'b']) {
      await create(name);
      await node.stage(name);
      await writeFile(path.join(node.staging(name), 'file'), `content of ${name}`);
    }
  });

  it('paths that no system has, and calls them that', async () => {
    const long = path.join(node.place('pods'), 'x'.repeat(300));
    const longer = path.join(node.place('pods'), 'x/'.repeat(3000), 'x');
    const circle = node.place('circle');
    await symlink(circle, circle);
    for (const target of [long, longer, path.join(circle, 'x')]) {
      const told = [
        await fails('INVALID_ARGUMENT', node.stage('a', {}, target)),
        await fails('INVALID_ARGUMENT', publishAt('a', target)),
      ];
      for (const message of told) assert.match(message, /(staging|target) path .*(too long|circle)/);
    }
    for (const target of [long, path.join(circle, 'x')])
      assert.match(await fails('INVALID_ARGUMENT', unpublishAt('a', target)), /too long|circle/);
  });

  it('paths below a file, and says that', async () => {
    const file = node.place('a-file');
    await writeFile(file, '');
    for (const below of ['x', 'x/y']) {
      const target = path.join(file, below);
      const told = [
        await fails('FAILED_PRECONDITION', node.stage('a', {}, target)),
        await fails('FAILED_PRECONDITION', publishAt('a', target)),
      ];
      for (const message of told) assert.match(message, /no directory/);
      await unpublishAt('a', target);
    }
  });

  it('no staging path to publish from, and asks for it', async () => {
    const message = await fails('FAILED_PRECONDITION', publishAt('a', node.target('a'), ''));
    assert.match(message, /staging path/);
  });

  it('a staging path below a link, of which the rest has yet to be made', async () => {
    await create('linked');
    await mkdir(node.place('real'));
    await symlink(node.place('real'), node.place('link'));
    const staging = node.place('link/not/there/yet');
    await node.stage('linked', {}, staging);
    assert.ok(mountAt(node.place('real/not/there/yet')));
    await publishAt('linked', node.target('linked'), staging);
    await node.unpublish('linked');
    await node.unstage('linked', staging);
  });

  it('two staging paths for one volume, and takes it away from both', async () => {
    const name = 'staged-twice';
    await create(name);
    const paths = [node.staging(`${name}-1`), node.staging(`${name}-2`)];
    for (const order of [paths, paths.toReversed()]) {
      for (const place of paths) await node.stage(name, {}, place);
      await publishAt(name, node.target(name), paths[0]);
      for (const place of order) await fails('FAILED_PRECONDITION', node.unstage(name, place));
      await node.unpublish(name);
      // Asked for until it is done, as kubelet does.
      for (let time = 0; time < 2; time++)
        await Promise.allSettled(order.map((place) => node.unstage(name, place)));
      for (const place of paths) assert.equal(mountAt(place), undefined, place);
      for (const place of paths) await node.unstage(name, place);
      assert.equal((await suite.engine.getVolume(name)).device, '');
    }
  });

  it('a target where something lies over what was published, and does not call it published', async () => {
    const target = await node.publish('a');
    await run('mount', ['-t', 'tmpfs', 'tmpfs', target]);
    assert.match(await fails('FAILED_PRECONDITION', node.publish('a')), /tmpfs/);
    await run('umount', [target]);
    await node.publish('a');
    await node.unpublish('a');
  });

  it('a staging path that another mount hides, and does not publish what is seen there', async () => {
    const parent = node.place('staging');
    await run('mount', ['--bind', parent, parent]);
    const show = suite.cleanup.defer('show it again', () => run('umount', [parent]));
    assert.deepEqual(readdirSync(node.staging('a')), []);
    const message = await fails('FAILED_PRECONDITION', node.publish('a'));
    await show();
    assert.match(message, /hides/);
    assert.equal(mountAt(node.target('a')), undefined);
    assert.equal(await readFile(path.join(await node.publish('a'), 'file'), 'utf8'), 'content of a');
    await node.unpublish('a');
  });

  it('one target for two volumes at once: one of them gets it', async () => {
    for (let time = 0; time < 5; time++) {
      const target = node.target(`both-${time}`);
      const asked = await Promise.allSettled(['a', 'b'].map((name) => publishAt(name, target)));
      const got = ['a', 'b'].filter((_, i) => asked[i]!.status === 'fulfilled');
      assert.equal(got.length, 1, `${got}`);
      assert.equal(await readFile(path.join(target, 'file'), 'utf8'), `content of ${got[0]}`);
      await unpublishAt(got[0]!, target);
    }
  });

  it('the path of another volume to take away, and leaves that where it is', async () => {
    const target = await node.publish('a');
    assert.match(await fails('FAILED_PRECONDITION', unpublishAt('b', target)), /volume #\d+ .* is mounted/);
    assert.match(
      await fails('FAILED_PRECONDITION', node.unstage('b', node.staging('a'))),
      /staging\/b|volume #\d+ .* is mounted/,
    );
    for (const place of [target, node.staging('a')]) assert.ok(mountAt(place), place);
    await create('never-staged');
    await fails('FAILED_PRECONDITION', node.unstage('never-staged', node.staging('a')));
    assert.ok(mountAt(node.staging('a')));
    await node.unpublish('a');
  });

  it('the staging path of another volume for a raw device, and does not look for anything in it', async () => {
    await create('raw');
    const note = path.join(node.staging('a'), '.flashcopy-unfinished-format');
    await writeFile(note, 'a file of its user');
    assert.match(await fails('FAILED_PRECONDITION', node.stage('raw', block, node.staging('a'))), /loop\d+/);
    assert.equal(await readFile(note, 'utf8'), 'a file of its user');
    assert.equal((await suite.engine.getVolume('raw')).device, '');
  });

  it('a loop device that is no volume to take away, and leaves it', async () => {
    const [image, target] = [node.place('image'), node.target('a', 'image')];
    await run('truncate', ['-s', '16M', image]);
    await run('mkfs.ext4', ['-q', image]);
    await mkdir(target);
    await run('mount', ['-o', 'loop', image, target]);
    assert.match(await fails('FAILED_PRECONDITION', node.unpublish('a', 'image')), /no volume/);
    assert.ok(mountAt(target));
    await run('umount', [target]);
    await node.unpublish('a', 'image');
  });

  it('what is neither a directory nor a file of its own to remove, and leaves it', async () => {
    const target = node.target('a', 'pipe');
    await run('mkfifo', [target]);
    assert.match(await fails('FAILED_PRECONDITION', node.unpublish('a', 'pipe')), /neither/);
    assert.ok(lstatSync(target).isFIFO());
    await run('rm', [target]);
  });

  it('a snapshot to publish writable, as a device too, and refuses', async () => {
    await suite.engine.createSnapshots([{ name: 'shown', source: 'a' }]);
    const reader = { ...block, mode: 'SINGLE_NODE_READER_ONLY' as const };
    await node.stage('shown', reader);
    assert.match(await fails('FAILED_PRECONDITION', node.publish('shown', block)), /read-only/);
    assert.ok(!existsSync(node.target('shown')));
    await node.publish('shown', reader);
    await node.unpublish('shown');
    await node.unstage('shown');
  });

  it('options of a filesystem that it would have to make, and looks at them first', async () => {
    await create('to-format');
    await fails('INVALID_ARGUMENT', node.stage('to-format', { fsType: 'ext4', mountFlags: ['inode32'] }));
    const device = await suite.engine.attachVolume('to-format');
    assert.equal(await run('blkid', ['-p', device]).catch(() => 'nothing'), 'nothing');
    await suite.engine.detachVolume('to-format');
  });

  it('sizes and uses that make no sense to grow to, and says which', async () => {
    const expand = async (more: object) => {
      const request = { volumeId: await node.id('a'), volumePath: node.staging('a'), ...more };
      await node.call((done) => node.client.nodeExpandVolume(request, done));
    };
    await fails('OUT_OF_RANGE', expand({ capacityRange: { requiredBytes: -1 } }));
    await fails('OUT_OF_RANGE', expand({ capacityRange: { requiredBytes: 2 * MiB, limitBytes: MiB } }));
    const volumeCapability = { mount: {}, accessMode: { mode: 'MULTI_NODE_MULTI_WRITER' } };
    await fails('INVALID_ARGUMENT', expand({ volumeCapability }));
    await expand({ capacityRange: { requiredBytes: VOLUME_BYTES } });
  });

  it('the volume to unstage that is published where a path ends like its staging path', async () => {
    const target = path.join(node.place('pods'), node.staging('b'));
    await mkdir(path.dirname(target), { recursive: true });
    await publishAt('b', target);
    await publishAt('b', target);
    assert.match(await fails('FAILED_PRECONDITION', node.unstage('b')), /still|mounted/);
    assert.ok(mountAt(node.staging('b')), 'it is staged as before');
    await unpublishAt('b', target);
  });
});
