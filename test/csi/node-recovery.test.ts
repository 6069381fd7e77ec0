/**
 * The CSI node service after something was cut off, went away or is in use: the next call finishes it or says what is
 * in the way, and no content is lost.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { mkdir, open, readFile, symlink, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials } from '@grpc/grpc-js';
import { csiDefinitions } from '../../src/csi/services.ts';
import { mountAt } from '../../src/sys/mount.ts';
import { attempt, run, until } from '../support/commands.ts';
import { CsiNode, capability, fails, isWell } from '../support/csi-node.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { checkFilesystem, type FilesystemKind } from '../support/filesystems.ts';

const VOLUME_BYTES = 512 * MiB;
const NOTE = '.flashcopy-unfinished-format';

describe('The CSI node service finds', () => {
  const suite = engineSuite();
  let node: CsiNode;
  let count = 0;
  let name = '';
  const volume = () => suite.volume(name, VOLUME_BYTES);
  const note = async (volumeId: string): Promise<void> => {
    await mkdir(node.staging(name), { recursive: true });
    await writeFile(path.join(node.staging(name), NOTE), volumeId);
  };
  const deviceOf = async () => (await suite.engine.getVolume(name)).device;
  const file = () => path.join(node.staging(name), 'file');

  before(async () => {
    node = await CsiNode.start(suite);
  });
  beforeEach(() => {
    count += 1;
    name = `volume-${count}`;
  });
  afterEach(() => node.release(name));

  for (const fsType of ['ext4', 'xfs'] satisfies FilesystemKind[]) {
    describe(`a staging with ${fsType} that was cut off`, () => {
      const format = (device: string) =>
        run(`mkfs.${fsType}`, fsType === 'xfs' ? ['-q', device] : ['-q', '-F', device]);

      it('after the device was attached, and finishes it', async () => {
        await volume();
        await node.stage(name, { fsType });
      });

      it('after the filesystem was made, with the note still there, and keeps the filesystem', async () => {
        const device = await volume();
        await format(device);
        const uuid = await run('blkid', ['-p', '-s', 'UUID', '-o', 'value', device]);
        await note(await node.id(name));
        await node.stage(name, { fsType });
        assert.equal(await run('blkid', ['-p', '-s', 'UUID', '-o', 'value', device]), uuid);
        await node.unstage(name);
        assert.ok(!existsSync(path.join(node.staging(name), NOTE)));
      });

      it('after it was mounted, and leaves it so', async () => {
        const device = await volume();
        await format(device);
        await mkdir(node.staging(name));
        await run('mount', ['-o', 'nosuid,nodev', device, node.staging(name)]);
        await writeFile(file(), 'content');
        await node.stage(name, { fsType });
        assert.equal(await readFile(file(), 'utf8'), 'content');
      });

      it('in the midst of formatting, and formats again', async () => {
        const device = await volume();
        await note(await node.id(name));
        await format(device);
        // As it is before the last step: ext4 without its superblock, XFS with the mark of being made.
        const [seek, bytes] = fsType === 'xfs' ? [126, '\\001'] : [1024, ''.padEnd(1024, '0')];
        const content = fsType === 'xfs' ? `printf '${bytes}'` : 'head -c 1024 /dev/zero';
        await run('sh', [
          '-c',
          `${content} | dd of=${device} bs=1 seek=${seek} conv=notrunc,fsync status=none`,
        ]);
        await node.stage(name, { fsType });
        await writeFile(file(), 'content');
        await node.unstage(name);
        await suite.whileAttached(name, (again) => checkFilesystem(fsType, again));
      });
    });
  }

  it('what a format that was cut off left, and empties it when that is unstaged', async () => {
    const device = await volume();
    await note(await node.id(name));
    await run('dd', ['if=/dev/urandom', `of=${device}`, 'bs=1M', 'count=3', 'seek=7', 'status=none']);
    await node.unstage(name);
    assert.ok(!existsSync(path.join(node.staging(name), NOTE)));
    await node.stage(name, {}, node.staging(`${name}-elsewhere`));
    await node.unstage(name, node.staging(`${name}-elsewhere`));
  });

  it('what a format that was cut off left before a volume is a raw device, and nothing of what is written then', async () => {
    const device = await volume();
    await note(await node.id(name));
    await run('dd', ['if=/dev/urandom', `of=${device}`, 'bs=1M', 'count=3', 'seek=7', 'status=none']);
    const block = { access: 'block' as const };
    await node.stage(name, block);
    const zeros = await run('cmp', ['--silent', `--bytes=${16 * MiB}`, device, '/dev/zero']);
    assert.equal(zeros, '', 'what the format left is gone');
    const target = await node.publish(name, block);
    await run('dd', ['if=/dev/urandom', `of=${target}`, 'bs=1M', 'count=1', 'oflag=direct', 'status=none']);
    const written = await run('sha256sum', [target]);
    await node.unpublish(name);
    await node.unstage(name);
    await suite.whileAttached(name, async (again) => {
      const found = await run('sha256sum', [again]);
      assert.equal(found.split(' ')[0], written.split(' ')[0]);
    });
  });

  it('the note of another volume, and does not format for it', async () => {
    const device = await volume();
    await note('node-1/00000000/1');
    await run('dd', ['if=/dev/urandom', `of=${device}`, 'bs=4k', 'count=1', 'status=none']);
    assert.match(await fails('FAILED_PRECONDITION', node.stage(name)), /not touched/);
  });

  it('that the staging mount has vanished, says so, and stages it again', async () => {
    await volume();
    await node.stage(name);
    await writeFile(file(), 'content');
    await run('umount', [node.staging(name)]);
    assert.match(await fails('FAILED_PRECONDITION', node.publish(name)), /vanished/);
    await node.stage(name);
    assert.equal(await readFile(path.join(await node.publish(name), 'file'), 'utf8'), 'content');
    await node.unpublish(name);
  });

  it('that the published mount has vanished, says so, and publishes it again', async () => {
    await volume();
    await node.stage(name);
    await run('umount', [await node.publish(name)]);
    assert.match(await fails('NOT_FOUND', node.stats(name)), /publish it again/);
    await node.publish(name);
    assert.ok(isWell(await node.stats(name)));
    await node.unpublish(name);
  });

  it('that the device of a published volume is gone, and calls the volume not well', async () => {
    const block = { access: 'block' as const };
    await volume();
    await node.stage(name, block);
    // What is left of a device that went away, as no other test has it.
    const devices = node.place(`devices-${name}`);
    await mkdir(devices);
    await run('mount', ['-t', 'tmpfs', 'tmpfs', devices]);
    const left = suite.cleanup.defer('take the device away', () => run('umount', [devices]));
    await run('mknod', [path.join(devices, 'loop987654'), 'b', '7', '987654']);
    await writeFile(node.target(name), '');
    await run('mount', ['--bind', path.join(devices, 'loop987654'), node.target(name)]);
    const { usage, volumeCondition } = await node.stats(name);
    assert.deepEqual(usage, []);
    assert.match(volumeCondition!.message, /has lost its device/);
    await node.unpublish(name);
    await left();
  });

  it('that a published volume is in use, and takes it away when it is not', async () => {
    await volume();
    await node.stage(name);
    const used = await open(path.join(await node.publish(name), 'file'), 'w');
    assert.match(await fails('FAILED_PRECONDITION', node.unpublish(name)), /busy/);
    assert.ok(mountAt(node.target(name)));
    await used.close();
    await node.unpublish(name);
    const staged = await open(file(), 'w');
    assert.match(await fails('FAILED_PRECONDITION', node.unstage(name)), /busy/);
    await staged.close();
    await node.unstage(name);
  });

  it('that somebody has the device to himself, and stages it when he has not', async () => {
    const device = await volume();
    const claimed = await open(device, constants.O_RDWR | constants.O_EXCL);
    await fails('FAILED_PRECONDITION', node.stage(name));
    await claimed.close();
    await node.stage(name);
  });

  it('a symbolic link for a staging path, and does not follow it', async () => {
    await volume();
    const elsewhere = node.place(`elsewhere-${name}`);
    await mkdir(elsewhere);
    await symlink(elsewhere, node.staging(name));
    assert.match(await fails('INVALID_ARGUMENT', node.stage(name)), /symbolic link/);
    assert.match(await fails('INVALID_ARGUMENT', node.unstage(name)), /symbolic link/);
    assert.equal(mountAt(elsewhere), undefined);
    await unlink(node.staging(name));
    // Above it, a link is a way like another.
    await symlink(elsewhere, node.place(`link-${name}`));
    await node.stage(name, {}, path.join(node.place(`link-${name}`), 'staging'));
    assert.ok(mountAt(path.join(elsewhere, 'staging')));
    await node.unstage(name, path.join(node.place(`link-${name}`), 'staging'));
  });

  it('a mount of somebody else at the staging path, and leaves it there', async () => {
    await volume();
    await mkdir(node.staging(name));
    await run('mount', ['-t', 'tmpfs', 'tmpfs', node.staging(name)]);
    assert.match(await fails('FAILED_PRECONDITION', node.stage(name)), /tmpfs/);
    assert.match(await fails('FAILED_PRECONDITION', node.unstage(name)), /tmpfs/);
    await run('umount', [node.staging(name)]);
  });

  it('an ext4 with errors, and repairs it before it is mounted', async () => {
    const device = await volume();
    await run('mkfs.ext4', ['-q', device]);
    await run('debugfs', ['-w', '-R', 'ssv state 2', device]);
    await node.stage(name);
    assert.match(await run('dumpe2fs', ['-h', device]), /Filesystem state: +clean\n/);
  });

  it('an ext4 that cannot be repaired without a decision, and does not mount it', async () => {
    const device = await volume();
    await run('mkfs.ext4', ['-q', device]);
    await run('debugfs', ['-w', '-R', 'clri <2>', device]);
    await run('debugfs', ['-w', '-R', 'ssv state 2', device]);
    assert.match(await fails('DATA_LOSS', node.stage(name)), /e2fsck/);
    assert.equal(mountAt(node.staging(name)), undefined);
  });

  it('that ext4 has met an error, and calls the volume not well', async () => {
    await volume();
    await node.stage(name);
    await node.publish(name);
    await writeFile(`/sys/fs/ext4/${path.basename(await deviceOf())}/trigger_fs_error`, 'tested');
    // The kernel counts it a moment later, when its workers come to it.
    const { usage, volumeCondition } = await until('the error has been counted', async () => {
      const stats = await node.stats(name);
      return isWell(stats) ? undefined : stats;
    });
    assert.match(volumeCondition!.message, /error/);
    assert.equal(usage.length, 2);
    await node.unpublish(name);
  });

  it('that XFS has shut down, and calls the volume not well', async () => {
    await volume();
    await node.stage(name, { fsType: 'xfs' });
    await node.publish(name);
    await run('xfs_io', ['-x', '-c', 'shutdown', node.staging(name)]);
    assert.ok(!isWell(await node.stats(name)));
    await node.unpublish(name);
    await node.unstage(name);
  });

  it('what was under way when it was killed, and finishes it', async () => {
    const socket = node.place('killed.sock');
    const program = path.resolve(import.meta.dirname, '../../bin/flashcopy.js');
    const endpoints = [
      '--endpoint',
      `unix://${suite.standalone.endpoint}`,
      '--csi-endpoint',
      `unix://${socket}`,
    ];
    const args = [program, 'csi', ...endpoints, '--node-id', 'node-1'];
    const { Node } = csiDefinitions();
    await suite.engine.createVolume({ name, sizeBytes: VOLUME_BYTES });
    const volumeId = await node.id(name);
    const paths = { stagingTargetPath: node.staging(name), targetPath: node.target(name) };
    const request = { volumeId, ...paths, volumeCapability: capability({}), readonly: false };

    /** Serves until it is killed, as late as is said; whether the call was answered before. */
    const within = async (
      ms: number,
      call: (client: InstanceType<typeof Node>, done: (error: unknown) => void) => unknown,
    ) => {
      const server: ChildProcess = spawn(process.execPath, args, { stdio: 'inherit' });
      const client = new Node(`unix:${socket}`, credentials.createInsecure());
      try {
        await until('it serves', () => attempt('test', ['-S', socket]).then(({ status }) => status === 0));
        const answered = new Promise<boolean>((resolve) => call(client, (error) => resolve(!error)));
        return await Promise.race([answered, sleep(ms, false)]);
      } finally {
        const ended = new Promise((resolve) => server.once('exit', resolve));
        server.kill('SIGKILL');
        await ended;
        client.close();
        await run('rm', ['-f', socket]);
      }
    };
    const finish = async (call: Parameters<typeof within>[1]): Promise<number> => {
      for (let ms = 40, kills = 0; ; ms *= 2, kills++) if (await within(ms, call)) return kills;
    };
    let kills = await finish((client, done) => client.nodeStageVolume(request, done));
    kills += await finish((client, done) => client.nodePublishVolume(request, done));
    await writeFile(path.join(node.target(name), 'file'), 'content');
    kills += await finish((client, done) => client.nodeUnpublishVolume(request, done));
    kills += await finish((client, done) => client.nodeUnstageVolume(request, done));
    assert.ok(kills > 2, `it was killed ${kills} times in the midst of a call`);
    assert.equal(await deviceOf(), '');
    await node.stage(name);
    assert.equal(await readFile(file(), 'utf8'), 'content');
  });
});
