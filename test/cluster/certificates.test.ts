/** Certificates that are renewed are used by all that run, without one of them being started again. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { until } from '../support/commands.ts';
import { CHART, helm, NAMESPACE, RELEASE, values } from './harness/driver.ts';
import { driverPods } from './harness/driver-pods.ts';
import { kubectl } from './harness/kubectl.ts';
import { claim, pod } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

/** Kubelet looks at Secrets again after a minute or two. */
const KUBELET_MS = 240_000;
const CA = '/etc/flashcopy/tls/ca.crt';

describe('New certificates', () => {
  const at = scene('certificates');

  const upgrade = (renewal: string) =>
    helm(at.cluster, ['upgrade', RELEASE, CHART, ...values(at.cluster), `--set=tls.helm.renewal=${renewal}`]);
  const pods = async () => [
    ...(await driverPods(at.cluster, 'engine')),
    ...(await driverPods(at.cluster, 'controller')),
  ];
  const hash = (text: string) => createHash('sha256').update(text).digest('hex');
  const inSecret = async () => {
    const name = `${RELEASE}-flashcopy-csi-engine-tls`;
    const path = 'jsonpath={.data.ca\\.crt}';
    const data = await kubectl(at.cluster, ['-n', NAMESPACE, 'get', 'secret', name, '-o', path]);
    return hash(Buffer.from(data, 'base64').toString());
  };
  const inPod = async (name: string) =>
    hash(await kubectl(at.cluster, ['-n', NAMESPACE, 'exec', name, '--', 'cat', CA]));

  it('are made when they are asked for, and volumes are made with them', async function () {
    this.timeout(2 * KUBELET_MS);
    const [before, running] = [await inSecret(), await pods()];
    await upgrade('once');
    const after = await inSecret();
    assert.notEqual(after, before);
    for (const name of running)
      await until(`${name} has them`, async () => (await inPod(name)) === after, KUBELET_MS, 2000);
    await at.apply(claim('new'), pod('user', { claim: 'new' }));
    await at.running('user');
    assert.deepEqual(await pods(), running);
  });

  it('are not made again by the next upgrade', async () => {
    const before = await inSecret();
    await upgrade('once');
    assert.equal(await inSecret(), before);
  });
});
