/** The driver is upgraded, removed and installed again: what it keeps for its users stays. */
import assert from 'node:assert/strict';
import { until } from '../support/commands.ts';
import { CHART, helm, NAMESPACE, RELEASE, values } from './harness/driver.ts';
import { driverPods, replaced } from './harness/driver-pods.ts';
import { kubectl } from './harness/kubectl.ts';
import { claim, pod, snapshot } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

describe('The chart', () => {
  const at = scene('lifecycle');
  let files: string;

  before(async () => {
    await at.apply(claim('origin'), pod('origin', { claim: 'origin' }));
    await at.running('origin');
    files = await at.write('origin', ['a', 'b']);
  });

  it('tests itself', async () => {
    await helm(at.cluster, ['test', RELEASE, '--timeout=180s']);
  });

  it('is upgraded while a pod uses its volume', async () => {
    const before = await kubectl(at.cluster, [
      '-n',
      NAMESPACE,
      'get',
      'secrets',
      '-o',
      'json',
      '-l',
      'app.kubernetes.io/name=flashcopy-csi',
    ]);
    // Without --wait: that would be for engines too, and they are replaced when their pods are deleted.
    await helm(at.cluster, ['upgrade', RELEASE, CHART, '--reuse-values', '--set=logLevel=debug']);
    for (const workload of ['deployment', 'daemonset'] as const) {
      const name = `${workload}/${RELEASE}-flashcopy-csi-${workload === 'deployment' ? 'controller' : 'node'}`;
      await kubectl(at.cluster, ['-n', NAMESPACE, 'rollout', 'status', name, '--timeout=180s']);
    }
    for (const { name } of at.cluster.nodes) await replaced(at.cluster, 'engine', name);
    assert.equal(await at.files('origin'), files);
    files = await at.write('origin', ['c']);
    const after = await kubectl(at.cluster, [
      '-n',
      NAMESPACE,
      'get',
      'secrets',
      '-o',
      'json',
      '-l',
      'app.kubernetes.io/name=flashcopy-csi',
    ]);
    const certificates = (list: string) =>
      JSON.stringify((JSON.parse(list) as { items: { data: object }[] }).items.map(({ data }) => data));
    assert.ok(certificates(after) === certificates(before), 'the certificates have changed');
  });

  it('is removed, and leaves what its users made', async () => {
    await at.delete('pod', 'origin');
    await helm(at.cluster, ['uninstall', RELEASE, '--wait', '--timeout=180s']);
    await until(
      'the engines have ended',
      async () => (await driverPods(at.cluster, 'engine')).length === 0,
      120_000,
      500,
    );
    assert.equal((await at.get('pvc', 'origin')).status.phase, 'Bound');
    await kubectl(at.cluster, ['get', 'crd', 'flashcopymappings.flashcopy.dev']);
    await assert.rejects(kubectl(at.cluster, ['get', 'csidriver', 'csi.flashcopy.dev']), /not found/);
  });

  it('is installed again, and the data is there', async () => {
    await helm(at.cluster, ['install', RELEASE, CHART, ...values(at.cluster), '--wait', '--timeout=180s']);
    await at.apply(pod('heir', { claim: 'origin' }));
    await at.running('heir');
    assert.equal(await at.files('heir'), files);
    await at.apply(snapshot('after', 'origin'));
    await at.ready('after');
  });
});
