/** The driver is upgraded, removed and installed again: what it keeps for its users stays. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { until } from '../support/commands.ts';
import { CHART, helm, NAMESPACE, RELEASE, values } from './harness/driver.ts';
import { driverPods, replaced } from './harness/driver-pods.ts';
import { kubectl } from './harness/kubectl.ts';
import { claim, pod, snapshot } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

/** The chart of the first state of these sources that had one, packed. It knows no keepers of engines' descriptors. */
const FIRST_CHART = path.join(import.meta.dirname, 'fixtures/first-chart.tar.gz');

describe('The chart', () => {
  const at = scene('lifecycle');
  let files: string;

  /** Controllers and node roles are those of the last upgrade. */
  const rolledOut = async () => {
    for (const workload of ['deployment', 'daemonset'] as const) {
      const name = `${workload}/${RELEASE}-flashcopy-csi-${workload === 'deployment' ? 'controller' : 'node'}`;
      await kubectl(at.cluster, ['-n', NAMESPACE, 'rollout', 'status', name, '--timeout=180s']);
    }
  };
  const certificates = async () => {
    const ours = ['-l', 'app.kubernetes.io/name=flashcopy-csi'];
    const list = await kubectl(at.cluster, ['-n', NAMESPACE, 'get', 'secrets', '-o', 'json', ...ours]);
    return JSON.stringify((JSON.parse(list) as { items: { data: object }[] }).items.map(({ data }) => data));
  };
  const uninstall = async () => {
    await helm(at.cluster, ['uninstall', RELEASE, '--wait', '--timeout=180s']);
    const ended = async () => (await driverPods(at.cluster, 'engine')).length === 0;
    await until('the engines have ended', ended, 120_000, 500);
  };
  before(async () => {
    await at.apply(claim('origin'), pod('origin', { claim: 'origin' }));
    await at.running('origin');
    files = await at.write('origin', ['a', 'b']);
  });

  it('tests itself', async () => {
    await helm(at.cluster, ['test', RELEASE, '--timeout=180s']);
  });

  it('is upgraded while a pod uses its volume', async () => {
    const before = await certificates();
    // Without --wait: that would be for engines too, and they are replaced when their pods are deleted.
    await helm(at.cluster, ['upgrade', RELEASE, CHART, '--reuse-values', '--set=logLevel=debug']);
    await rolledOut();
    for (const { name } of at.cluster.nodes) await replaced(at.cluster, 'engine', name);
    assert.equal(await at.files('origin'), files);
    files = await at.write('origin', ['c']);
    assert.ok((await certificates()) === before, 'the certificates have changed');
  });

  it('is removed, and leaves what its users made', async () => {
    await at.delete('pod', 'origin');
    await uninstall();
    assert.equal((await at.get('pvc', 'origin')).status.phase, 'Bound');
    await kubectl(at.cluster, ['get', 'crd', 'flashcopymappings.flashcopy.dev']);
    await assert.rejects(kubectl(at.cluster, ['get', 'csidriver', 'csi.flashcopy.dev']), /not found/);
    await until(
      'no loop device of its engines is left',
      () => at.cluster.loopDevices().length === 0,
      60_000,
      500,
    );
  });

  it('is installed again, as its first version, and the data is there', async () => {
    await helm(at.cluster, [
      'install',
      RELEASE,
      FIRST_CHART,
      ...values(at.cluster),
      '--wait',
      '--timeout=180s',
    ]);
    await at.apply(pod('heir', { claim: 'origin' }));
    await at.running('heir');
    assert.equal(await at.files('heir'), files);
  });

  it('is upgraded from its first version while a pod uses its volume; engines of that time, which nobody keeps, are replaced when no pod does', async () => {
    await helm(at.cluster, ['upgrade', RELEASE, CHART, ...values(at.cluster)]);
    await rolledOut();
    assert.equal(await at.files('heir'), files);
    files = await at.write('heir', ['d']);
    await at.delete('pod', 'heir');
    for (const { name } of at.cluster.nodes) await replaced(at.cluster, 'engine', name);
    await at.apply(pod('heir', { claim: 'origin' }));
    await at.running('heir');
    assert.equal(await at.files('heir'), files);
    // And now they are kept.
    for (const { name } of at.cluster.nodes) await replaced(at.cluster, 'engine', name);
    assert.equal(await at.files('heir'), files);
    await at.apply(snapshot('after', 'origin'));
    await at.ready('after');
  });

  it('is removed and installed again, and data and snapshots are there', async () => {
    await at.delete('pod', 'heir');
    await uninstall();
    await helm(at.cluster, ['install', RELEASE, CHART, ...values(at.cluster), '--wait', '--timeout=180s']);
    await at.apply(
      pod('last', { claim: 'origin' }),
      claim('restored', { from: { kind: 'VolumeSnapshot', name: 'after' } }),
      pod('restored', { claim: 'restored' }),
    );
    await at.running('last', 'restored');
    assert.equal(await at.files('last'), files);
    assert.equal(await at.files('restored'), files);
  });
});
