/**
 * The operator at work without a cluster: a real engine, the tests' own API server, claims of volumes of that engine, and
 * the custom resources with the defaults of their schemas.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import type { EngineApi } from '../../src/api/engine-api.ts';
import { FixedEngines } from '../../src/csi/engines.ts';
import { formatId, poolPart } from '../../src/csi/ids.ts';
import { KubeClient, kubeConfig } from '../../src/kube/client.ts';
import type { KubeObject, Pod } from '../../src/kube/objects.ts';
import { customResourceDefinitions } from '../../src/operator/crds.ts';
import { Operator, type OperatorOptions } from '../../src/operator/operator.ts';
import type { FlashCopyMapping, FlashCopySchedule, FlashCopySync } from '../../src/operator/resources.ts';
import { until } from './commands.ts';
import type { EngineSuite } from './engine-suite.ts';
import { KubeServer } from './kube-server.ts';

export const NODE = 'node-1';
export const NAMESPACE = 'shop';
const PATIENCE_MS = 60_000;
const TIMES = { durationMs: 3000, renewMs: 2000, retryMs: 200 };

type Json = Record<string, unknown>;
type JsonSchema = { properties?: Record<string, JsonSchema>; default?: unknown };

function withDefaults(schema: JsonSchema, value: unknown): unknown {
  if (value === undefined) return structuredClone(schema.default);
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !schema.properties) return value;
  const filled: Json = { ...(value as Json) };
  for (const [name, field] of Object.entries(schema.properties)) {
    const found = withDefaults(field, filled[name]);
    if (found !== undefined) filled[name] = found;
  }
  return filled;
}

function specSchema(plural: string): JsonSchema {
  const crd = customResourceDefinitions().find(({ metadata }) => metadata.name.startsWith(`${plural}.`))!;
  const { versions } = crd['spec'] as { versions: { schema: { openAPIV3Schema: JsonSchema } }[] };
  return versions[0]!.schema.openAPIV3Schema.properties!['spec']!;
}

export class OperatorRig {
  readonly kube: KubeServer;
  readonly client: KubeClient;
  readonly #suite: EngineSuite;
  #operator: Operator | undefined;
  #count = 0;
  #registry = new Registry();

  private constructor(suite: EngineSuite, kube: KubeServer) {
    this.#suite = suite;
    this.kube = kube;
    process.env['KUBECONFIG'] = kube.writeConfig(`${suite.directory}/kubeconfig`);
    this.client = new KubeClient(kubeConfig());
    delete process.env['KUBECONFIG'];
  }

  static async start(suite: EngineSuite): Promise<OperatorRig> {
    const kube = await KubeServer.start();
    suite.cleanup.defer('stop the API server', () => kube.stop());
    const rig = new OperatorRig(suite, kube);
    suite.cleanup.defer('stop the operator', () => rig.stop());
    kube.put('/apis/storage.k8s.io/v1/storageclasses/flashcopy', {
      metadata: {},
      provisioner: 'csi.flashcopy.dev',
      volumeBindingMode: 'WaitForFirstConsumer',
    });
    kube.put(`/api/v1/nodes/${NODE}`, {
      metadata: {},
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    });
    return rig;
  }

  get engine(): EngineApi {
    return this.#suite.engine;
  }

  /** `engine`: what stands between the operator and the engine. */
  run(engine: EngineApi = this.engine, more: Partial<OperatorOptions> = {}): void {
    this.#count += 1;
    this.#registry = new Registry();
    this.#operator = new Operator({
      client: this.client,
      engines: new FixedEngines(new Map([[NODE, engine]])),
      registry: this.#registry,
      namespace: 'flashcopy-system',
      identity: `operator-${this.#count}`,
      times: TIMES,
      ...more,
    });
    this.#operator.start();
  }

  async stop(): Promise<void> {
    await this.#operator?.stop();
    this.#operator = undefined;
  }

  /** A claim that is bound to a new volume of the engine. */
  async claim(name: string, sizeBytes = 4 * 1024 * 1024): Promise<void> {
    await this.engine.createVolume({ name: `pvc-${name}`, sizeBytes });
    await this.claimOf(name);
  }

  /** A claim that is bound to a volume that is there. */
  async claimOf(name: string): Promise<void> {
    const [volume, pool] = await Promise.all([this.engine.getVolume(`pvc-${name}`), this.engine.pool()]);
    this.bind(name, formatId(NODE, poolPart(pool.id), volume.id));
  }

  bind(name: string, volumeHandle: string): void {
    this.kube.put(`/api/v1/persistentvolumes/pv-${name}`, {
      metadata: {},
      spec: { csi: { driver: 'csi.flashcopy.dev', volumeHandle } },
    });
    this.kube.put(this.claimPath(name), {
      metadata: {},
      spec: { volumeName: `pv-${name}`, storageClassName: 'flashcopy' },
      status: { phase: 'Bound' },
    });
  }

  claimPath = (name: string) => `/api/v1/namespaces/${NAMESPACE}/persistentvolumeclaims/${name}`;
  podPath = (name: string) => `/api/v1/namespaces/${NAMESPACE}/pods/${name}`;
  path = (plural: string, name: string) => `/apis/flashcopy.dev/v1alpha1/namespaces/${NAMESPACE}/${plural}/${name}`; // biome-ignore format: one line

  /** A pod that uses a claim. */
  pod(name: string, claimName: string, status: Pod['status'] = { phase: 'Running' }): void {
    const volumes = [{ name: 'data', persistentVolumeClaim: { claimName } }];
    this.kube.put(this.podPath(name), { metadata: {}, spec: { nodeName: NODE, volumes }, status });
  }

  #create(plural: string, name: string, spec: Json): void {
    const filled = withDefaults(specSchema(plural), spec);
    const { status } = this.kube.get<{ status?: unknown }>(this.path(plural, name)) ?? {};
    this.kube.put(this.path(plural, name), {
      metadata: {},
      spec: filled,
      ...(status !== undefined && { status }),
    });
  }

  mapping(name: string, source: string, target: string, more: Json = {}): void {
    this.#create('flashcopymappings', name, {
      source: { claimName: source },
      target: { claimName: target },
      copyRate: 150,
      ...more,
    });
  }

  sync(name: string, mappingName: string, more: Json = {}): void {
    this.#create('flashcopysyncs', name, { mappingName, ...more });
  }

  schedule(name: string, spec: Json): void {
    this.#create('flashcopyschedules', name, spec);
  }

  async delete(plural: string, name: string): Promise<void> {
    await this.client.remove(this.path(plural, name));
  }

  async untilMapping(
    name: string,
    what: string,
    holds: (mapping: FlashCopyMapping) => boolean,
  ): Promise<FlashCopyMapping> {
    return this.#until('flashcopymappings', name, what, holds);
  }

  async untilSync(
    name: string,
    what: string,
    holds: (sync: FlashCopySync) => boolean,
  ): Promise<FlashCopySync> {
    return this.#until('flashcopysyncs', name, what, holds);
  }

  async untilSchedule(
    name: string,
    what: string,
    holds: (schedule: FlashCopySchedule) => boolean,
  ): Promise<FlashCopySchedule> {
    return this.#until('flashcopyschedules', name, what, holds);
  }

  async #until<Item extends KubeObject>(
    plural: string,
    name: string,
    what: string,
    holds: (object: Item) => boolean,
  ): Promise<Item> {
    const path = this.path(plural, name);
    try {
      return await until(
        `${name} ${what}`,
        () => {
          const object = this.kube.get<Item>(path);
          return object !== undefined && holds(object) ? object : undefined;
        },
        PATIENCE_MS,
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${JSON.stringify(this.kube.get(path), null, 1)}`);
    }
  }

  async untilGone(plural: string, name: string): Promise<void> {
    await until(`${name} is gone`, () => this.kube.get(this.path(plural, name)) === undefined);
  }

  /** "reason: message" of each event about an object. */
  events(name: string): string[] {
    type Event = KubeObject & { involvedObject: { name: string }; reason: string; message: string };
    return this.kube
      .list<Event>(`/api/v1/namespaces/${NAMESPACE}/events`)
      .filter(({ involvedObject }) => involvedObject.name === name)
      .map(({ reason, message }) => `${reason}: ${message}`);
  }

  async untilEvent(name: string, pattern: RegExp): Promise<void> {
    await until(`an event of ${name} says ${pattern}`, () => pattern.test(this.events(name).join('\n')));
  }

  /** What Prometheus is told. */
  metrics(): Promise<string> {
    return this.#registry.metrics();
  }

  /** As long as a look at something takes, and some more. */
  pause = (ms = 1500) => sleep(ms);
}

export const readyReason = ({ status }: { status?: { conditions?: { type: string; reason: string }[] } }) =>
  status?.conditions?.find(({ type }) => type === 'Ready')?.reason;
