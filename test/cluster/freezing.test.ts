/** Snapshots of a class with fsFreeze show a filesystem that needs no recovery, also while pods write to it. */
import assert from 'node:assert/strict';
import { killInPod } from './harness/driver-pods.ts';
import { apply, type KubeObject, kubectl } from './harness/kubectl.ts';
import { claim, DEVICE, MOUNT, pod, snapshot } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

const FROZEN = 'flashcopy-frozen';
const snapshotClass: KubeObject = {
  apiVersion: 'snapshot.storage.k8s.io/v1',
  kind: 'VolumeSnapshotClass',
  metadata: { name: FROZEN },
  ...{ driver: 'csi.flashcopy.dev', deletionPolicy: 'Delete', parameters: { fsFreeze: 'true' } },
};
/** Files come, grow and go, and nothing is flushed. */
const WRITING = `
  i=0
  while :; do
    i=$((i + 1))
    dd if=/dev/urandom of=${MOUNT}/churn-$((i % 20)) bs=4k count=$((i % 50 + 1)) 2>/dev/null
    rm -f ${MOUNT}/churn-$(((i + 10) % 20))
    echo $i >>${MOUNT}/log
  done`;

describe('A snapshot of a class with fsFreeze', () => {
  const at = scene('freezing');

  before(async () => {
    await apply(at.cluster, [snapshotClass]);
    await at.apply(
      claim('ext4'),
      claim('xfs', { storageClass: 'flashcopy-xfs', size: '512Mi' }),
      pod('ext4', { claim: 'ext4', node: 'node-1', script: WRITING }),
      pod('xfs', { claim: 'xfs', node: 'node-1', script: WRITING }),
    );
    await at.running('ext4', 'xfs');
  });
  after(() => kubectl(at.cluster, ['delete', 'volumesnapshotclass', FROZEN]));

  /** The snapshot as a block device, as it is: mounting it would already recover it. */
  const device = async (name: string): Promise<string> => {
    const { status } = await at.get('volumesnapshot', name);
    const content = status.boundVolumeSnapshotContentName as string;
    const allow = 'snapshot.storage.kubernetes.io/allow-volume-mode-change=true';
    await kubectl(at.cluster, ['annotate', 'volumesnapshotcontent', content, allow]);
    const from = { kind: 'VolumeSnapshot', name } as const;
    await at.apply(
      claim(`raw-${name}`, { from, block: true }),
      pod(name, { claim: `raw-${name}`, block: true }),
    );
    await at.running(name);
    return name;
  };
  /** The flag in ext4's superblock that says that the journal has what the filesystem has not. */
  const needsRecovery = async (name: string): Promise<boolean> => {
    const bytes = `dd if=${DEVICE} bs=1 skip=$((1024 + 0x38)) count=64 2>/dev/null | od -An -v -tx1`;
    const superblock = (await at.sh(await device(name), bytes)).split(/\s+/).map((hex) => Number(`0x${hex}`));
    assert.deepEqual(superblock.slice(0, 2), [0x53, 0xef], 'it is ext4');
    return (superblock[0x60 - 0x38]! & 4) !== 0;
  };

  it('holds what was written just before and never flushed, and needs no recovery', async () => {
    await at.sh('ext4', `echo written >${MOUNT}/last`);
    await at.apply(snapshot('frozen', 'ext4', FROZEN));
    await at.ready('frozen');
    assert.equal(await needsRecovery('frozen'), false);
    const from = { kind: 'VolumeSnapshot', name: 'frozen' } as const;
    await at.apply(claim('copy', { from }), pod('copy', { claim: 'copy' }));
    await at.running('copy');
    assert.equal(await at.sh('copy', `cat ${MOUNT}/last`), 'written');
  });

  it('is not what one of another class is', async () => {
    await at.apply(snapshot('crash', 'ext4'));
    await at.ready('crash');
    assert.equal(await needsRecovery('crash'), true);
  });

  it('is the same of XFS', async () => {
    await at.sh('xfs', `echo written >${MOUNT}/last`);
    await at.apply(snapshot('frozen-xfs', 'xfs', FROZEN));
    await at.ready('frozen-xfs');
    const from = { kind: 'VolumeSnapshot', name: 'frozen-xfs' } as const;
    const options = { storageClass: 'flashcopy-xfs', size: '512Mi' };
    await at.apply(claim('copy-xfs', { ...options, from }), pod('copy-xfs', { claim: 'copy-xfs' }));
    await at.running('copy-xfs');
    assert.equal(await at.sh('copy-xfs', `cat ${MOUNT}/last`), 'written');
  });

  it('lets the pods go on, also when the engine is killed meanwhile', async () => {
    const written = async (name: string) => Number(await at.sh(name, `wc -l <${MOUNT}/log`));
    const names = ['k1', 'k2', 'k3', 'k4'];
    for (const [i, name] of names.entries()) {
      await at.apply(snapshot(name, i % 2 === 0 ? 'ext4' : 'xfs', FROZEN));
      if (i % 2 === 1) await killInPod(at.cluster, 'node-1', 'flashcopy-engine');
    }
    await at.ready(...names);
    for (const name of ['ext4', 'xfs']) {
      const before = await written(name);
      await at.sh(name, `sync; until [ $(wc -l <${MOUNT}/log) -gt ${before} ]; do sleep 0.2; done`);
    }
  });
});
