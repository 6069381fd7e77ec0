/** What each role's account may do, tried with its own token: what it needs not, it cannot. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { runningCluster } from './harness/cluster.ts';
import { NAMESPACE, RELEASE } from './harness/driver.ts';
import { attemptKubectl, kubectl } from './harness/kubectl.ts';
import { ADDRESS } from './harness/site.ts';

const FORBIDDEN_TO_ALL = [
  ['get', 'secrets', '--all-namespaces'],
  ['-n', NAMESPACE, 'get', 'secrets'],
  ['-n', 'kube-system', 'get', 'configmaps'],
  ['-n', NAMESPACE, 'create', 'deployment', 'intruder', '--image=intruder'],
  ['-n', NAMESPACE, 'delete', 'pods', '--all'],
  ['-n', NAMESPACE, 'scale', 'deployment', `${RELEASE}-flashcopy-csi-controller`, '--replicas=0'],
  ['label', 'nodes', '--all', 'intruder=true'],
  ['cordon', 'node-1'],
  ['create', 'clusterrolebinding', 'intruder', '--clusterrole=cluster-admin', '--user=intruder'],
  ['-n', 'kube-system', 'create', 'token', 'default'],
  ['-n', 'kube-system', 'get', 'leases'],
  ['delete', 'crd', 'flashcopymappings.flashcopy.dev'],
  ['delete', 'storageclass', 'flashcopy'],
  ['delete', 'namespace', 'default'],
];
/** What of the cluster's can be looked at by the controller, but not by what runs on every node. */
const FORBIDDEN_TO_NODES = [
  ['get', 'nodes'],
  ['get', 'pods', '--all-namespaces'],
  ['get', 'persistentvolumes'],
  ['get', 'persistentvolumeclaims', '--all-namespaces'],
  ['get', 'flashcopymappings', '--all-namespaces'],
];

describe('The rights of', () => {
  const cluster = runningCluster();

  /** What of these the account can do, and what is refused for another reason than its rights. */
  const allowed = async (role: string, tries: readonly string[][]): Promise<string[]> => {
    const account = `${RELEASE}-flashcopy-csi-${role}`;
    const token = (await kubectl(cluster, ['-n', NAMESPACE, 'create', 'token', account])).trim();
    const as = [`--server=https://${ADDRESS}:6443`, `--token=${token}`];
    const ca = `--certificate-authority=${path.join(cluster.directory, 'pki/ca.crt')}`;
    const found: string[] = [];
    for (const args of tries) {
      const { stderr } = await attemptKubectl(cluster, [...as, ca, ...args], {
        env: { KUBECONFIG: '/dev/null' },
      });
      if (!/forbidden/i.test(stderr)) found.push(`${args.join(' ')}: ${stderr}`);
    }
    return found;
  };

  for (const role of ['engine', 'node']) {
    it(`the ${role} role end before they begin`, async () => {
      assert.deepEqual(await allowed(role, [...FORBIDDEN_TO_ALL, ...FORBIDDEN_TO_NODES]), []);
    });
  }

  it('the controller end at volumes, snapshots and copies', async () => {
    assert.deepEqual(await allowed('controller', FORBIDDEN_TO_ALL), []);
  });

  it('the pods on nodes are not even told to Kubernetes: they have no token', async () => {
    for (const role of ['engine', 'node']) {
      const ls = ['ls', '/var/run/secrets/kubernetes.io/serviceaccount'];
      const daemon = `daemonset/${RELEASE}-flashcopy-csi-${role}`;
      const { status, stderr } = await attemptKubectl(cluster, [
        '-n',
        NAMESPACE,
        'exec',
        daemon,
        '--',
        ...ls,
      ]);
      assert.notEqual(status, 0);
      assert.match(stderr, /No such file/);
    }
  });
});
