/** Snapshots of several volumes at one instant, asked for by a label. */
import assert from 'node:assert/strict';
import { TOOLS_IMAGE } from './harness/images.ts';
import type { KubeObject } from './harness/kubectl.ts';
import { claim, MOUNT, pod } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

/** Writes a number to one volume and then to the other, durably, and then the next one. */
const COUNTING = `
  i=0
  while :; do
    i=$((i + 1))
    for volume in a b; do printf %08d $i | dd of=/$volume/n conv=notrunc,fsync 2>/dev/null; done
  done`;

const counter: KubeObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'counter' },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'main',
        image: TOOLS_IMAGE,
        command: ['/bin/sh', '-c', COUNTING],
        volumeMounts: ['a', 'b'].map((name) => ({ name, mountPath: `/${name}` })),
      },
    ],
    volumes: ['a', 'b'].map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
  },
};

describe('A group of volumes', () => {
  const at = scene('groups');

  it('has snapshots of one instant while a pod writes to one after the other', async () => {
    const members = ['a', 'b'].map((name) => claim(name));
    for (const { metadata } of members) metadata.labels = { group: 'counted' };
    await at.apply(...members, counter);
    await at.running('counter');
    await at.apply({
      apiVersion: 'groupsnapshot.storage.k8s.io/v1',
      kind: 'VolumeGroupSnapshot',
      metadata: { name: 'group' },
      spec: {
        volumeGroupSnapshotClassName: 'flashcopy',
        source: { selector: { matchLabels: { group: 'counted' } } },
      },
    });
    await at.wait('volumegroupsnapshot/group', 'jsonpath={.status.readyToUse}=true');
    const numbers: number[] = [];
    for (const { metadata } of await at.list('volumesnapshot')) {
      const from = { kind: 'VolumeSnapshot', name: metadata.name } as const;
      const name = `restored-${numbers.length + 1}`;
      await at.apply(claim(name, { from }), pod(name, { claim: name }));
      await at.running(name);
      numbers.push(Number(await at.sh(name, `cat ${MOUNT}/n`)));
    }
    const [a, b] = numbers;
    assert.equal(numbers.length, 2);
    assert.ok(Math.abs(a! - b!) <= 1, `${a} and ${b}`);
    assert.ok(a! > 0);
  });
});
