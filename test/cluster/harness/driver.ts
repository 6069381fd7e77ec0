/** The driver and what it stands on, installed as its users do: the snapshot CRDs and controller, then the chart. */
import fs from 'node:fs';
import path from 'node:path';
import { IMAGE } from '../../image/build-image.ts';
import { run } from '../../support/commands.ts';
import { sourcesOf } from './binaries.ts';
import type { Cluster } from './cluster.ts';
import { sidecarImage } from './images.ts';
import { apply, attemptKubectl, kubectl } from './kubectl.ts';

const SNAPSHOTTER = 'github.com/kubernetes-csi/external-snapshotter';
export const CHART = path.resolve(import.meta.dirname, '../../../charts/flashcopy-csi');
const PATIENCE_MS = 300_000;
export const RELEASE = 'flashcopy';
export const NAMESPACE = 'flashcopy-system';

/** The chart's classes, and those that the tests need besides. */
const storageClasses = [
  { name: 'flashcopy' },
  { name: 'flashcopy-xfs', parameters: { 'csi.storage.k8s.io/fstype': 'xfs' } },
  { name: 'flashcopy-thick', parameters: { provisioning: 'thick' } },
  { name: 'flashcopy-incremental', parameters: { incremental: 'true', copyRate: '150' } },
];

export async function installDriver(cluster: Cluster): Promise<void> {
  await installSnapshots(cluster);
  await helm(cluster, [
    'install',
    RELEASE,
    CHART,
    '--create-namespace',
    '--wait',
    '--timeout=180s',
    ...values(cluster),
  ]);
}

/** What people look at first when it does not work. */
export async function stateOfDriver(cluster: Cluster): Promise<string> {
  const outputs: string[] = [];
  for (const args of [
    ['get', 'pods', '-o', 'wide'],
    ['get', 'events', '--sort-by=.lastTimestamp'],
    ['logs', '-l', 'app.kubernetes.io/name=flashcopy-csi', '--all-containers', '--prefix', '--tail=15'],
  ]) {
    const { stdout, stderr } = await attemptKubectl(cluster, ['-n', NAMESPACE, ...args]);
    outputs.push(stdout, stderr);
  }
  return outputs.join('\n');
}

/** Helm on the release of the driver. */
export async function helm(cluster: Cluster, args: readonly string[]): Promise<string> {
  const [program, ...rest] = cluster.site.entering([
    path.join(cluster.binaries, 'helm'),
    ...args,
    `--namespace=${NAMESPACE}`,
  ]);
  return run(program!, rest, { env: helmEnvironment(cluster), timeoutMs: PATIENCE_MS });
}

/** Its own files are the cluster's, not this user's. */
function helmEnvironment(cluster: Cluster): NodeJS.ProcessEnv {
  const home = path.join(cluster.directory, 'helm');
  return {
    KUBECONFIG: path.join(cluster.directory, 'admin.conf'),
    HELM_CACHE_HOME: home,
    HELM_CONFIG_HOME: home,
    HELM_DATA_HOME: home,
  };
}

/** What differs from the chart's own values. */
export function values(cluster: Cluster): string[] {
  const file = path.join(cluster.directory, 'values.json');
  const [repository, tag] = IMAGE.split(/:(?=[^:]*$)/);
  const sidecar = (name: 'csi-provisioner' | 'csi-snapshotter' | 'csi-resizer') => {
    const [repository, tag] = sidecarImage(name).split(':');
    return { image: { repository, tag } };
  };
  const chosen = {
    image: { repository, tag },
    poolDir: cluster.poolDir,
    controller: { operator: { enabled: true } },
    sidecars: {
      provisioner: sidecar('csi-provisioner'),
      snapshotter: sidecar('csi-snapshotter'),
      resizer: sidecar('csi-resizer'),
    },
    storageClasses,
  };
  fs.writeFileSync(file, JSON.stringify(chosen));
  return ['--values', file];
}

/** As a distribution of Kubernetes has them. */
async function installSnapshots(cluster: Cluster): Promise<void> {
  const crds = path.join(await sourcesOf(`${SNAPSHOTTER}/client/v8`), 'config/crd');
  const files = fs.readdirSync(crds).filter((name) => name !== 'kustomization.yaml');
  await kubectl(cluster, ['create', ...files.flatMap((name) => ['-f', path.join(crds, name)])]);
  const deploy = path.join(await sourcesOf(`${SNAPSHOTTER}/v8`), 'deploy/kubernetes/snapshot-controller');
  await kubectl(cluster, ['create', '-f', path.join(deploy, 'rbac-snapshot-controller.yaml')]);
  await apply(cluster, [snapshotController]);
}

const snapshotController = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'snapshot-controller', namespace: 'kube-system' },
  spec: {
    selector: { matchLabels: { 'app.kubernetes.io/name': 'snapshot-controller' } },
    template: {
      metadata: { labels: { 'app.kubernetes.io/name': 'snapshot-controller' } },
      spec: {
        serviceAccountName: 'snapshot-controller',
        containers: [
          {
            name: 'snapshot-controller',
            image: sidecarImage('snapshot-controller'),
            args: ['--leader-election=false', '--feature-gates=CSIVolumeGroupSnapshot=true'],
          },
        ],
      },
    },
  },
};
