/** What people see when something cannot be: in the events of their own objects, with what to do. */
import assert from 'node:assert/strict';
import { apply, kubectl } from './harness/kubectl.ts';
import { claim, pod } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

describe('What cannot be', () => {
  const at = scene('refusals');

  const withClass = async (name: string, parameters: Record<string, string>, body: () => Promise<void>) => {
    const storageClass = {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name },
      provisioner: 'csi.flashcopy.dev',
      volumeBindingMode: 'WaitForFirstConsumer',
      parameters,
    };
    await apply(at.cluster, [storageClass]);
    try {
      await body();
    } finally {
      await kubectl(at.cluster, ['delete', 'storageclass', name]);
    }
  };

  it('a class with a misspelt parameter: the claim names it, and the known ones', () =>
    withClass('misspelt', { grainsize: '4Ki' }, async () => {
      await at.apply(claim('misspelt', { storageClass: 'misspelt' }), pod('misspelt', { claim: 'misspelt' }));
      const event = await at.event('PersistentVolumeClaim', 'misspelt', /ProvisioningFailed: .*no parameter/);
      assert.match(event, /grainsize.*grainSize/);
      await at.delete('pod', 'misspelt');
      await at.delete('pvc', 'misspelt');
    }));

  it('a claim for several nodes at once: the claim says that volumes are on one node', async () => {
    await at.apply(claim('shared', { accessMode: 'ReadWriteMany' }), pod('shared', { claim: 'shared' }));
    await at.event('PersistentVolumeClaim', 'shared', /ProvisioningFailed: .*(one node|access mode)/i);
    await at.delete('pod', 'shared');
    await at.delete('pvc', 'shared');
  });

  it('a restore into a smaller claim: the claim says how large it has to be', async () => {
    await at.apply(claim('origin'), pod('origin', { claim: 'origin' }));
    await at.running('origin');
    await at.apply(
      claim('smaller', { size: '64Mi', from: { kind: 'PersistentVolumeClaim', name: 'origin' } }),
      pod('smaller', { claim: 'smaller' }),
    );
    await at.event('PersistentVolumeClaim', 'smaller', /ProvisioningFailed: .*(size|bytes|Mi)/);
    await at.delete('pod', 'smaller');
    await at.delete('pvc', 'smaller');
  });
});
