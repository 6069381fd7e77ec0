/**
 * One controller and the engines of two nodes, of which one can be away.
 */
import assert from 'node:assert/strict';
import { ControllerAndNodes } from '../support/csi-roles.ts';
import { ask, type CsiClient, refusedWith } from '../support/csi-suite.ts';
import { engineSuite } from '../support/engine-suite.ts';

const KEY = 'topology.flashcopy.dev/node';

describe('A controller of two nodes', () => {
  const suite = engineSuite({ started: false });
  let cluster: ControllerAndNodes;
  const csi = (): CsiClient => cluster.controller.client;
  const on = (node: string) => ({
    accessibilityRequirements: { requisite: [{ segments: { [KEY]: node } }] },
  });

  before(async () => {
    cluster = await ControllerAndNodes.start(suite, ['n1', 'n2']);
  });

  it('makes each volume where it is asked for, and a copy where its source is', async () => {
    const ids = await Promise.all(
      ['n1', 'n2'].map(
        async (node) => (await csi().createVolume({ name: `on-${node}`, ...on(node) })).volumeId,
      ),
    );
    assert.deepEqual(
      ids.map((id) => id.split('/')[0]),
      ['n1', 'n2'],
    );
    const text = await refusedWith('RESOURCE_EXHAUSTED', csi().clone(ids[0]!, { name: 'copy', ...on('n2') }));
    assert.match(text, /node n1/);
  });

  it('takes a group snapshot of one node only', async () => {
    const ids = ['on-n1', 'on-n2'].map(async (name) => (await csi().createVolume({ name })).volumeId);
    const sourceVolumeIds = await Promise.all(ids);
    const request = { name: 'over-both', sourceVolumeIds };
    const text = await refusedWith(
      'FAILED_PRECONDITION',
      ask(csi().groups, 'createVolumeGroupSnapshot', request),
    );
    assert.match(text, /n1 and n2/);
    for (const node of ['n1', 'n2']) assert.equal((await cluster.engine(node).pool()).snapshots, 0);
  });

  it('compares snapshots of one volume only', async () => {
    const snapshots: string[] = [];
    for (const name of ['on-n1', 'on-n2']) {
      const { volumeId } = await csi().createVolume({ name });
      snapshots.push((await csi().createSnapshot(volumeId, `of-${name}`)).snapshotId);
    }
    const [baseSnapshotId, targetSnapshotId] = snapshots as [string, string];
    const stream = csi().metadata.getMetadataDelta({ baseSnapshotId, targetSnapshotId });
    await refusedWith('INVALID_ARGUMENT', stream.toArray());
  });

  it('serves one of them while the other is away', async () => {
    const { volumeId } = await csi().createVolume({ name: 'on-n1' });
    const other = await csi().createVolume({ name: 'on-n2' });
    await cluster.standalone('n2').stop();
    const { entries } = await ask(csi().controller, 'listSnapshots', { sourceVolumeId: volumeId });
    assert.deepEqual(
      entries.map(({ snapshot }) => snapshot!.sourceVolumeId),
      [volumeId],
    );
    await csi().createSnapshot(volumeId, 'meanwhile');
    await csi().createVolume({ name: 'meanwhile' });
    const away = [
      ask(csi().controller, 'listSnapshots', { sourceVolumeId: other.volumeId }),
      ask(csi().controller, 'listVolumes', {}),
      csi().deleteVolume(other.volumeId),
      csi().createSnapshot(other.volumeId, 'away'),
    ];
    await Promise.all(away.map((call) => refusedWith('UNAVAILABLE', call)));
  });
});
