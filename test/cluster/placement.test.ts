/** Two nodes: pods, volumes and copies end up together. */
import assert from 'node:assert/strict';
import { claim, pod, snapshot } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

const NODES = ['node-1', 'node-2'];

describe('On two nodes', () => {
  const at = scene('placement');

  it('a pod lands where its volume is', async () => {
    for (const node of NODES) {
      const name = `on-${node}`;
      await at.apply(claim(name), pod(name, { claim: name, node }));
      await at.running(name);
      const files = await at.write(name, ['a']);
      await at.delete('pod', name);
      await at.apply(pod(name, { claim: name }));
      await at.running(name);
      assert.equal(await at.nodeOf(name), node);
      assert.equal(await at.files(name), files);
    }
  });

  it('a volume names the node that it is on', async () => {
    for (const node of NODES) {
      const { spec } = await at.get('pvc', `on-${node}`);
      const volume = await at.get('pv', spec.volumeName);
      const [term] = volume.spec.nodeAffinity.required.nodeSelectorTerms;
      assert.deepEqual(term.matchExpressions, [
        { key: 'topology.flashcopy.dev/node', operator: 'In', values: [node] },
      ]);
    }
  });

  it('restores and clones go to the node of their source, whichever the scheduler would choose', async () => {
    const names: string[] = [];
    for (const node of NODES) {
      await at.apply(snapshot(`of-${node}`, `on-${node}`));
      await at.ready(`of-${node}`);
      for (const number of [1, 2]) {
        const restore = `restore-${number}-${node}`;
        const clone = `clone-${number}-${node}`;
        await at.apply(
          claim(restore, { from: { kind: 'VolumeSnapshot', name: `of-${node}` } }),
          claim(clone, { from: { kind: 'PersistentVolumeClaim', name: `on-${node}` } }),
          pod(restore, { claim: restore }),
          pod(clone, { claim: clone }),
        );
        names.push(restore, clone);
      }
    }
    await at.running(...names);
    for (const name of names) assert.equal(await at.nodeOf(name), name.slice(-'node-N'.length), name);
    await at.event('PersistentVolumeClaim', 'restore-1-node-1', /node-1/);
  });

  it('a restore whose node takes no pods waits, says why, and starts when it does', async () => {
    await at.kubectl('cordon', 'node-1');
    try {
      const options = { from: { kind: 'VolumeSnapshot', name: 'of-node-1' } } as const;
      await at.apply(claim('waiting', options), pod('waiting', { claim: 'waiting' }));
      await at.event('PersistentVolumeClaim', 'waiting', /node-1.*(cordon|unschedulable|takes no pods)/i);
      assert.equal((await at.get('pod', 'waiting')).status.phase, 'Pending');
    } finally {
      await at.kubectl('uncordon', 'node-1');
    }
    await at.running('waiting');
    assert.equal(await at.nodeOf('waiting'), 'node-1');
  });

  it('a claim that no node has room for stays pending, and its pod says why', async () => {
    await at.apply(claim('huge', { size: '1Ti' }), pod('huge', { claim: 'huge' }));
    await at.event('Pod', 'huge', /did not have enough free storage/);
    assert.equal((await at.get('pvc', 'huge')).status.phase, 'Pending');
  });
});
