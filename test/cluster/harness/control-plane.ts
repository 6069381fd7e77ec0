/** etcd and Kubernetes' control plane, with certificates, rights and tokens as `kubeadm init` makes them. */
import fs from 'node:fs';
import path from 'node:path';
import { run, until } from '../../support/commands.ts';
import { ADDRESS, POD_NETWORK, type Site } from './site.ts';

const SERVICE_NETWORK = '10.96.0.0/24';
const SERVER = `${ADDRESS}:6443`;
const START_MS = 180_000;

type Paths = { directory: string; binaries: string };

/** The directory gets `pki/` and a kubeconfig for each component. */
export async function makeCertificates({ directory, binaries }: Paths): Promise<void> {
  const config = path.join(directory, 'kubeadm.yaml');
  fs.writeFileSync(config, kubeadmConfig(await kubernetesVersion(binaries), path.join(directory, 'pki')));
  const kubeadm = (...args: string[]) => run(path.join(binaries, 'kubeadm'), [...args, '--config', config]);
  await kubeadm('init', 'phase', 'certs', 'all');
  for (const name of ['controller-manager', 'scheduler'])
    await kubeadm('init', 'phase', 'kubeconfig', name, '--kubeconfig-dir', directory);
  await makeKubeconfig({ directory, binaries }, 'admin.conf', 'cluster-test', 'system:masters');
  await makeKubeconfig({ directory, binaries }, 'kube-proxy.conf', 'system:kube-proxy');
}

export async function makeKubeconfig(
  { directory, binaries }: Paths,
  file: string,
  user: string,
  group?: string,
): Promise<void> {
  const config = ['--config', path.join(directory, 'kubeadm.yaml')];
  const org = group === undefined ? [] : ['--org', group];
  const args = ['kubeconfig', 'user', ...config, '--client-name', user, ...org];
  fs.writeFileSync(path.join(directory, file), await run(path.join(binaries, 'kubeadm'), args), {
    mode: 0o600,
  });
}

async function kubernetesVersion(binaries: string): Promise<string> {
  return (await run(path.join(binaries, 'kubeadm'), ['version', '-o', 'short'])).trim();
}

const kubeadmConfig = (version: string, pki: string) =>
  [
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'InitConfiguration',
      localAPIEndpoint: { advertiseAddress: ADDRESS, bindPort: 6443 },
      nodeRegistration: { name: 'control-plane' },
    },
    {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'ClusterConfiguration',
      kubernetesVersion: version,
      certificatesDir: pki,
      controlPlaneEndpoint: SERVER,
      encryptionAlgorithm: 'ECDSA-P256',
      networking: { serviceSubnet: SERVICE_NETWORK, podSubnet: POD_NETWORK },
    },
  ]
    .map((document) => JSON.stringify(document))
    .join('\n---\n');

/** Returns once it answers and can take pods. */
export async function startControlPlane(site: Site, paths: Paths): Promise<void> {
  const { directory, binaries } = paths;
  const start = (name: string, flags: Record<string, string | number | boolean>) => {
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    site.start([path.join(binaries, name), ...args], path.join(directory, `${name}.log`));
  };
  const kubectl = (...args: string[]) =>
    site.run([path.join(binaries, 'kubectl'), '--kubeconfig', path.join(directory, 'admin.conf'), ...args]);
  start('etcd', etcdFlags(path.join(directory, 'etcd')));
  start('kube-apiserver', apiServerFlags(path.join(directory, 'pki')));
  const ready = () =>
    kubectl('get', '--raw', '/readyz').then(
      () => true,
      () => false,
    );
  await until('the API server is ready', ready, START_MS, 200);
  start('kube-controller-manager', controllerManagerFlags(directory));
  start('kube-scheduler', componentFlags(path.join(directory, 'scheduler.conf')));
  // The API server asks kubelets for logs, and lets commands run in pods.
  await bind('kubelet-client', 'system:kubelet-api-admin', 'kube-apiserver-kubelet-client');
  await bind('kube-proxy', 'system:node-proxier', 'system:kube-proxy');

  function bind(name: string, role: string, user: string): Promise<string> {
    return kubectl(
      'create',
      'clusterrolebinding',
      `cluster-test:${name}`,
      `--clusterrole=${role}`,
      `--user=${user}`,
    );
  }
}

const etcdFlags = (dataDir: string) => ({
  name: 'etcd',
  'data-dir': dataDir,
  // It need not outlive this machine's power.
  'unsafe-no-fsync': true,
  'log-level': 'warn',
  'listen-client-urls': 'http://127.0.0.1:2379',
  'advertise-client-urls': 'http://127.0.0.1:2379',
  'listen-peer-urls': 'http://127.0.0.1:2380',
  'initial-advertise-peer-urls': 'http://127.0.0.1:2380',
  'initial-cluster': 'etcd=http://127.0.0.1:2380',
});

const apiServerFlags = (pki: string) => ({
  'etcd-servers': 'http://127.0.0.1:2379',
  'advertise-address': ADDRESS,
  'bind-address': '0.0.0.0',
  'secure-port': 6443,
  'service-cluster-ip-range': SERVICE_NETWORK,
  'allow-privileged': true,
  'authorization-mode': 'Node,RBAC',
  'enable-admission-plugins': 'NodeRestriction',
  'client-ca-file': `${pki}/ca.crt`,
  'tls-cert-file': `${pki}/apiserver.crt`,
  'tls-private-key-file': `${pki}/apiserver.key`,
  'kubelet-client-certificate': `${pki}/apiserver-kubelet-client.crt`,
  'kubelet-client-key': `${pki}/apiserver-kubelet-client.key`,
  'kubelet-preferred-address-types': 'InternalIP',
  'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
  'service-account-key-file': `${pki}/sa.pub`,
  'service-account-signing-key-file': `${pki}/sa.key`,
  'requestheader-client-ca-file': `${pki}/front-proxy-ca.crt`,
  'requestheader-allowed-names': 'front-proxy-client',
  'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
  'requestheader-group-headers': 'X-Remote-Group',
  'requestheader-username-headers': 'X-Remote-User',
  'proxy-client-cert-file': `${pki}/front-proxy-client.crt`,
  'proxy-client-key-file': `${pki}/front-proxy-client.key`,
});

const componentFlags = (kubeconfig: string) => ({
  kubeconfig,
  'authentication-kubeconfig': kubeconfig,
  'authorization-kubeconfig': kubeconfig,
  'leader-elect': false,
  'bind-address': '127.0.0.1',
});

const controllerManagerFlags = (directory: string) => ({
  ...componentFlags(path.join(directory, 'controller-manager.conf')),
  'client-ca-file': `${directory}/pki/ca.crt`,
  'root-ca-file': `${directory}/pki/ca.crt`,
  'cluster-signing-cert-file': `${directory}/pki/ca.crt`,
  'cluster-signing-key-file': `${directory}/pki/ca.key`,
  'requestheader-client-ca-file': `${directory}/pki/front-proxy-ca.crt`,
  'service-account-private-key-file': `${directory}/pki/sa.key`,
  'use-service-account-credentials': true,
  // A node that is away is noticed within seconds, and its pods are let go of at once.
  'node-monitor-grace-period': '12s',
});
