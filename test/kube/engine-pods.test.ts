/**
 * The controller in Kubernetes finds each node's engine by its pod. The engines are real ones over mutual TLS; the API
 * server is the tests' own (support/kube-server.ts).
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { CONTROLLER_NAME, TlsDirectory } from '../../src/api/tls-directory.ts';
import { KubeClient, kubeConfig } from '../../src/kube/client.ts';
import { addressOf, EnginePods } from '../../src/kube/engine-pods.ts';
import type { Pod } from '../../src/kube/objects.ts';
import { CONTROLLER, engineName, TestCa } from '../support/certificates.ts';
import { until } from '../support/commands.ts';
import { freePort } from '../support/csi-roles.ts';
import { engineSuite, refused } from '../support/engine-suite.ts';
import { KubeServer } from '../support/kube-server.ts';
import { Standalone } from '../support/standalone.ts';

const NAMESPACE = 'flashcopy-system';
const SELECTOR = 'app.kubernetes.io/component=engine';
const labels = { 'app.kubernetes.io/component': 'engine' };

function pod(name: string, nodeName: string, podIP?: string, more: Partial<Pod['metadata']> = {}): Pod {
  const metadata = {
    name,
    uid: name,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels,
  };
  return {
    metadata: { ...metadata, ...more },
    spec: { nodeName },
    status: podIP === undefined ? { phase: 'Pending' } : { phase: 'Running', podIP },
  };
}

describe("The address of a node's engine", () => {
  const old = { creationTimestamp: '2026-01-01T00:00:00Z' };
  const young = { creationTimestamp: '2026-01-02T00:00:00Z' };
  const ending = { deletionTimestamp: '2026-01-03T00:00:00Z' };

  it('is that of the newest pod that runs there', () => {
    const pods = [
      pod('a', 'node-1', '10.0.0.1', old),
      pod('b', 'node-1', '10.0.0.2', young),
      pod('c', 'node-1'),
      pod('d', 'node-2', '10.0.0.9', young),
    ];
    assert.equal(addressOf(pods, 'node-1', 9750), '10.0.0.2:9750');
  });

  it('is that of a pod that is about to end only while there is no other', () => {
    const leaving = pod('b', 'node-1', '10.0.0.2', { ...young, ...ending });
    assert.equal(addressOf([leaving], 'node-1', 9750), '10.0.0.2:9750');
    assert.equal(addressOf([leaving, pod('a', 'node-1', '10.0.0.1', old)], 'node-1', 9750), '10.0.0.1:9750');
  });

  it('is none while no pod runs', () => {
    assert.equal(addressOf([pod('a', 'node-1')], 'node-1', 9750), undefined);
  });

  it('has an IPv6 address in brackets', () => {
    assert.equal(addressOf([pod('a', 'node-1', 'fd00::7')], 'node-1', 9750), '[fd00::7]:9750');
  });
});

describe('The engines of a cluster', () => {
  const suite = engineSuite({ started: false });
  let kube: KubeServer;
  let engines: EnginePods;
  let port: number;

  before(async () => {
    kube = await KubeServer.start();
    suite.cleanup.defer('stop the API server', () => kube.stop());
    const ca = new TestCa(path.join(suite.directory, 'ca'));
    port = await freePort();
    // Two nodes on one machine: the same port on two addresses, as pods have it.
    for (const [node, ip] of [
      ['node-1', '127.0.0.1'],
      ['node-2', '127.0.0.2'],
    ] as const) {
      // biome-ignore format: a table
      const tlsDir = ca.issue(path.join(suite.directory, `tls-${node}`), [engineName(node)]);
      const listen = ['--listen', `${ip}:${port}`, '--tls-dir', tlsDir, '--node-id', node];
      await Standalone.start(suite.cleanup, path.join(suite.directory, node), listen, 'engine');
      kube.put(`/api/v1/nodes/${node}`, { metadata: { labels: { 'topology.flashcopy.dev/node': node } } });
    }
    kube.put('/api/v1/nodes/control-plane', { metadata: {} });
    kube.put(podPath('engine-a'), pod('engine-a', 'node-1', '127.0.0.1'));
    const tlsDir = ca.issue(path.join(suite.directory, 'tls-controller'), [CONTROLLER]);
    process.env['KUBECONFIG'] = kube.writeConfig(path.join(suite.directory, 'kubeconfig'));
    engines = await EnginePods.start({
      client: new KubeClient(kubeConfig()),
      namespace: NAMESPACE,
      selector: SELECTOR,
      port,
      tls: new TlsDirectory(tlsDir, CONTROLLER_NAME),
      awayMs: 2000,
    });
    suite.cleanup.defer('stop looking at pods', () => engines.stop());
  });
  after(() => {
    delete process.env['KUBECONFIG'];
  });

  const podPath = (name: string) => `/api/v1/namespaces/${NAMESPACE}/pods/${name}`;
  const answers = (node: string) =>
    engines.engineOf(node)?.pool().then(
      () => true,
      () => false,
    ) ?? Promise.resolve(false); // biome-ignore format: one expression

  it('are reached where their pods are', async () => {
    await engines.engineOf('node-1')!.createVolume({ name: 'data', sizeBytes: 1024 * 1024 });
    assert.equal((await engines.engineOf('node-1')!.getVolume('data')).sizeBytes, 1024 * 1024);
  });

  it('are known, and unavailable, while they have no pod: what they hold is still there', async () => {
    assert.deepEqual(await engines.nodes(), ['node-1', 'node-2']);
    const message = await refused('Unavailable', engines.engineOf('node-2')!.getVolume('#1'));
    assert.match(message, /node-2/);
  });

  it('are none on nodes where the driver never ran', () => {
    assert.equal(engines.engineOf('control-plane'), undefined);
    assert.equal(engines.engineOf('nowhere'), undefined);
  });

  it('are found when their pods appear, and followed when those get other addresses', async () => {
    kube.put(podPath('engine-b'), pod('engine-b', 'node-2', '127.0.0.3'));
    await until('the pod is seen', () => engines.engineOf('node-2') !== undefined);
    await refused('Unavailable', engines.engineOf('node-2')!.pool());
    kube.remove(podPath('engine-b'));
    kube.put(podPath('engine-c'), pod('engine-c', 'node-2', '127.0.0.2'));
    await until('the engine of node-2 is found', () => answers('node-2'));
  });

  it('cannot pass for those of other nodes', async () => {
    kube.put(podPath('engine-a'), pod('engine-a', 'node-1', '127.0.0.2'));
    await until('the wrong engine is refused', async () => !(await answers('node-1')));
    kube.put(podPath('engine-a'), pod('engine-a', 'node-1', '127.0.0.1'));
    await until('the right one is found', () => answers('node-1'));
  });

  it('are followed on when the API server breaks off, fails, and forgets where one was', async () => {
    let failures = 0;
    kube.before = () => {
      if (failures++ < 3) throw new Error('the API server is away');
    };
    kube.forget();
    kube.remove(podPath('engine-c'));
    await until('the pod that went is noticed', async () => !(await answers('node-2')));
    assert.ok(failures > 3);
    kube.put(podPath('engine-d'), pod('engine-d', 'node-2', '127.0.0.2'));
    await until('the pod that came is noticed', () => answers('node-2'));
  });

  it('are forgotten with their Node objects', async () => {
    kube.remove(podPath('engine-d'));
    kube.remove('/api/v1/nodes/node-2');
    await until('node-2 is forgotten', () => engines.engineOf('node-2') === undefined);
    assert.deepEqual(await engines.nodes(), ['node-1']);
  });
});
