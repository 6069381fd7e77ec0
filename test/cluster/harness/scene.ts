/**
 * A namespace of its own for a group of claims, and what they do and ask in it. It is deleted afterwards, and with it
 * everything in it: that this ends is a claim too.
 */
import assert from 'node:assert/strict';
import { type CommandResult, until } from '../../support/commands.ts';
import { type Cluster, runningCluster } from './cluster.ts';
import { apply, attemptKubectl, type KubeObject, kubectl } from './kubectl.ts';
import { MOUNT } from './objects.ts';

const PATIENCE_MS = 120_000;

export class Scene {
  readonly cluster: Cluster = runningCluster();
  readonly namespace: string;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  async begin(): Promise<void> {
    await kubectl(this.cluster, ['create', 'namespace', this.namespace]);
  }

  async end(): Promise<void> {
    const volumes = await this.volumes();
    await kubectl(this.cluster, ['delete', 'namespace', this.namespace, '--timeout=120s']);
    await until(
      `the volumes of ${this.namespace} are deleted`,
      async () => {
        const left = new Set((await this.list('pv')).map(({ metadata }) => metadata.name));
        return volumes.every((name) => !left.has(name));
      },
      PATIENCE_MS,
      300,
    );
  }

  /** The persistent volumes that its claims have. */
  async volumes(): Promise<string[]> {
    return (await this.list('pvc')).flatMap(({ spec }) =>
      spec.volumeName === undefined ? [] : [spec.volumeName as string],
    );
  }

  kubectl(...args: string[]): Promise<string> {
    return kubectl(this.cluster, ['-n', this.namespace, ...args]);
  }

  attempt(...args: string[]): Promise<CommandResult> {
    return attemptKubectl(this.cluster, ['-n', this.namespace, ...args]);
  }

  async apply(...objects: KubeObject[]): Promise<void> {
    await apply(this.cluster, objects, ['-n', this.namespace]);
  }

  async list(kind: string, ...args: string[]): Promise<KubeObject[]> {
    return (JSON.parse(await this.kubectl('get', kind, '-o', 'json', ...args)) as { items: KubeObject[] })
      .items;
  }

  async get(kind: string, name: string): Promise<KubeObject> {
    return JSON.parse(await this.kubectl('get', kind, name, '-o', 'json')) as KubeObject;
  }

  async delete(kind: string, ...names: string[]): Promise<void> {
    await this.kubectl('delete', kind, ...names, '--timeout=120s');
  }

  /** `condition`: as `kubectl wait --for` takes it. */
  async wait(what: string, condition: string, timeoutMs = PATIENCE_MS): Promise<void> {
    try {
      await this.kubectl('wait', what, `--for=${condition}`, `--timeout=${timeoutMs / 1000}s`);
    } catch (cause) {
      const { stdout } = await this.attempt('describe', what);
      throw new Error(`${(cause as Error).message}\n${stdout}`, { cause });
    }
  }

  async running(...pods: string[]): Promise<void> {
    for (const name of pods) await this.wait(`pod/${name}`, 'condition=Ready');
  }

  /** A pod that ends by itself, well. */
  async completed(name: string, timeoutMs = PATIENCE_MS): Promise<void> {
    const phase = await until(
      `pod ${name} has ended`,
      async () => {
        const { status } = await this.get('pod', name);
        return ['Succeeded', 'Failed'].includes(status.phase) && (status.phase as string);
      },
      timeoutMs,
      300,
    );
    assert.equal(phase, 'Succeeded', await this.kubectl('logs', name));
  }

  async ready(...snapshots: string[]): Promise<void> {
    for (const name of snapshots)
      await this.wait(`volumesnapshot/${name}`, 'jsonpath={.status.readyToUse}=true');
  }

  /** Runs a shell's script in a pod; returns what it prints. */
  async sh(pod: string, script: string): Promise<string> {
    return (await this.kubectl('exec', pod, '--', 'sh', '-c', script)).trim();
  }

  /** Writes files with random content, durably, and returns `files` of them. */
  async write(pod: string, names: readonly string[], kib = 1024): Promise<string> {
    const writes = names.map(
      (name) => `dd if=/dev/urandom of=${MOUNT}/${name} bs=1k count=${kib} 2>/dev/null`,
    );
    await this.sh(pod, `${writes.join(' && ')} && sync`);
    return this.files(pod);
  }

  /** Names and checksums of all files on the pod's volume. */
  files(pod: string): Promise<string> {
    return this.sh(pod, `cd ${MOUNT} && find . -type f | sort | xargs -r sha256sum`);
  }

  async grow(claimName: string, size: string): Promise<void> {
    const patch = { spec: { resources: { requests: { storage: size } } } };
    await this.kubectl('patch', 'pvc', claimName, '-p', JSON.stringify(patch));
  }

  /** The size of the filesystem that a pod has its volume on. */
  async mib(pod: string): Promise<number> {
    return Number(await this.sh(pod, `df -m ${MOUNT} | awk 'END { print $(NF-4) }'`));
  }

  async nodeOf(pod: string): Promise<string> {
    return (await this.get('pod', pod)).spec.nodeName as string;
  }

  /** What the events about an object say, oldest first: 'Reason: message'. */
  async events(kind: string, name: string): Promise<string[]> {
    const of = `involvedObject.kind=${kind},involvedObject.name=${name}`;
    const list = await this.kubectl(
      'get',
      'events',
      `--field-selector=${of}`,
      '--sort-by=.lastTimestamp',
      '-o',
      'json',
    );
    const { items } = JSON.parse(list) as { items: { reason: string; message: string }[] };
    return items.map(({ reason, message }) => `${reason}: ${message}`);
  }

  /** An event about it that says so; waits for one. */
  event(kind: string, name: string, pattern: RegExp): Promise<string> {
    return until(
      `an event about ${kind} ${name} says ${pattern}`,
      async () => (await this.events(kind, name)).find((event) => pattern.test(event)),
      PATIENCE_MS,
      500,
    );
  }
}

/** For a `describe`: a scene before its claims, and the end of it after them. */
export function scene(namespace: string): Scene {
  const made = new Scene(namespace);
  before(() => made.begin());
  after(() => made.end());
  afterEach(async function () {
    if (this.currentTest?.state === 'failed')
      console.error((await made.attempt('get', 'pods,pvc,volumesnapshots,events', '-o', 'wide')).stdout);
  });
  return made;
}
