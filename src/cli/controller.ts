/**
 * `flashcopy controller`: CSI's controller services for the engines of all nodes. It finds them from its arguments, or, in
 * Kubernetes, from the pods that they run in; then it can run the operator for the custom resources besides.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import type { Registry } from 'prom-client';
import type { RemoteEngine } from '../api/client.ts';
import type { TlsDirectory } from '../api/tls-directory.ts';
import type { Listening } from '../api/unix-listener.ts';
import type { NodeEngines } from '../csi/engines.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Operator } from '../operator/operator.ts';
import { examples } from './context.ts';
import { CSI_ENDPOINT } from './csi.ts';
import {
  addMetricsOption,
  type ConnectionOptions,
  controllerTls,
  type MetricsOptions,
} from './role-options.ts';
import { serveUntilStopped } from './service-process.ts';
import { version } from './version.ts';

/** A controller gives a node that does not answer less time than the calls that it is asked by have. */
const AWAY_MS = 10_000;

/** Where engines listen in their pods. */
const ENGINE_PORT = 9750;

type NodeAddress = { node: string; address: string };

type ControllerOptions = ConnectionOptions &
  MetricsOptions & {
    csiEndpoint: string;
    engine: NodeAddress[];
    kubernetes?: boolean;
    operator?: boolean;
    namespace: string;
    engineSelector: string;
  };

export function addControllerCommand(program: Command): void {
  const controller = program
    .command('controller')
    .description("serve CSI's controller services for the engines of all nodes")
    .requiredOption(...CSI_ENDPOINT)
    .option(
      '--engine <node=host:port>',
      'a node and where its engine listens; once for each node',
      addEngine,
      [],
    )
    .option('--kubernetes', 'find the engines by their pods, in the cluster of this pod or of KUBECONFIG')
    .option('--namespace <name>', 'the namespace of the engines', 'flashcopy-system')
    .option(
      '--operator',
      'make true what the custom resources say, if this controller leads (with --kubernetes)',
    )
    .option(
      '--engine-selector <labels>',
      'which pods there are engines',
      'app.kubernetes.io/name=flashcopy-csi,app.kubernetes.io/component=engine',
    );
  addMetricsOption(controller)
    .addHelpText(
      'after',
      examples(
        'flashcopy controller --csi-endpoint unix:///csi/csi.sock --tls-dir /etc/flashcopy/tls --kubernetes --operator \\',
        '  --namespace flashcopy-system --metrics-listen 0.0.0.0:9753',
        'flashcopy controller --csi-endpoint unix:///csi/csi.sock --tls-dir /etc/flashcopy/tls \\',
        '  --engine node-1=10.0.0.7:9750 --engine node-2=10.0.0.8:9750',
      ),
    )
    .action(async (_options: object, command: Command) => {
      const options = command.optsWithGlobals<ControllerOptions>();
      if (options.tlsDir === undefined)
        command.error('error: a controller needs --tls-dir: over a network there is only mutual TLS');
      if (options.operator && !options.kubernetes)
        command.error('error: --operator needs --kubernetes: that is where the custom resources are');
      if (options.kubernetes && options.engine.length > 0)
        command.error('error: engines are found by --kubernetes or named by --engine, not both');
      await runController(options, await controllerTls(options.tlsDir!));
    });
}

async function runController(options: ControllerOptions, tls: TlsDirectory): Promise<void> {
  const kube = options.kubernetes ? await kubeClient() : undefined;
  const begun: Begun = { servers: [], engines: undefined };
  try {
    await begin(options, tls, kube, begun);
    await serveUntilStopped(...begun.servers.splice(0));
  } finally {
    // What was begun before something failed must not keep the process.
    await Promise.all(begun.servers.map((server) => server.stop()));
    await begun.engines?.stop();
  }
}

/** What has to be stopped; the engines last, which the others use. */
type Begun = { servers: Listening[]; engines: Engines | undefined };

async function begin(
  options: ControllerOptions,
  tls: TlsDirectory,
  kube: KubeClient | undefined,
  begun: Begun,
): Promise<void> {
  const { servers } = begun;
  const { newRegistry, serveHealth } = await import('../base/health-server.ts');
  const { csiCallMetrics } = await import('../csi/csi-metrics.ts');
  const { serveController } = await import('../csi/roles.ts');
  const registry = newRegistry();
  let operator: Operator | undefined;
  let missing = 'the engines are not known yet';
  if (options.metricsListen !== undefined) {
    const live = async () => operator?.live();
    const ready = async () => {
      if (missing !== '') throw new Error(missing);
    };
    servers.push(await serveHealth({ listen: options.metricsListen, registry, live, ready }));
  }
  begun.engines = kube ? await enginesOfPods(kube, options, tls) : await fixedEngines(options.engine, tls);
  const { engines } = begun.engines;
  if (kube && options.operator) {
    operator = await startOperator(kube, engines, options, registry);
    servers.push(operator);
  }
  const { csiEndpoint: endpoint } = options;
  const observer = csiCallMetrics(registry);
  servers.push(await serveController({ endpoint, version: version(), observer, engines }));
  missing = '';
}

async function kubeClient(): Promise<KubeClient> {
  const { KubeClient: Client, kubeConfig } = await import('../kube/client.ts');
  return new Client(kubeConfig());
}

/** In a pod the host name is the pod's; another process of that name may be about to end. */
const identity = () => `${hostname()}_${randomUUID().slice(0, 8)}`;

async function startOperator(
  client: KubeClient,
  engines: NodeEngines,
  { namespace }: ControllerOptions,
  registry: Registry,
): Promise<Operator> {
  const { Operator: Made } = await import('../operator/operator.ts');
  const operator = new Made({ client, engines, registry, namespace, identity: identity() });
  // CSI is served also while the custom resources are not there.
  operator.start();
  return operator;
}

type Engines = { engines: NodeEngines; stop(): Promise<void> };

async function enginesOfPods(
  client: KubeClient,
  { namespace, engineSelector: selector }: ControllerOptions,
  tls: TlsDirectory,
): Promise<Engines> {
  const { EnginePods } = await import('../kube/engine-pods.ts');
  const port = ENGINE_PORT;
  const engines = await EnginePods.start({ client, namespace, selector, port, tls, awayMs: AWAY_MS });
  return { engines, stop: () => engines.stop() };
}

async function fixedEngines(nodes: readonly NodeAddress[], tls: TlsDirectory): Promise<Engines> {
  const { RemoteEngine: Remote } = await import('../api/client.ts');
  const { checkNodeId } = await import('../csi/ids.ts');
  const { FixedEngines } = await import('../csi/engines.ts');
  const remote = new Map<string, RemoteEngine>(
    nodes.map(({ node, address }) => [
      checkNodeId(node),
      new Remote(`tls://${address}`, { tls, node, awayMs: AWAY_MS }),
    ]),
  );
  const stop = async () => {
    for (const each of remote.values()) each.close();
  };
  return { engines: new FixedEngines(remote), stop };
}

function addEngine(text: string, before: NodeAddress[]): NodeAddress[] {
  const [, node, address] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (node === undefined || address === undefined)
    throw new InvalidArgumentError('Write it like node-1=10.0.0.7:9750.');
  if (before.some((each) => each.node === node))
    throw new InvalidArgumentError(`The node ${node} is named twice.`);
  return [...before, { node, address }];
}
