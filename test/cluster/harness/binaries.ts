/**
 * Kubernetes, etcd, the CSI sidecars, helm and kind, built from their sources by one Go module, so that what they share
 * is compiled once.
 */
import { symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cached, contentKey } from '../../support/cache.ts';
import { go, goVersion } from '../../support/go.ts';

const MODULE = path.resolve(import.meta.dirname, '../tools');
const BUILD_MS = 40 * 60_000;

/** All in one binary, which does what the name says by which it is called. */
const HYPERKUBE = [
  ...['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-proxy', 'kube-scheduler'],
  ...['kubeadm', 'kubectl', 'kubelet'],
];
export const SIDECARS = ['csi-provisioner', 'csi-snapshotter', 'csi-resizer', 'snapshot-controller'] as const;
const PACKAGES = [
  './hyperkube',
  'github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner',
  'github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer',
  'github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter',
  'github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller',
  'helm.sh/helm/v4/cmd/helm',
  'sigs.k8s.io/kind',
];

/** The directory that has them. */
export async function buildBinaries(): Promise<string> {
  const version = await goVersion();
  return cached('kubernetes', contentKey(['test/cluster/tools'], [version]), async (target) => {
    console.error('Building Kubernetes from its sources: some minutes, once');
    await build(`${target}/`);
    for (const name of HYPERKUBE) symlinkSync('hyperkube', path.join(target, name));
  });
}

async function build(target: string): Promise<void> {
  const version = await versionOf('k8s.io/kubernetes');
  const [, major, minor] = /^v(\d+)\.(\d+)\./.exec(version) ?? [];
  // As a release's own builds set it: components refuse to work with one another by it.
  const names = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  const flags = Object.entries(names).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  const options = ['-trimpath', '-buildvcs=false', '-ldflags', ['-s -w', ...flags].join(' ')];
  await goHere(['build', ...options, '-o', target, ...PACKAGES]);
}

/** Where the module cache has its sources. */
export async function sourcesOf(module: string): Promise<string> {
  await goHere(['mod', 'download', module]);
  return goHere(['list', '-m', '-f', '{{.Dir}}', module]);
}

/** Of a module that nothing here is built from: 'path@version'. */
export async function foreignSources(module: string): Promise<string> {
  const found = await go(['mod', 'download', '-json', module], { cwd: os.tmpdir() });
  return (JSON.parse(found) as { Dir: string }).Dir;
}

const versionOf = (module: string): Promise<string> => goHere(['list', '-m', '-f', '{{.Version}}', module]);

async function goHere(args: readonly string[]): Promise<string> {
  const output = await go(args, { cwd: MODULE, env: { CGO_ENABLED: '0' }, timeoutMs: BUILD_MS });
  return output.trim();
}
