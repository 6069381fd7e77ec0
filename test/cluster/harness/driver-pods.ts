/** The driver's own pods: which there are, and doing away with them. */
import { until } from '../../support/commands.ts';
import type { Cluster } from './cluster.ts';
import { NAMESPACE } from './driver.ts';
import { type KubeObject, kubectl } from './kubectl.ts';

const PATIENCE_MS = 180_000;

type Component = 'engine' | 'node' | 'controller';

async function podsOf(cluster: Cluster, component: Component, node?: string): Promise<KubeObject[]> {
  const on = node === undefined ? [] : [`--field-selector=spec.nodeName=${node}`];
  const label = `app.kubernetes.io/component=${component}`;
  const list = await kubectl(cluster, ['-n', NAMESPACE, 'get', 'pods', '-o', 'json', '-l', label, ...on]);
  return (JSON.parse(list) as { items: KubeObject[] }).items;
}

/** Their names. */
export async function driverPods(cluster: Cluster, component: Component, node?: string): Promise<string[]> {
  return (await podsOf(cluster, component, node)).map(({ metadata }) => metadata.name);
}

/** Deletes the pod as an upgrade does, and waits for the next one to be ready. */
export async function replaced(cluster: Cluster, component: Component, node: string): Promise<void> {
  const [old] = await driverPods(cluster, component, node);
  await kubectl(cluster, ['-n', NAMESPACE, 'delete', 'pod', old!, '--timeout=120s']);
  await untilReady(cluster, component, node, old);
}

async function untilReady(cluster: Cluster, component: Component, node: string, not?: string): Promise<void> {
  await until(
    `the ${component} of ${node} is ready`,
    async () => {
      const pods = await podsOf(cluster, component, node);
      return pods.some(
        ({ metadata, status }) =>
          metadata.name !== not &&
          (status.conditions ?? []).some(
            (each: { type: string; status: string }) => each.type === 'Ready' && each.status === 'True',
          ),
      );
    },
    PATIENCE_MS,
    500,
  );
}

/** Kills the processes of a node that are called so, at once and without their knowing; when there are some. */
export async function killInPod(cluster: Cluster, node: string, pattern: string): Promise<void> {
  const killed = async () =>
    (await cluster.node(node).attempt(['pkill', '-KILL', '-f', pattern])).status === 0;
  await until(`${pattern} of ${node} is killed`, killed, PATIENCE_MS, 100);
}

/** All controllers at once, without a word. */
export async function killControllers(cluster: Cluster): Promise<void> {
  const label = 'app.kubernetes.io/component=controller';
  await kubectl(cluster, ['-n', NAMESPACE, 'delete', 'pods', '-l', label, '--grace-period=0', '--force']);
}
