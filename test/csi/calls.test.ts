/**
 * How the CSI calls behave: the same again, something else under the same name, many at once, and what no orchestrator
 * should send.
 */
import assert from 'node:assert/strict';
import { ask, BLOCK, CsiClient, csiSuite, MOUNT, refusedWith } from '../support/csi-suite.ts';
import { GiB, KiB, MiB, TiB, withDirectFile } from '../support/disks.ts';

const SIZE = 16 * MiB;
const HOSTILE = [
  '../x',
  '/etc/passwd',
  'x'.repeat(10_000),
  'node-1/00000000/1\0',
  '\0',
  'node-1/../1',
  'node-1/0000000g/1',
  'NODE-1/00000000/1',
  'node-1/00000000/01',
  'node-1/00000000/1/2',
  'node-1/00000000/99999999999999999999',
  'node-1/00000000/-1',
  'node-1/00000000/#1',
  'node-9/00000000/1',
  'node-1/00000000/group/0123456789abcdef0123456789abcdef',
  "'; DROP TABLE volumes; --",
  '%n%n%n',
  '\u{1F4BE}'.repeat(60),
  '__proto__',
];

describe('CSI calls', () => {
  const suite = csiSuite();
  const csi = (): CsiClient => suite.csi;

  it('say who the driver is and what it has', async () => {
    const { name } = await ask(csi().identity, 'getPluginInfo', {});
    assert.equal(name, 'csi.flashcopy.dev');
    const { capabilities } = await ask(csi().identity, 'getPluginCapabilities', {});
    const types = capabilities.map(({ service, volumeExpansion }) => service?.type ?? volumeExpansion?.type);
    assert.deepEqual(types.sort(), [
      'CONTROLLER_SERVICE',
      'GROUP_CONTROLLER_SERVICE',
      'ONLINE',
      'SNAPSHOT_METADATA_SERVICE',
      'VOLUME_ACCESSIBILITY_CONSTRAINTS',
    ]);
  });

  it("are answered at the engine's socket, too, with all that comes of them", async () => {
    const there = new CsiClient(suite.engineSocket);
    try {
      await there.untilReady();
      const { volumeId } = await there.createVolume({ name: 'elsewhere' });
      const { snapshotId } = await csi().createSnapshot(volumeId, 'elsewhere');
      await suite.onDevice(volumeId, (device) =>
        withDirectFile(device, 'write', (file) => file.write(MiB, Buffer.alloc(MiB, 1))),
      );
      const second = await there.createSnapshot(volumeId, 'elsewhere-2');
      const request = { baseSnapshotId: snapshotId, targetSnapshotId: second.snapshotId };
      const parts = there.metadata.getMetadataDelta(request);
      const found: object[] = [];
      for await (const { blockMetadata } of parts) found.push(...blockMetadata);
      assert.deepEqual(found, [{ byteOffset: MiB, sizeBytes: MiB }]);
      await refusedWith('NOT_FOUND', there.createSnapshot('nobody', 'elsewhere-3'));
    } finally {
      there.close();
    }
  });

  it('that publish to a node are not implemented', async () => {
    const request = { volumeId: 'x', nodeId: 'node-1', volumeCapability: BLOCK };
    await refusedWith('UNIMPLEMENTED', ask(csi().controller, 'controllerPublishVolume', request));
  });

  describe('that are repeated', () => {
    it('give the same volume, placed and described the same', async () => {
      const request = { name: 'same', parameters: { grainSize: '64Ki', copyRate: '80' } };
      const first = await csi().createVolume(request);
      assert.deepEqual(await csi().createVolume(request), first);
      assert.deepEqual(first.accessibleTopology, [{ segments: { 'topology.flashcopy.dev/node': 'node-1' } }]);
      assert.equal((await suite.engines.engine.getVolume('same')).grainBytes, 64 * KiB);
      const larger = { capacityRange: { requiredBytes: SIZE - 1, limitBytes: SIZE } };
      assert.deepEqual(await csi().createVolume({ ...request, ...larger }), first, 'a size that fits');
    });

    it('give the same volume when its source is gone', async () => {
      const source = await csi().createVolume({ name: 'gone-source' });
      const { snapshotId } = await csi().createSnapshot(source.volumeId, 'gone-snapshot');
      const restored = await csi().restore(snapshotId, { name: 'of-gone' });
      await csi().deleteSnapshot(snapshotId);
      assert.deepEqual(await csi().restore(snapshotId, { name: 'of-gone' }), restored);
      await refusedWith('NOT_FOUND', csi().restore(snapshotId, { name: 'of-gone-2' }));
    });

    it('give the same snapshot, also when the volume has grown or is gone', async () => {
      const source = await csi().createVolume({ name: 'to-grow' });
      const first = await csi().createSnapshot(source.volumeId, 'kept');
      await ask(csi().controller, 'controllerExpandVolume', {
        volumeId: source.volumeId,
        capacityRange: { requiredBytes: 2 * SIZE },
      });
      assert.deepEqual(await csi().createSnapshot(source.volumeId, 'kept'), first);
      await csi().deleteVolume(source.volumeId);
      assert.deepEqual(await csi().createSnapshot(source.volumeId, 'kept'), first);
      await refusedWith('NOT_FOUND', csi().createSnapshot(source.volumeId, 'kept-2'));
    });

    it('delete once', async () => {
      const { volumeId } = await csi().createVolume({ name: 'to-delete' });
      await csi().deleteVolume(volumeId);
      await csi().deleteVolume(volumeId);
      const again = await csi().createVolume({ name: 'to-delete' });
      assert.notEqual(again.volumeId, volumeId);
      await csi().deleteVolume(volumeId);
      assert.equal((await getVolume(again.volumeId)).volume?.volumeId, again.volumeId, 'a namesake is safe');
    });

    it('grow once', async () => {
      const { volumeId } = await csi().createVolume({ name: 'grows' });
      const request = { volumeId, capacityRange: { requiredBytes: SIZE + 1 }, volumeCapability: BLOCK };
      const grown = { capacityBytes: SIZE + 4 * KiB, nodeExpansionRequired: false };
      assert.deepEqual(await ask(csi().controller, 'controllerExpandVolume', request), grown);
      assert.deepEqual(await ask(csi().controller, 'controllerExpandVolume', request), grown);
    });
  });

  describe('for a name that is taken', () => {
    it('name what differs', async () => {
      const source = await csi().createVolume({ name: 'taken-source' });
      const { snapshotId } = await csi().createSnapshot(source.volumeId, 'taken-snapshot');
      await csi().createVolume({ name: 'taken', parameters: { copyRate: '10' } });
      const other = (request: object) =>
        refusedWith(
          'ALREADY_EXISTS',
          csi().createVolume({ name: 'taken', parameters: { copyRate: '10' }, ...request }),
        );
      assert.match(await other({ capacityRange: { requiredBytes: 2 * SIZE } }), /size/);
      assert.match(await other({ parameters: { copyRate: '20' } }), /copyRate was 10, asked for was 20/);
      assert.match(await other({ parameters: {} }), /copyRate/);
      assert.match(await other({ volumeContentSource: { snapshot: { snapshotId } } }), /content source/);
      const more = await csi().createVolume({ name: 'taken-source-2' });
      const text = await refusedWith('ALREADY_EXISTS', csi().createSnapshot(more.volumeId, 'taken-snapshot'));
      assert.match(text, /source volume/);
    });

    it('keep snapshots, volumes and what was made without CSI apart', async () => {
      const { volumeId } = await csi().createVolume({ name: 'both' });
      await csi().createSnapshot(volumeId, 'both');
      await csi().createVolume({ name: 'snap-both' });
      await csi().createVolume({ name: 'csi-both' });
      await suite.engines.engine.createVolume({ name: 'by-hand', sizeBytes: SIZE });
      await refusedWith('ALREADY_EXISTS', csi().createVolume({ name: 'by-hand' }));
    });
  });

  describe('with arguments that make no sense', () => {
    it('are refused for volumes', async () => {
      const refused = (request: object, code: Parameters<typeof refusedWith>[0] = 'INVALID_ARGUMENT') =>
        refusedWith(code, csi().createVolume({ name: 'refused', ...request }));
      await refused({ name: '' });
      await refused({ name: 'x'.repeat(129) });
      await refused({ name: 'null\0byte' });
      await refused({ volumeCapabilities: [] });
      await refused({ volumeCapabilities: [{ accessMode: { mode: 'SINGLE_NODE_WRITER' } }] });
      await refused({ volumeCapabilities: [{ block: {}, accessMode: { mode: 'MULTI_NODE_MULTI_WRITER' } }] });
      await refused({ volumeCapabilities: [{ ...MOUNT, mount: { fsType: 'ntfs' } }] });
      assert.match(await refused({ parameters: { copyrate: '5' } }), /"copyrate".*grainSize, copyRate/);
      for (const [name, value] of Object.entries({
        grainSize: '3000',
        copyRate: '151',
        incremental: 'yes',
        provisioning: 'thickish',
        cowFailure: '',
      }))
        assert.match(await refused({ parameters: { [name]: value } }), new RegExp(`${name}.*can be`));
      await refused({ mutableParameters: { provisioning: 'thin' } });
      await refused({ capacityRange: { requiredBytes: SIZE, limitBytes: SIZE - 1 } }, 'OUT_OF_RANGE');
      await refused({ capacityRange: { requiredBytes: SIZE + 1, limitBytes: SIZE + 1 } }, 'OUT_OF_RANGE');
      await refused({ capacityRange: { requiredBytes: -1 } }, 'OUT_OF_RANGE');
      await refused({ capacityRange: { requiredBytes: 2 ** 62 } }, 'OUT_OF_RANGE');
      await refused({ volumeContentSource: {} });
      assert.equal((await listed()).filter((each) => each === 'refused').length, 0);
    });

    it('are refused for snapshots', async () => {
      const { volumeId } = await csi().createVolume({ name: 'to-refuse' });
      const create = (request: object) =>
        ask(csi().controller, 'createSnapshot', { name: 'refused', sourceVolumeId: volumeId, ...request });
      await refusedWith('INVALID_ARGUMENT', create({ name: '' }));
      await refusedWith('INVALID_ARGUMENT', create({ sourceVolumeId: '' }));
      await refusedWith('INVALID_ARGUMENT', create({ parameters: { fsFreeze: 'yes' } }));
      await refusedWith('INVALID_ARGUMENT', create({ parameters: { rate: '1' } }));
      await create({ parameters: { fsFreeze: 'false', 'csi.storage.k8s.io/volumesnapshot/name': 'mine' } });
      const frozen = { name: 'frozen', parameters: { fsFreeze: 'true' } };
      assert.deepEqual(await create(frozen), await create(frozen));
      await refusedWith('ALREADY_EXISTS', create({ name: 'frozen' }));
    });

    it('take any id for what it is', async () => {
      for (const id of HOSTILE) {
        await csi().deleteVolume(id);
        await csi().deleteSnapshot(id);
        await ask(csi().groups, 'deleteVolumeGroupSnapshot', { groupSnapshotId: id, snapshotIds: [id] });
        await refusedWith('NOT_FOUND', getVolume(id));
        await refusedWith('NOT_FOUND', ask(csi().controller, 'getSnapshot', { snapshotId: id }));
        await refusedWith('NOT_FOUND', csi().createSnapshot(id, 'of-hostile'));
        await refusedWith('NOT_FOUND', csi().restore(id, { name: 'of-hostile' }));
        await refusedWith('NOT_FOUND', csi().clone(id, { name: 'of-hostile' }));
        const range = { requiredBytes: SIZE };
        const grow = ask(csi().controller, 'controllerExpandVolume', { volumeId: id, capacityRange: range });
        await refusedWith('NOT_FOUND', grow);
        const modify = ask(csi().controller, 'controllerModifyVolume', {
          volumeId: id,
          mutableParameters: {},
        });
        await refusedWith('NOT_FOUND', modify);
        await refusedWith('NOT_FOUND', ask(csi().groups, 'getVolumeGroupSnapshot', { groupSnapshotId: id }));
        const { entries } = await ask(csi().controller, 'listSnapshots', { snapshotId: id });
        assert.deepEqual(entries, []);
      }
    });

    it('tell volumes from snapshots', async () => {
      const { volumeId } = await csi().createVolume({ name: 'a-volume' });
      const { snapshotId } = await csi().createSnapshot(volumeId, 'a-snapshot');
      await csi().deleteVolume(snapshotId);
      await csi().deleteSnapshot(volumeId);
      await refusedWith('NOT_FOUND', getVolume(snapshotId));
      assert.ok(await getVolume(volumeId));
      assert.ok(await ask(csi().controller, 'getSnapshot', { snapshotId }));
      const former = volumeId.replace(/\/[0-9a-f]{8}\//, '/00000000/');
      await csi().deleteVolume(former);
      await refusedWith('NOT_FOUND', getVolume(former));
    });

    it('can be any name', async () => {
      const names = [
        '../x',
        'UPPER',
        'x'.repeat(128),
        '\u{1F4BE}'.repeat(64),
        '-x',
        'a b',
        'csi-1',
        '"',
        '__proto__',
      ];
      const ids = new Set<string>();
      for (const name of names) {
        const { volumeId } = await csi().createVolume({ name });
        assert.equal((await csi().createVolume({ name })).volumeId, volumeId);
        ids.add(volumeId);
        ids.add((await csi().createSnapshot(volumeId, name)).snapshotId);
      }
      assert.equal(ids.size, 2 * names.length);
    });
  });

  describe('that come all at once', () => {
    const hundred = <T>(call: (n: number) => Promise<T>) =>
      Promise.all(Array.from({ length: 100 }, (_, n) => call(n)));

    it('make one volume of one name', async () => {
      const made = await hundred(() => csi().createVolume({ name: 'once' }));
      assert.equal(new Set(made.map(({ volumeId }) => volumeId)).size, 1);
      assert.equal((await listed()).filter((name) => name === 'once').length, 1);
    });

    it('make one snapshot and one copy of one name', async () => {
      const { volumeId } = await csi().createVolume({ name: 'once-source' });
      const snapshots = await hundred(() => csi().createSnapshot(volumeId, 'once'));
      const [id, ...others] = new Set(snapshots.map(({ snapshotId }) => snapshotId));
      assert.deepEqual(others, []);
      const copies = await hundred(() => csi().restore(id!, { name: 'once-copy' }));
      assert.equal(new Set(copies.map((copy) => copy.volumeId)).size, 1);
      await hundred(() => csi().deleteVolume(copies[0]!.volumeId));
    });

    it('and ask for different things under one name: one of them gets it', async () => {
      const made = await Promise.allSettled(
        Array.from({ length: 20 }, (_, n) =>
          csi().createVolume({
            name: 'contested',
            capacityRange: { requiredBytes: SIZE, limitBytes: SIZE },
            parameters: { copyRate: `${n}` },
          }),
        ),
      );
      assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1);
    });
  });

  it('get no more than there is', async () => {
    const huge = { name: 'huge', capacityRange: { requiredBytes: 32 * TiB } };
    assert.match(
      await refusedWith('RESOURCE_EXHAUSTED', csi().createVolume(huge)),
      /node-1: its pool has \d+ bytes/,
    );
    const { freeBytes } = await suite.engines.engine.pool();
    const thick = { requiredBytes: Math.ceil(freeBytes / GiB) * GiB };
    const request = { name: 'thick', capacityRange: thick, parameters: { provisioning: 'thick' } };
    await refusedWith('RESOURCE_EXHAUSTED', csi().createVolume(request));
    const capacity = await ask(csi().controller, 'getCapacity', {});
    assert.ok(Math.abs((capacity.availableCapacity as number) - freeBytes) < GiB);
    const misspelt = { parameters: { grainsize: '4Ki' } };
    assert.ok(((await ask(csi().controller, 'getCapacity', misspelt)).availableCapacity as number) > 0);
    const elsewhere = { segments: { 'topology.flashcopy.dev/node': 'node-9' } };
    const none = await ask(csi().controller, 'getCapacity', { accessibleTopology: elsewhere });
    assert.equal(none.availableCapacity, 0);
    const wrong = { name: 'elsewhere', accessibilityRequirements: { requisite: [elsewhere] } };
    assert.match(await refusedWith('RESOURCE_EXHAUSTED', csi().createVolume(wrong)), /node-9/);
  });

  it('change the copy rate of a copy that is under way', async () => {
    const { volumeId } = await csi().createVolume({ name: 'slow-source' });
    const copy = await csi().clone(volumeId, { name: 'slow', mutableParameters: { copyRate: '0' } });
    const rateNow = async () => (await suite.engines.engine.getMapping('slow')).copyRate;
    assert.equal(await rateNow(), 0);
    const request = { volumeId: copy.volumeId, mutableParameters: { copyRate: '1' } };
    await ask(csi().controller, 'controllerModifyVolume', request);
    assert.equal(await rateNow(), 1);
    const wrong = { volumeId: copy.volumeId, mutableParameters: { copyRate: '1.5' } };
    await refusedWith('INVALID_ARGUMENT', ask(csi().controller, 'controllerModifyVolume', wrong));
  });

  it('list in pages that survive what happens between them', async () => {
    await refusedWith('ABORTED', ask(csi().controller, 'listVolumes', { startingToken: 'nonsense' }));
    await refusedWith('INVALID_ARGUMENT', ask(csi().controller, 'listVolumes', { maxEntries: -1 }));
    const ids: string[] = [];
    for (let n = 0; n < 7; n++) ids.push((await csi().createVolume({ name: `page-${n}` })).volumeId);
    const seen: string[] = [];
    let startingToken = '';
    do {
      const page = await ask(csi().controller, 'listVolumes', { maxEntries: 2, startingToken });
      assert.ok(page.entries.length <= 2);
      seen.push(...page.entries.map(({ volume }) => volume!.volumeId));
      startingToken = page.nextToken;
      // The last one of the page is deleted, and a new volume made.
      if (ids.slice(0, 4).includes(seen.at(-1)!)) await csi().deleteVolume(seen.at(-1)!);
      if (startingToken === ids[2]) ids.push((await csi().createVolume({ name: 'page-late' })).volumeId);
    } while (startingToken !== '');
    assert.equal(new Set(seen).size, seen.length, 'none twice');
    assert.deepEqual(
      ids.filter((id) => !seen.includes(id)),
      [],
      'none left out',
    );
  });

  it('confirm what a volume can be used for', async () => {
    const { volumeId } = await csi().createVolume({ name: 'to-validate' });
    const validate = (volumeCapabilities: object[], more = {}) =>
      ask(csi().controller, 'validateVolumeCapabilities', { volumeId, volumeCapabilities, ...more });
    assert.equal((await validate([BLOCK, MOUNT])).confirmed?.volumeCapabilities.length, 2);
    const many = { block: {}, accessMode: { mode: 'MULTI_NODE_SINGLE_WRITER' } };
    const { confirmed, message } = await validate([many]);
    assert.equal(confirmed, null);
    assert.match(message, /MULTI_NODE_SINGLE_WRITER/);
    assert.match((await validate([BLOCK], { parameters: { x: 'y' } })).message, /"x"/);
  });

  it('log what was asked, and never a secret', async () => {
    const secrets = { password: 'hunter2', token: 'hunter2' };
    await csi().createVolume({ name: 'with-secrets', secrets });
    const { volumeId } = await csi().createVolume({ name: 'with-secrets', secrets });
    const snapshot = { sourceVolumeId: volumeId, name: 'with-secrets', secrets };
    await ask(csi().controller, 'createSnapshot', snapshot);
    await ask(csi().controller, 'controllerModifyVolume', { volumeId, secrets });
    await refusedWith(
      'NOT_FOUND',
      ask(csi().groups, 'getVolumeGroupSnapshot', { groupSnapshotId: 'x', secrets }),
    );
    await refusedWith('INVALID_ARGUMENT', ask(csi().controller, 'deleteVolume', { secrets }));
    const { log } = suite.engines;
    assert.match(log, /"secrets":"\*\*\*stripped\*\*\*"/);
    assert.match(log, /with-secrets/);
    assert.doesNotMatch(log, /hunter2/);
  });

  const getVolume = (volumeId: string) => ask(csi().controller, 'controllerGetVolume', { volumeId });
  const listed = async () => (await suite.engines.engine.listVolumes()).map(({ name }) => name);
});
