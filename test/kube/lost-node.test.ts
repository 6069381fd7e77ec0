/**
 * A node that is lost for good, as the controller sees it: real engines in what Kubernetes calls pods, the controller's
 * services on a socket, and the tests' own API server. While the node may come back nothing of it is given up; when its Node
 * object is deleted, or it comes back with an empty disk, everything that was on it can be deleted.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { CONTROLLER_NAME, TlsDirectory } from '../../src/api/tls-directory.ts';
import { serveController } from '../../src/csi/roles.ts';
import { KubeClient, kubeConfig } from '../../src/kube/client.ts';
import { EnginePods } from '../../src/kube/engine-pods.ts';
import { CONTROLLER, engineName, TestCa } from '../support/certificates.ts';
import { until } from '../support/commands.ts';
import { freePort } from '../support/csi-roles.ts';
import { ask, CsiClient, refusedWith } from '../support/csi-suite.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { KubeServer } from '../support/kube-server.ts';
import { Standalone } from '../support/standalone.ts';

const NAMESPACE = 'flashcopy-system';
const IPS = { 'node-1': '127.0.0.1', 'node-2': '127.0.0.2' } as const;
type NodeName = keyof typeof IPS;

describe('A node that is lost for good', function () {
  this.timeout(120_000);
  const suite = engineSuite({ started: false });
  const running = new Map<NodeName, Standalone>();
  let kube: KubeServer;
  let ca: TestCa;
  let port: number;
  let engines: EnginePods;
  let csi: CsiClient;

  const podPath = (node: NodeName) => `/api/v1/namespaces/${NAMESPACE}/pods/engine-${node}`;

  /** Its engine on a pool of that name, its pod and its Node object. */
  async function join(node: NodeName, pool: string): Promise<void> {
    const tlsDir = ca.issue(path.join(suite.directory, `tls-${node}`), [engineName(node)]);
    const listen = ['--listen', `${IPS[node]}:${port}`, '--tls-dir', tlsDir, '--node-id', node];
    running.set(
      node,
      await Standalone.start(suite.cleanup, path.join(suite.directory, pool), listen, 'engine'),
    );
    kube.put(`/api/v1/nodes/${node}`, { metadata: { labels: { 'topology.flashcopy.dev/node': node } } });
    kube.put(podPath(node), {
      metadata: { labels: { app: 'engine' } },
      spec: { nodeName: node },
      status: { phase: 'Running', podIP: IPS[node] },
    });
    await until(`the engine of ${node} answers`, async () => {
      try {
        return (await engines.engineOf(node)?.pool()) !== undefined;
      } catch {
        return false; // not yet
      }
    });
  }

  /** Nothing of it answers any more; the Node object is still there, as Kubernetes leaves it. */
  async function lose(node: NodeName): Promise<void> {
    await running.get(node)!.stop();
    kube.remove(podPath(node));
    await until('the pod is missed', () =>
      engines.engineOf(node)!.pool().then(
        () => false,
        () => true,
      ),
    ); // biome-ignore format: one condition
  }

  const create = (name: string, node: NodeName) =>
    csi.createVolume({
      name,
      accessibilityRequirements: { requisite: [{ segments: { 'topology.flashcopy.dev/node': node } }] },
    });

  /** A volume, a snapshot and a group snapshot of it. */
  async function things(name: string, node: NodeName) {
    const { volumeId } = await create(name, node);
    const { snapshotId } = await csi.createSnapshot(volumeId, `${name}-snapshot`);
    const { groupSnapshot } = await ask(csi.groups, 'createVolumeGroupSnapshot', {
      name: `${name}-group`,
      sourceVolumeIds: [volumeId],
    });
    const { groupSnapshotId, snapshots } = groupSnapshot!;
    return { volumeId, snapshotId, groupSnapshotId, members: snapshots.map((each) => each.snapshotId) };
  }

  async function deleteAll(of: Awaited<ReturnType<typeof things>>): Promise<void> {
    for (let times = 0; times < 2; times++) {
      const { groupSnapshotId, members: snapshotIds } = of;
      await ask(csi.groups, 'deleteVolumeGroupSnapshot', { groupSnapshotId, snapshotIds });
      await csi.deleteSnapshot(of.snapshotId);
      await csi.deleteVolume(of.volumeId);
    }
  }

  before(async () => {
    kube = await KubeServer.start();
    suite.cleanup.defer('stop the API server', () => kube.stop());
    ca = new TestCa(path.join(suite.directory, 'ca'));
    port = await freePort();
    const tlsDir = ca.issue(path.join(suite.directory, 'tls-controller'), [CONTROLLER]);
    process.env['KUBECONFIG'] = kube.writeConfig(path.join(suite.directory, 'kubeconfig'));
    const client = new KubeClient(kubeConfig());
    delete process.env['KUBECONFIG'];
    const tls = new TlsDirectory(tlsDir, CONTROLLER_NAME);
    engines = await EnginePods.start({ client, namespace: NAMESPACE, selector: 'app=engine', port, tls, awayMs: 1000 }); // biome-ignore format: one line
    suite.cleanup.defer('stop looking at pods', () => engines.stop());
    const socket = path.join(suite.directory, 'csi.sock');
    const served = await serveController({ endpoint: `unix://${socket}`, version: 'test', engines });
    suite.cleanup.defer('stop the controller', () => served.stop());
    csi = new CsiClient(socket);
    suite.cleanup.defer('close the client', () => csi.close());
    await join('node-1', 'pool-1');
    await join('node-2', 'pool-2');
  });

  it('keeps what it holds while it may come back, and says how that is given up', async () => {
    const kept = await things('kept', 'node-2');
    await lose('node-2');
    const message = await refusedWith('UNAVAILABLE', csi.deleteVolume(kept.volumeId));
    assert.match(message, /No engine runs on node node-2 now.* lost for good: kubectl delete node node-2/);
    await refusedWith('UNAVAILABLE', csi.deleteSnapshot(kept.snapshotId));
    const { groupSnapshotId, members: snapshotIds } = kept;
    await refusedWith(
      'UNAVAILABLE',
      ask(csi.groups, 'deleteVolumeGroupSnapshot', { groupSnapshotId, snapshotIds }),
    );
    await join('node-2', 'pool-2');
    const { volume } = await ask(csi.controller, 'controllerGetVolume', { volumeId: kept.volumeId });
    assert.equal(volume!.volumeId, kept.volumeId);
    await deleteAll(kept);
  });

  it('lets go of volumes, snapshots and groups when its Node object is deleted, and the others are served', async () => {
    const lost = await things('lost', 'node-2');
    const other = await create('other', 'node-1');
    await lose('node-2');
    kube.remove('/api/v1/nodes/node-2');
    await until('the node is forgotten', () => engines.engineOf('node-2') === undefined);
    await refusedWith('NOT_FOUND', ask(csi.controller, 'controllerGetVolume', { volumeId: lost.volumeId }));
    await refusedWith('NOT_FOUND', csi.restore(lost.snapshotId, { name: 'of-lost' }));
    const { entries } = await ask(csi.controller, 'listVolumes', {});
    assert.deepEqual(entries.map(({ volume }) => volume!.volumeId), [other.volumeId]); // biome-ignore format: one line
    await deleteAll(lost);
    await refusedWith('RESOURCE_EXHAUSTED', create('there', 'node-2'));
    await csi.deleteVolume(other.volumeId);
  });

  it('that comes back under its name with an empty disk has nothing of what was there, and loses nothing for it', async () => {
    await join('node-2', 'pool-3');
    const before = await things('before', 'node-2');
    await lose('node-2');
    await join('node-2', 'pool-4');
    const after = await things('after', 'node-2');
    // The same numbers in another pool.
    const number = (id: string) => id.split('/').at(-1);
    assert.equal(number(after.volumeId), number(before.volumeId));
    await refusedWith('NOT_FOUND', ask(csi.controller, 'controllerGetVolume', { volumeId: before.volumeId }));
    await deleteAll(before);
    const { volume } = await ask(csi.controller, 'controllerGetVolume', { volumeId: after.volumeId });
    assert.equal(volume!.volumeId, after.volumeId);
    await deleteAll(after);
  });
});
