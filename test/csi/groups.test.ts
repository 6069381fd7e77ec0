/**
 * Group snapshots: one instant for all members, all or none, and the same group for who asks again.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VolumeGroupSnapshot__Output } from '../../src/csi/generated/csi/v1/VolumeGroupSnapshot.ts';
import { ask, csiSuite, refusedWith } from '../support/csi-suite.ts';
import { DirectFile, MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';

const MEMBERS = 4;
const VOLUME_BYTES = 64 * MiB;
const CUTS = 8;

describe('CSI group snapshots', () => {
  const suite = csiSuite();

  const volumes = async (count: number): Promise<string[]> => {
    const ids: string[] = [];
    for (let n = 0; n < count; n++) {
      const request = { name: `volume-${randomUUID()}`, capacityRange: { requiredBytes: VOLUME_BYTES } };
      ids.push((await suite.csi.createVolume(request)).volumeId);
    }
    return ids;
  };
  const create = async (name: string, sourceVolumeIds: string[], parameters = {}) => {
    const request = { name, sourceVolumeIds, parameters };
    const { groupSnapshot } = await ask(suite.csi.groups, 'createVolumeGroupSnapshot', request);
    return groupSnapshot!;
  };
  const get = async (groupSnapshotId: string, snapshotIds: string[] = []) => {
    const request = { groupSnapshotId, snapshotIds };
    return (await ask(suite.csi.groups, 'getVolumeGroupSnapshot', request)).groupSnapshot!;
  };
  const remove = (groupSnapshotId: string, snapshotIds: string[] = []) =>
    ask(suite.csi.groups, 'deleteVolumeGroupSnapshot', { groupSnapshotId, snapshotIds });
  const idsOf = ({ snapshots }: VolumeGroupSnapshot__Output) =>
    snapshots.map((each) => each.snapshotId).sort();

  it('of four volumes under writes never show a write without all writes before it', async () => {
    const ids = await volumes(MEMBERS);
    const files: DirectFile[] = [];
    for (const id of ids) {
      const device = await suite.engines.engine.attachVolume(suite.nameOf(id));
      files.push(await DirectFile.open(device, 'durable'));
    }
    let stopped = false;
    let durable = 0;
    // Each number is durable before the next one is written, on the next volume.
    const write = async (): Promise<void> => {
      for (; !stopped; durable++) {
        const at = Math.floor(durable / MEMBERS);
        assert.ok(at < VOLUME_BYTES / SECTOR, 'no number was overwritten');
        await files[durable % MEMBERS]!.write(at * SECTOR, tagSector(`${durable + 1}`));
      }
    };
    const writer = write();
    const cuts: { group: VolumeGroupSnapshot__Output; atLeast: number; atMost: number }[] = [];
    for (let cut = 0; cut < CUTS; cut++) {
      await sleep(100);
      const atLeast = durable;
      const group = await create(`under-writes-${cut}`, ids);
      cuts.push({ group, atLeast, atMost: durable + 1 });
    }
    stopped = true;
    await writer;
    for (const file of files) await file.close();
    assert.ok(durable > CUTS * MEMBERS, `there were ${durable} writes`);

    for (const { group, atLeast, atMost } of cuts) {
      const numbers: number[] = [];
      for (const { snapshotId } of group.snapshots) numbers.push(...(await numbersIn(snapshotId, atMost)));
      numbers.sort((a, b) => a - b);
      assert.deepEqual(
        numbers,
        Array.from(numbers, (_, at) => at + 1),
        'there are no gaps',
      );
      assert.ok(numbers.length >= atLeast && numbers.length <= atMost, `${numbers.length} numbers`);
    }
    for (const { group } of cuts) await remove(group.groupSnapshotId, idsOf(group));
    for (const id of ids) await suite.engines.engine.detachVolume(suite.nameOf(id));
  });

  const numbersIn = (snapshotId: string, atMost: number): Promise<number[]> =>
    suite.onDevice(snapshotId, (device) =>
      withDirectFile(device, 'read', async (file) => {
        const sectors = Math.ceil(atMost / MEMBERS) + 1;
        const bytes = await file.read(0, sectors * SECTOR);
        return Array.from({ length: sectors }, (_, at) =>
          readTag(bytes.subarray(at * SECTOR, (at + 1) * SECTOR)),
        )
          .filter((tag) => tag !== '')
          .map(Number);
      }),
    );

  it('are described by their members', async () => {
    const ids = await volumes(3);
    const group = await create('described', ids);
    assert.equal(group.readyToUse, true);
    assert.deepEqual(group.snapshots.map((each) => each.sourceVolumeId).sort(), [...ids].sort());
    for (const snapshot of group.snapshots) {
      assert.equal(snapshot.groupSnapshotId, group.groupSnapshotId);
      assert.deepEqual(snapshot.creationTime, group.creationTime);
      assert.equal(snapshot.sizeBytes, VOLUME_BYTES);
      const request = { snapshotId: snapshot.snapshotId };
      assert.deepEqual((await ask(suite.csi.controller, 'getSnapshot', request)).snapshot, snapshot);
    }
    assert.deepEqual(await get(group.groupSnapshotId, idsOf(group)), group);
    const restored = await suite.csi.restore(group.snapshots[0]!.snapshotId, {
      name: 'from-a-member',
      capacityRange: null,
    });
    assert.equal(restored.capacityBytes, VOLUME_BYTES);
  });

  it('are the same for who asks again, in any order, also when a volume is gone', async () => {
    const ids = await volumes(2);
    const group = await create('again', ids);
    assert.deepEqual(await create('again', ids.toReversed()), group);
    await suite.csi.deleteVolume(ids[0]!);
    assert.deepEqual(await create('again', ids), group);
    const [other] = await volumes(1);
    await refusedWith('ALREADY_EXISTS', create('again', [ids[1]!, other!]));
    await refusedWith('ALREADY_EXISTS', create('again', [ids[1]!]));
    const text = await refusedWith('ALREADY_EXISTS', create('again', ids, { copyRate: '10' }));
    assert.match(text, /copyRate/);
  });

  it('are made once for a hundred who ask at once', async () => {
    const ids = await volumes(2);
    const made = await Promise.all(Array.from({ length: 100 }, () => create('at-once', ids)));
    assert.equal(new Set(made.map((group) => idsOf(group).join())).size, 1);
  });

  it('are made of all volumes or of none', async () => {
    const ids = await volumes(2);
    const before = (await suite.engines.engine.pool()).snapshots;
    await refusedWith('NOT_FOUND', create('none', [...ids, `${ids[0]}999`]));
    await refusedWith('INVALID_ARGUMENT', create('none', []));
    await refusedWith('INVALID_ARGUMENT', create('none', [ids[0]!, ids[0]!]));
    await refusedWith('INVALID_ARGUMENT', create('', ids));
    assert.equal((await suite.engines.engine.pool()).snapshots, before);
  });

  it('go as a whole, and only with the right list', async () => {
    const ids = await volumes(2);
    const group = await create('goes', ids);
    const stays = await create('stays', ids);
    const members = idsOf(group);
    await refusedWith('INVALID_ARGUMENT', remove(group.groupSnapshotId, [members[0]!]));
    await refusedWith('INVALID_ARGUMENT', remove(group.groupSnapshotId, [...members, idsOf(stays)[0]!]));
    await refusedWith('INVALID_ARGUMENT', get(group.groupSnapshotId, idsOf(stays)));
    // A deletion that was cut off half-way is finished by the next one.
    await suite.csi.deleteSnapshot(members[0]!);
    await remove(group.groupSnapshotId, members);
    await remove(group.groupSnapshotId, members);
    await refusedWith('NOT_FOUND', get(group.groupSnapshotId));
    for (const snapshotId of members)
      await refusedWith('NOT_FOUND', ask(suite.csi.controller, 'getSnapshot', { snapshotId }));
    assert.deepEqual(await get(stays.groupSnapshotId), stays);
  });
});
