/**
 * CSI calls at the limits of what can be asked for, and calls that meet the traces of ones that were cut off.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { BlockMetadata__Output } from '../../src/csi/generated/csi/v1/BlockMetadata.ts';
import { run } from '../support/commands.ts';
import { ask, BLOCK, CsiClient, csiSuite, MOUNT, refusedWith } from '../support/csi-suite.ts';
import { KiB, MiB, withDirectFile } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';

const SIZE = 16 * MiB;

describe('CSI calls at the limits', () => {
  const suite = csiSuite();
  const csi = (): CsiClient => suite.csi;

  it('take names of 128 characters of any script, and no more', async () => {
    for (const character of ['x', '\u6570', '\u{1F4BE}', 'e\u0301'.normalize('NFD')]) {
      const name = character.repeat(128 / character.length);
      const { volumeId } = await csi().createVolume({ name });
      assert.equal((await csi().createVolume({ name })).volumeId, volumeId);
      const { snapshotId } = await csi().createSnapshot(volumeId, name);
      const group = { name, sourceVolumeIds: [volumeId] };
      const { groupSnapshot } = await ask(csi().groups, 'createVolumeGroupSnapshot', group);
      for (const id of [volumeId, snapshotId, groupSnapshot!.groupSnapshotId])
        assert.ok(Buffer.byteLength(id) <= 128, id);
      await refusedWith('INVALID_ARGUMENT', csi().createVolume({ name: `${name}x` }));
      await refusedWith('INVALID_ARGUMENT', csi().createSnapshot(volumeId, `${name}x`));
    }
  });

  it('make volumes of every size that a range allows, and none outside it', async () => {
    const sizeOf = async (name: string, capacityRange: object) =>
      (await csi().createVolume({ name, capacityRange })).capacityBytes;
    assert.equal(await sizeOf('least', { requiredBytes: 1 }), MiB);
    assert.equal(await sizeOf('limited', { limitBytes: 5 * MiB + 1 }), 5 * MiB);
    assert.equal(await sizeOf('exact', { requiredBytes: SIZE, limitBytes: SIZE }), SIZE);
    assert.equal(
      await sizeOf('rounded', { requiredBytes: SIZE + 1, limitBytes: SIZE + 4 * KiB }),
      SIZE + 4 * KiB,
    );
    for (const capacityRange of [
      { limitBytes: 1 },
      { limitBytes: -1 },
      { requiredBytes: -(2 ** 60) },
      { requiredBytes: 2 * SIZE, limitBytes: SIZE },
      { requiredBytes: Number.MAX_SAFE_INTEGER },
    ])
      await refusedWith('OUT_OF_RANGE', csi().createVolume({ name: 'outside', capacityRange }));
    const { volumeId } = await csi().createVolume({ name: 'to-grow' });
    const grow = (capacityRange: object | null) =>
      ask(csi().controller, 'controllerExpandVolume', { volumeId, capacityRange });
    await refusedWith('INVALID_ARGUMENT', grow(null));
    await refusedWith('OUT_OF_RANGE', grow({ requiredBytes: 2 ** 62 }));
    await refusedWith('OUT_OF_RANGE', grow({ requiredBytes: 1, limitBytes: SIZE - 1 }));
    assert.equal((await grow({ requiredBytes: 1 })).capacityBytes, SIZE);
  });

  it('ask for one filesystem, and get the volume that it needs', async () => {
    const as = (fsType: string) => ({ ...MOUNT, mount: { fsType } });
    const both = [as('ext4'), as('xfs')];
    const message = await refusedWith(
      'INVALID_ARGUMENT',
      csi().createVolume({ name: 'two', volumeCapabilities: both }),
    );
    assert.match(message, /ext4 and xfs/);
    const { volumeId, capacityBytes } = await csi().createVolume({
      name: 'one',
      volumeCapabilities: [BLOCK, as(''), as('xfs')],
    });
    assert.equal(capacityBytes, 300 * MiB);
    const validate = { volumeId, volumeCapabilities: both };
    const { confirmed } = await ask(csi().controller, 'validateVolumeCapabilities', validate);
    assert.equal(confirmed, null);
    await csi().createVolume({ name: 'small' });
    const text = await refusedWith(
      'ALREADY_EXISTS',
      csi().createVolume({ name: 'small', volumeCapabilities: [as('xfs')] }),
    );
    assert.match(text, /16777216 bytes/);
  });

  it('list from tokens of its own only', async () => {
    await csi().createVolume({ name: 'listed' });
    for (const startingToken of ['x', '0', 'node-1', '../../x', 'node-1/00000000/0', '\u{1F4BE}']) {
      const page = { startingToken };
      await refusedWith('ABORTED', ask(csi().controller, 'listVolumes', page));
      await refusedWith('ABORTED', ask(csi().controller, 'listSnapshots', page));
    }
    const past = { startingToken: 'node-1/00000000/999999999999999' };
    assert.deepEqual(await ask(csi().controller, 'listVolumes', past), { entries: [], nextToken: '' });
  });

  it('list the snapshots of a volume, however they were made', async () => {
    const { volumeId } = await csi().createVolume({ name: 'source' });
    const { snapshotId } = await csi().createSnapshot(volumeId, 'by-csi');
    await suite.engines.engine.createSnapshots([{ name: 'by-hand', source: suite.nameOf(volumeId) }]);
    const { entries } = await ask(csi().controller, 'listSnapshots', { sourceVolumeId: volumeId });
    assert.equal(entries.length, 2);
    assert.deepEqual(
      entries.map(({ snapshot }) => snapshot!.sourceVolumeId),
      [volumeId, volumeId],
    );
    assert.equal(entries[0]!.snapshot!.snapshotId, snapshotId);
  });

  it('change the rate of a copy that ends meanwhile', async () => {
    const { volumeId: sourceId } = await csi().createVolume({ name: 'ending' });
    await suite.onDevice(sourceId, (device) =>
      withDirectFile(device, 'write', (file) => file.write(0, Buffer.alloc(4 * MiB, 1))),
    );
    for (let n = 0; n < 20; n++) {
      const copy = await csi().clone(sourceId, { name: `ending-${n}`, parameters: { copyRate: '120' } });
      const request = { volumeId: copy.volumeId, mutableParameters: { copyRate: '150' } };
      const change = () => ask(csi().controller, 'controllerModifyVolume', request);
      for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 20 }, change));
    }
  });

  describe('for the metadata of snapshots', () => {
    const ids: string[] = [];
    type Asked = { snapshotId?: string; baseSnapshotId?: string; targetSnapshotId?: string };
    const read = async (request: Asked & { startingOffset?: number; maxResults?: number }) => {
      const found: BlockMetadata__Output[] = [];
      const { metadata } = csi();
      const stream =
        request.snapshotId === undefined
          ? metadata.getMetadataDelta(request)
          : metadata.getMetadataAllocated(request);
      for await (const { blockMetadata, volumeCapacityBytes, blockMetadataType } of stream) {
        assert.deepEqual([volumeCapacityBytes, blockMetadataType], [SIZE, 'VARIABLE_LENGTH']);
        found.push(...blockMetadata);
      }
      return found;
    };
    const failing = (code: Parameters<typeof refusedWith>[0], request: Parameters<typeof read>[0]) =>
      refusedWith(code, read(request));

    before(async () => {
      const { volumeId } = await csi().createVolume({ name: 'tracked' });
      for (const at of [MiB, 3 * MiB, 8 * MiB]) {
        await suite.onDevice(volumeId, (device) =>
          withDirectFile(device, 'write', (file) => file.write(at, Buffer.alloc(64 * KiB, 1))),
        );
        ids.push((await csi().createSnapshot(volumeId, `tracked-${at}`)).snapshotId);
      }
    });

    it('begin anywhere within the snapshot', async () => {
      const [first, , last] = ids as [string, string, string];
      const range = (at: number) => ({ byteOffset: at, sizeBytes: 64 * KiB });
      const all = { snapshotId: last };
      const delta = { baseSnapshotId: first, targetSnapshotId: last };
      assert.deepEqual(await read(all), [range(MiB), range(3 * MiB), range(8 * MiB)]);
      assert.deepEqual(await read({ ...all, maxResults: 1 }), await read(all));
      assert.deepEqual(await read(delta), [range(3 * MiB), range(8 * MiB)]);
      for (const request of [all, delta]) {
        assert.deepEqual(await read({ ...request, startingOffset: 3 * MiB + 64 * KiB }), [range(8 * MiB)]);
        assert.deepEqual(await read({ ...request, startingOffset: SIZE }), []);
        for (const startingOffset of [3 * MiB + 1, 3 * MiB + 64 * KiB - 1, 8 * MiB + 4097]) {
          const [part] = await read({ ...request, startingOffset });
          assert.ok(startingOffset < Number(part!.byteOffset) + Number(part!.sizeBytes));
        }
      }
    });

    it('are refused where they make no sense', async () => {
      const [first, second] = ids as [string, string];
      for (const startingOffset of [-1, SIZE + 1, 2 ** 62]) {
        await failing('OUT_OF_RANGE', { snapshotId: first, startingOffset });
        await failing('OUT_OF_RANGE', { baseSnapshotId: first, targetSnapshotId: second, startingOffset });
      }
      await failing('INVALID_ARGUMENT', { snapshotId: first, maxResults: -1 });
      await failing('INVALID_ARGUMENT', { snapshotId: '' });
      await failing('INVALID_ARGUMENT', { baseSnapshotId: '', targetSnapshotId: second });
      await failing('INVALID_ARGUMENT', { baseSnapshotId: second, targetSnapshotId: first });
      await failing('NOT_FOUND', { snapshotId: '../x' });
      await failing('NOT_FOUND', { baseSnapshotId: first, targetSnapshotId: `${first}0` });
      const { volumeId } = await csi().createVolume({ name: 'other' });
      const { snapshotId } = await csi().createSnapshot(volumeId, 'other');
      await failing('INVALID_ARGUMENT', { baseSnapshotId: snapshotId, targetSnapshotId: second });
      await failing('NOT_FOUND', { snapshotId: volumeId });
    });
  });
});

describe('Growing a raw volume', () => {
  const suite = engineSuite({ started: false });

  it('that was cut off before its device had the size is finished by the next call', async () => {
    // A losetup that fails as long as there is a file.
    const tools = path.join(suite.directory, 'tools');
    const failing = path.join(tools, 'failing');
    const real = (await run('which', ['losetup'])).trim();
    mkdirSync(tools);
    writeFileSync(
      path.join(tools, 'losetup'),
      `#!/bin/sh\n[ "$1" = --set-capacity ] && [ -e ${failing} ] && exit 1\nexec ${real} "$@"\n`,
    );
    chmodSync(path.join(tools, 'losetup'), 0o755);
    const environment = { PATH: `${tools}:${process.env['PATH']}` };
    await suite.start(undefined, ['--node-id', 'node-1'], 'standalone', { environment });
    const csi = new CsiClient(suite.standalone.endpoint);
    suite.cleanup.defer('end the CSI connections', () => csi.close());
    await csi.untilReady();

    const { volumeId } = await csi.createVolume({ name: 'raw' });
    const device = await suite.engine.attachVolume('raw');
    const sectors = () => Number(readFileSync(`/sys/block/${path.basename(device)}/size`, 'utf8'));
    const grow = () =>
      ask(csi.controller, 'controllerExpandVolume', {
        volumeId,
        capacityRange: { requiredBytes: 2 * SIZE },
        volumeCapability: BLOCK,
      });
    writeFileSync(failing, '');
    await refusedWith('INTERNAL', grow());
    assert.equal(sectors() * 512, SIZE, 'the device is as it was');
    rmSync(failing);
    assert.ok(!existsSync(failing));
    assert.deepEqual(await grow(), { capacityBytes: 2 * SIZE, nodeExpansionRequired: false });
    assert.equal(sectors() * 512, 2 * SIZE);
    await suite.engine.detachVolume('raw');
  });

  it('to several sizes at once makes it the largest', async () => {
    const csi = new CsiClient(suite.standalone.endpoint);
    suite.cleanup.defer('end the CSI connections', () => csi.close());
    await csi.untilReady();
    const { volumeId } = await csi.createVolume({ name: 'raced' });
    const sizes = Array.from({ length: 20 }, (_, n) => SIZE + (n + 1) * MiB).reverse();
    const grown = await Promise.all(
      sizes.map((requiredBytes) =>
        ask(csi.controller, 'controllerExpandVolume', { volumeId, capacityRange: { requiredBytes } }),
      ),
    );
    for (const [n, { capacityBytes }] of grown.entries()) assert.ok((capacityBytes as number) >= sizes[n]!);
    assert.equal((await suite.engine.getVolume('raced')).sizeBytes, sizes[0]);
  });
});
