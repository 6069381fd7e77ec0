/**
 * The engines of a cluster: each runs in a pod on its node, and is reached at the pod's address over mutual TLS.
 *
 *   node has          engineOf
 *   an engine's pod   that engine; from the moment the pod has another address, at that one
 *   none now          an engine whose every call fails with Unavailable: what it holds is still there
 *   never had one     undefined: there is nothing there
 *
 * A node "has had" one if it bears our topology label, which kubelet put there. It forgets a node with the Node object:
 * what was on it is gone for the cluster then.
 */
import { RemoteEngine } from '../api/client.ts';
import type { EngineApi } from '../api/engine-api.ts';
import type { TlsDirectory } from '../api/tls-directory.ts';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { NodeEngines } from '../csi/engines.ts';
import { TOPOLOGY_KEY } from '../csi/ids.ts';
import type { KubeClient } from './client.ts';
import { Informer } from './informer.ts';
import type { Node, Pod } from './objects.ts';

export type EnginePodsOptions = {
  client: KubeClient;
  namespace: string;
  /** Label selector of the pods that are engines. */
  selector: string;
  port: number;
  tls: TlsDirectory;
  /** How long an engine that does not answer is waited for. */
  awayMs: number;
};

/** The longest that a call to an engine takes: calls under way end with the former connection, not by it. */
const LONGEST_CALL_MS = 11 * 60_000;

type Reached = { address: string; engine: RemoteEngine };

export class EnginePods implements NodeEngines {
  private readonly options: EnginePodsOptions;
  private readonly pods: Informer<Pod>;
  private readonly known: Informer<Node>;
  private readonly reached = new Map<string, Reached>();
  private readonly former = new Map<RemoteEngine, NodeJS.Timeout>();

  private constructor(options: EnginePodsOptions) {
    this.options = options;
    const { client, namespace, selector } = options;
    const path = `/api/v1/namespaces/${namespace}/pods`;
    this.pods = new Informer<Pod>(client, { path, labelSelector: selector });
    this.known = new Informer<Node>(client, { path: '/api/v1/nodes', labelSelector: TOPOLOGY_KEY });
    this.pods.onChange(({ spec }) => {
      if (spec.nodeName !== undefined) this.follow(spec.nodeName);
    });
  }

  /** Returns when every engine that is there is known. */
  static async start(options: EnginePodsOptions): Promise<EnginePods> {
    const self = new EnginePods(options);
    self.pods.start();
    self.known.start();
    await Promise.all([self.pods.synced, self.known.synced]);
    return self;
  }

  async nodes(): Promise<string[]> {
    const named = this.known.list().map(({ metadata }) => metadata.name);
    return [...new Set([...this.reached.keys(), ...named])].sort();
  }

  engineOf(node: string): EngineApi | undefined {
    const reached = this.reached.get(node);
    if (reached !== undefined) return reached.engine;
    return this.known.get(node) === undefined ? undefined : absentEngine(node);
  }

  async stop(): Promise<void> {
    await Promise.all([this.pods.stop(), this.known.stop()]);
    for (const [engine, timer] of this.former) {
      clearTimeout(timer);
      engine.close();
    }
    for (const { engine } of this.reached.values()) engine.close();
  }

  /** The node's engine is where its pod is now. */
  private follow(node: string): void {
    const address = addressOf(this.pods.list(), node, this.options.port);
    const before = this.reached.get(node);
    if (before?.address === address) return;
    if (before !== undefined) this.leave(before.engine);
    this.reached.delete(node);
    log.info('engine of a node', { node, address: address ?? 'none' });
    if (address === undefined) return;
    const { tls, awayMs } = this.options;
    const engine = new RemoteEngine(`tls://${address}`, { tls, node, awayMs });
    this.reached.set(node, { address, engine });
  }

  private leave(engine: RemoteEngine): void {
    const close = () => {
      this.former.delete(engine);
      engine.close();
    };
    this.former.set(engine, setTimeout(close, LONGEST_CALL_MS).unref());
  }
}

/** Of the newest pod there that runs; one that is about to end counts only while there is no other. */
export function addressOf(pods: readonly Pod[], node: string, port: number): string | undefined {
  const ending = ({ metadata }: Pod) => Number(metadata.deletionTimestamp !== undefined);
  const [best] = pods
    .filter(({ spec, status }) => spec.nodeName === node && status?.phase === 'Running' && status.podIP)
    .sort(
      (a, b) =>
        ending(a) - ending(b) || (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1),
    );
  const ip = best?.status?.podIP;
  return ip && `${ip.includes(':') ? `[${ip}]` : ip}:${port}`;
}

/** What is known of a node's engine while no pod of it runs. */
function absentEngine(node: string): EngineApi {
  const fail = () => {
    throw new FlashCopyError(
      'Unavailable',
      `No engine runs on node ${node} now, so nothing of what it holds can be reached. Look at the node, and at its pod of ` +
        `the DaemonSet with the engines. If the node is lost for good: kubectl delete node ${node} gives up what it holds.`,
    );
  };
  const call = async () => fail();
  const watch = async function* () {
    yield fail();
  };
  const handler: ProxyHandler<object> = {
    get: (_target, name) => {
      // Whoever awaits it must not take it for a promise.
      if (typeof name === 'symbol' || name === 'then') return undefined;
      return name === 'watchMapping' ? watch : call;
    },
  };
  return new Proxy({}, handler) as EngineApi;
}
