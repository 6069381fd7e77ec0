/** The chart as helm renders it. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { loadAll } from 'js-yaml';
import { buildHelm } from '../cluster/harness/helm.ts';
import { attempt, type CommandResult, run } from '../support/commands.ts';

export const repository = path.resolve(import.meta.dirname, '../..');
export const chart = path.join(repository, 'charts/flashcopy-csi');
export const NAMESPACE = 'flashcopy-system';
const RELEASE = 'flashcopy-csi';
export const SNAPSHOTS = 'snapshot.storage.k8s.io/v1/VolumeSnapshot';
const GROUP_SNAPSHOTS = 'groupsnapshot.storage.k8s.io/v1/VolumeGroupSnapshot';

export type Values = Record<string, unknown>;

export type Container = {
  name: string;
  image: string;
  args?: string[];
  command?: string[];
  securityContext?: Record<string, unknown>;
  resources?: { requests?: object };
  startupProbe?: object;
  livenessProbe?: object;
  readinessProbe?: object;
};

export type PodSpec = {
  containers: Container[];
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  securityContext?: Record<string, unknown>;
  hostPID?: boolean;
  hostNetwork?: boolean;
  volumes?: { name: string; hostPath?: { path: string }; secret?: { secretName: string } }[];
};

export type KubeObject = {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec?: Record<string, unknown> & { template?: { metadata: KubeObject['metadata']; spec: PodSpec } };
  data?: Record<string, string>;
  rules?: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
} & Record<string, unknown>;

export type Asked = {
  values?: Values;
  /** What the cluster has. */
  apis?: readonly string[];
  kubeVersion?: string;
  release?: string;
};

let building: Promise<string> | undefined;
const helm = (): Promise<string> => {
  building ??= buildHelm();
  return building;
};

const BUILD_MS = 20 * 60_000;
const TEST_MS = 300_000;

/** A suite that has helm when its tests begin; where there is none yet, it is built. */
export function describeChart(title: string, body: () => void): void {
  describe(title, function () {
    this.timeout(TEST_MS);
    before(async function () {
      this.timeout(BUILD_MS);
      await helm();
    });
    body();
  });
}

/** Helm's answer, whatever it is. */
export async function template(asked: Asked = {}): Promise<CommandResult> {
  const { values = {}, apis = [SNAPSHOTS, GROUP_SNAPSHOTS], kubeVersion, release = RELEASE } = asked;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-chart-'));
  try {
    const file = path.join(directory, 'values.json');
    fs.writeFileSync(file, JSON.stringify(values));
    const options = [
      '--namespace',
      NAMESPACE,
      '--values',
      file,
      ...apis.flatMap((api) => ['--api-versions', api]),
    ];
    if (kubeVersion !== undefined) options.push('--kube-version', kubeVersion);
    return await attempt(await helm(), ['template', release, chart, ...options]);
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

/** The text of everything. */
export async function renderedText(asked: Asked = {}): Promise<string> {
  const { status, stdout, stderr } = await template(asked);
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

export async function rendered(asked: Asked = {}): Promise<KubeObject[]> {
  return objectsIn(await renderedText(asked));
}

export const objectsIn = (text: string): KubeObject[] =>
  (loadAll(text) as (KubeObject | null)[]).filter((object) => object !== null);

export const lint = async (): Promise<string> =>
  run(await helm(), ['lint', '--strict', chart, '--set', 'snapshotCrds.check=false']);

/** The one object of that kind, whose name ends so. */
export function the(objects: readonly KubeObject[], kind: string, ending = ''): KubeObject {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name.endsWith(ending));
  if (found.length === 1) return found[0]!;
  throw new Error(`there are ${found.length} objects of kind ${kind} called ...${ending}, not one`);
}

/** Whatever runs pods: workloads and the pod of helm test. */
export function podSpecs(objects: readonly KubeObject[]): { name: string; spec: PodSpec }[] {
  return objects.flatMap(({ kind, metadata: { name }, spec }) => {
    if (kind === 'Pod') return { name, spec: spec as unknown as PodSpec };
    return spec?.template === undefined ? [] : { name, spec: spec.template.spec };
  });
}

export const role = (objects: readonly KubeObject[], name: string): PodSpec =>
  podSpecs(objects).find((each) => each.name.endsWith(`-${name}`))!.spec;

export const container = ({ containers }: PodSpec, name: string): Container =>
  containers.find((each) => each.name === name)!;
