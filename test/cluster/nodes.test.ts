/** Nodes that are drained, or lose power: their pods come back to the same data. */
import assert from 'node:assert/strict';
import { until } from '../support/commands.ts';
import type { KubeObject } from './harness/kubectl.ts';
import { claim, pod } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

/** What keeps a pod, wherever its volume lets it be. */
function deployment(name: string): KubeObject {
  const { spec } = pod(name, { claim: name });
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      strategy: { type: 'Recreate' },
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { ...spec, restartPolicy: 'Always' } },
    },
  };
}

describe('A node', () => {
  const at = scene('nodes');
  let node: string;
  let files: string;

  /** The deployment's pod, once it runs. */
  const running = async (unlike?: string): Promise<string> => {
    await at.kubectl('rollout', 'status', 'deployment/app', '--timeout=180s');
    return until(
      'the pod of the deployment runs',
      async () => {
        const pods = await at.list('pods', '-l', 'app=app');
        const ready = pods.find(({ status }) =>
          status.conditions.some(
            (each: { type: string; status: string }) => each.type === 'Ready' && each.status === 'True',
          ),
        );
        return ready?.metadata.uid !== unlike && ready?.metadata.name;
      },
      180_000,
      500,
    );
  };

  const container = async (name: string): Promise<string | undefined> => {
    const { status } = await at.get('pod', name);
    const [{ state, containerID }] = status.containerStatuses;
    return state.running && (containerID as string);
  };

  before(async () => {
    await at.apply(claim('app'), deployment('app'));
    const name = await running();
    node = await at.nodeOf(name);
    files = await at.write(name, ['a', 'b']);
  });

  it('that is drained gives its pods back when it takes pods again', async () => {
    const { metadata } = await at.get('pod', await running());
    await at.kubectl(
      'drain',
      node,
      '--ignore-daemonsets',
      '--delete-emptydir-data',
      '--force',
      '--timeout=120s',
    );
    const [waiting] = await until(
      'the pod waits for the node',
      async () => {
        const pods = await at.list('pods', '-l', 'app=app', '--field-selector=status.phase=Pending');
        return pods.length === 1 && pods;
      },
      120_000,
      500,
    );
    await at.event('Pod', waiting!.metadata.name, /FailedScheduling/);
    await at.kubectl('uncordon', node);
    const name = await running(metadata.uid);
    assert.equal(await at.nodeOf(name), node);
    assert.equal(await at.files(name), files);
  });

  it('that loses power and comes back runs its pods on the same data', async function () {
    const name = await running();
    const before = await container(name);
    await at.cluster.node(node).losePower();
    const began = performance.now();
    await at.cluster.node(node).start();
    await until(
      'the pod has a new container',
      async () => {
        const now = await container(name);
        return now !== undefined && now !== before;
      },
      180_000,
      500,
    );
    assert.equal(await at.files(name), files);
    this.test!.title += ` (here: ${((performance.now() - began) / 1000).toFixed(0)} s after it came back)`;
  });
});
