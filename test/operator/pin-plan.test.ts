/** To which node a pending copy is bound, and what is said when that node cannot take it (src/operator/pin-plan.ts). */
import assert from 'node:assert/strict';
import type { Claim, Node, Pod, StorageClass } from '../../src/kube/objects.ts';
import { type PinObserved, planPin } from '../../src/operator/pin-plan.ts';

const metadata = {
  name: 'x',
  namespace: 'shop',
  uid: 'u',
  resourceVersion: '1',
  creationTimestamp: '2026-01-01T00:00:00Z',
};
const source = { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: 'monday' };
const ours: StorageClass = {
  metadata,
  provisioner: 'csi.flashcopy.dev',
  volumeBindingMode: 'WaitForFirstConsumer',
};
const ready: Node = { metadata, status: { conditions: [{ type: 'Ready', status: 'True' }] } };

const claim = (more: Partial<Claim['spec']> = {}, selected?: string): Claim => ({
  metadata: {
    ...metadata,
    ...(selected && { annotations: { 'volume.kubernetes.io/selected-node': selected } }),
  },
  spec: { dataSource: source, ...more },
  status: { phase: 'Pending' },
});
const observed = (more: Partial<PinObserved> = {}): PinObserved => ({
  claim: claim(),
  storageClass: ours,
  sourceNode: 'node-1',
  node: ready,
  pods: [],
  ...more,
});
const pod = (spec: Pod['spec'], status: Pod['status'] = {}): Pod => ({ metadata, spec, status });

describe('A pending copy', () => {
  it('is bound to the node of its source', () => {
    assert.deepEqual(planPin(observed()), { pin: 'node-1', again: true });
  });

  it('is bound there when the scheduler chose another node, and again when the provisioner has dropped it', () => {
    assert.equal(planPin(observed({ claim: claim({}, 'node-2') })).pin, 'node-1');
    assert.equal(planPin(observed({ claim: claim({}) })).pin, 'node-1');
  });

  it('that is bound already is left as it is, and looked at again', () => {
    assert.deepEqual(planPin(observed({ claim: claim({}, 'node-1') })), { again: true });
  });

  it('is left alone if it has no source, is provisioned, is of another driver, or is provisioned at once', () => {
    const no = { again: false };
    assert.deepEqual(planPin(observed({ claim: { ...claim(), spec: {} } })), no);
    assert.deepEqual(planPin(observed({ claim: claim({ volumeName: 'pv-1' }) })), no);
    assert.deepEqual(planPin(observed({ storageClass: { ...ours, provisioner: 'nfs' } })), no);
    assert.deepEqual(planPin(observed({ storageClass: { ...ours, volumeBindingMode: 'Immediate' } })), no);
    assert.deepEqual(planPin(observed({ storageClass: undefined })), no);
  });

  it('is looked at again while its source is not there yet', () => {
    assert.deepEqual(planPin(observed({ sourceNode: undefined })), { again: true });
  });

  const hindrance = (more: Partial<PinObserved>) => planPin(observed(more)).hindrance ?? '';

  it('is told what hinders it: its node is cordoned, not ready, or gone', () => {
    assert.match(
      hindrance({ node: { ...ready, spec: { unschedulable: true } } }),
      /node node-1.*cordoned.*kubectl uncordon node-1/,
    );
    assert.match(
      hindrance({ node: { metadata, status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } } }),
      /not ready/,
    );
    assert.match(hindrance({ node: undefined }), /not in the cluster any more/);
    assert.equal(hindrance({}), '');
  });

  it('is told when the scheduler cannot put its pod there, or has put it elsewhere', () => {
    const message = '0/2 nodes are available: 1 Insufficient cpu.';
    const unschedulable = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message };
    assert.match(
      hindrance({ pods: [pod({}, { conditions: [unschedulable] })] }),
      /pod x cannot be scheduled to it: 0\/2 nodes/,
    );
    assert.match(hindrance({ pods: [pod({ nodeName: 'node-2' })] }), /put on node node-2/);
    assert.equal(hindrance({ pods: [pod({ nodeName: 'node-1' })] }), '');
  });
});
