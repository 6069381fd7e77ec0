/**
 * What volumes, snapshots and copies hold when they are made, written and deleted through CSI, on real devices.
 */
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import type { Volume__Output } from '../../src/csi/generated/csi/v1/Volume.ts';
import { ask, csiSuite } from '../support/csi-suite.ts';
import { checksum, KiB, MiB, SECTOR, withDirectFile } from '../support/disks.ts';

const SIZE = 16 * MiB;

describe('The content of CSI volumes', () => {
  const suite = csiSuite();
  let made = 0;
  const name = (what: string) => `${what}-${++made}`;

  const contentOf = (id: string, bytes = SIZE) => suite.onDevice(id, (device) => checksum(device, bytes));
  const write = (id: string, patches: number) =>
    suite.onDevice(id, (device) => writeRandomly(device, patches, SIZE));
  const written = async (what: string): Promise<Volume__Output> => {
    const volume = await suite.csi.createVolume({ name: name(what) });
    await write(volume.volumeId, 100);
    return volume;
  };

  it('is zeros in a new volume', async () => {
    const { volumeId } = await suite.csi.createVolume({ name: name('empty') });
    const found = await suite.onDevice(volumeId, (device) =>
      withDirectFile(device, 'read', (file) => file.read(0, SIZE)),
    );
    assert.ok(found.equals(Buffer.alloc(SIZE)));
  });

  it('is that of the snapshot in a restored volume, whatever was written since', async () => {
    const source = await written('source');
    const before = await contentOf(source.volumeId);
    const snapshot = await suite.csi.createSnapshot(source.volumeId, name('snapshot'));
    assert.equal(snapshot.readyToUse, true);
    assert.equal(snapshot.sizeBytes, SIZE);
    assert.equal(snapshot.sourceVolumeId, source.volumeId);
    assert.ok(Math.abs(Date.now() / 1000 - (snapshot.creationTime?.seconds as number)) < 60);
    await write(source.volumeId, 50);
    assert.notEqual(await contentOf(source.volumeId), before);

    const restored = await suite.csi.restore(snapshot.snapshotId, { name: name('restored') });
    assert.deepEqual(restored.contentSource?.snapshot, { snapshotId: snapshot.snapshotId });
    assert.equal(await contentOf(restored.volumeId), before);
    await write(restored.volumeId, 50);
    assert.equal(
      await contentOf(snapshot.snapshotId),
      before,
      'writes to the copy do not show in the snapshot',
    );
    const again = await suite.csi.restore(snapshot.snapshotId, { name: name('restored') });
    assert.equal(await contentOf(again.volumeId), before);
  });

  it('is the source and then zeros in a copy that is larger', async () => {
    const source = await written('source');
    const sum = await contentOf(source.volumeId);
    const size = SIZE + 8 * MiB + 4 * KiB;
    const copy = await suite.csi.clone(source.volumeId, {
      name: name('larger'),
      capacityRange: { requiredBytes: size - 1000 },
    });
    assert.equal(copy.capacityBytes, size, 'rounded up to whole blocks');
    await suite.onDevice(copy.volumeId, async (device) => {
      assert.equal(await checksum(device, SIZE), sum);
      const rest = await withDirectFile(device, 'read', (file) => file.read(SIZE, size - SIZE));
      assert.ok(rest.equals(Buffer.alloc(size - SIZE)));
    });
  });

  it('has as many bytes as its source in a copy without a size', async () => {
    const source = await written('source');
    const copy = await suite.csi.clone(source.volumeId, { name: name('same'), capacityRange: null });
    assert.equal(copy.capacityBytes, SIZE);
    assert.deepEqual(copy.contentSource?.volume, { volumeId: source.volumeId });
  });

  it('stays in a volume that grows', async () => {
    const source = await written('source');
    const sum = await contentOf(source.volumeId);
    const { snapshotId } = await suite.csi.createSnapshot(source.volumeId, name('snapshot'));
    const grown = await ask(suite.csi.controller, 'controllerExpandVolume', {
      volumeId: source.volumeId,
      capacityRange: { requiredBytes: 2 * SIZE },
      volumeCapability: null,
    });
    assert.deepEqual(grown, { capacityBytes: 2 * SIZE, nodeExpansionRequired: true });
    await suite.onDevice(source.volumeId, async (device) => {
      assert.equal(await checksum(device, SIZE), sum);
      const rest = await withDirectFile(device, 'read', (file) => file.read(SIZE, SIZE));
      assert.ok(rest.equals(Buffer.alloc(SIZE)));
    });
    assert.equal(await contentOf(snapshotId), sum);
  });

  it('is each one its own in copies of copies', async () => {
    const sums = new Map<string, string>();
    let last = await written('first');
    for (let depth = 0; depth < 6; depth++) {
      sums.set(last.volumeId, await contentOf(last.volumeId));
      const copy = await suite.csi.clone(last.volumeId, {
        name: name('copy'),
        parameters: { copyRate: '0' },
      });
      assert.equal(await contentOf(copy.volumeId), sums.get(last.volumeId));
      await write(copy.volumeId, 20);
      last = copy;
    }
    for (const [id, sum] of sums) assert.equal(await contentOf(id), sum);
  });

  it('survives the deletion of all others, in every order', async () => {
    for (const order of permutations([0, 1, 2, 3])) await deletedInOrder(order);
  });

  /** A volume, its snapshot, a restore of that, and a clone of the restore: deleted one by one. */
  async function deletedInOrder(order: readonly number[]): Promise<void> {
    const bytes = MiB;
    const sum = (id: string) => suite.onServedFile(id, (file) => checksum(file, bytes));
    const change = (id: string) => suite.onServedFile(id, (file) => writeRandomly(file, 20, bytes));
    const request = (what: string) => ({
      name: name(what),
      capacityRange: { requiredBytes: bytes },
      parameters: { copyRate: order[0] === 0 ? '0' : '150' },
    });
    const volume = await suite.csi.createVolume(request('volume'));
    await change(volume.volumeId);
    const snapshot = await suite.csi.createSnapshot(volume.volumeId, name('snapshot'));
    await change(volume.volumeId);
    const restored = await suite.csi.restore(snapshot.snapshotId, request('restored'));
    await change(restored.volumeId);
    const clone = await suite.csi.clone(restored.volumeId, request('clone'));
    await change(clone.volumeId);
    const ids = [volume.volumeId, snapshot.snapshotId, restored.volumeId, clone.volumeId];
    const sums: string[] = [];
    for (const id of ids) sums.push(await sum(id));
    const left = new Set(ids.keys());
    for (const each of order) {
      await (each === 1 ? suite.csi.deleteSnapshot(ids[each]!) : suite.csi.deleteVolume(ids[each]!));
      left.delete(each);
      for (const other of left)
        assert.equal(await sum(ids[other]!), sums[other], `${other}, in order ${order}, after ${each}`);
    }
  }
});

async function writeRandomly(device: string, patches: number, within: number): Promise<void> {
  await withDirectFile(device, 'write', async (file) => {
    for (let n = 0; n < patches; n++) {
      const data = randomBytes(SECTOR * (1 + randomInt(8)));
      await file.write(randomInt((within - data.length) / SECTOR) * SECTOR, data);
    }
  });
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}
