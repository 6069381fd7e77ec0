/** `flashcopy node`: CSI's node service for the engine of one node, and what kubelet and Prometheus ask besides. */
import type { Command } from 'commander';
import { Gauge, type Registry } from 'prom-client';
import { socketPathOf } from '../api/endpoint.ts';
import type { Listening } from '../api/unix-listener.ts';
import type { Keeper } from '../engine/keeper.ts';
import { examples } from './context.ts';
import { CSI_ENDPOINT, defaultNodeId } from './csi.ts';
import {
  addKeeperOption,
  addMetricsOption,
  type ConnectionOptions,
  type KeeperOptions,
  type MetricsOptions,
} from './role-options.ts';
import { serveUntilStopped } from './service-process.ts';
import { version } from './version.ts';

type NodeOptions = ConnectionOptions &
  MetricsOptions &
  KeeperOptions & { csiEndpoint: string; registrationDir?: string; kubeletCsiPath?: string };

export function addNodeCommand(program: Command): void {
  const node = program
    .command('node')
    .description("serve CSI's node service, for the engine of this node")
    .requiredOption(...CSI_ENDPOINT);
  addKeeperOption(addMetricsOption(node), "a socket at which the engine's descriptors are held too")
    .option('--registration-dir <dir>', "kubelet's plugins_registry: the driver registers itself there")
    .option(
      '--kubelet-csi-path <path>',
      'the socket of --csi-endpoint, as kubelet sees it (default: the same)',
    )
    .addHelpText(
      'after',
      examples(
        'flashcopy node --csi-endpoint unix:///run/flashcopy/csi.sock',
        'flashcopy node --csi-endpoint unix:///csi/csi.sock --registration-dir /registration \\',
        '  --kubelet-csi-path /var/lib/kubelet/plugins/csi.flashcopy.dev/csi.sock',
      ),
    )
    .action(async (_options: object, command: Command) => {
      await serveNodeRole(command.optsWithGlobals<NodeOptions>());
    });
}

async function serveNodeRole(options: NodeOptions): Promise<void> {
  const { RemoteEngine } = await import('../api/client.ts');
  const { checkAnswers } = await import('../api/engine-health.ts');
  const { newRegistry, serveHealth } = await import('../base/health-server.ts');
  const { csiCallMetrics } = await import('../csi/csi-metrics.ts');
  const { serveNode } = await import('../csi/roles.ts');
  const engine = new RemoteEngine(options.endpoint);
  const nodeId = options.nodeId ?? defaultNodeId();
  const registry = newRegistry();
  const observer = csiCallMetrics(registry);
  const keeper = await keeperOf(options);
  const servers: Listening[] = [
    await serveNode({ endpoint: options.csiEndpoint, version: version(), observer, engine, nodeId }),
  ];
  // After the services, which kubelet calls before it takes the driver.
  const registration = await registered(options);
  if (registration !== undefined) servers.unshift(registration);
  if (options.metricsListen !== undefined) {
    if (keeper !== undefined) addKeeperMetrics(registry, keeper);
    const live = async () => {
      registration?.checkNotFailed();
      keeper?.check();
    };
    const ready = async () => {
      registration?.checkRegistered();
      await checkAnswers(engine);
    };
    servers.push(await serveHealth({ listen: options.metricsListen, registry, live, ready }));
  }
  // Whatever else it does ends after the wait for the engine, should host I/O depend on this process alone.
  const stop = async () => {
    await keeper?.stop();
    await Promise.all(servers.map((server) => server.stop()));
  };
  await serveUntilStopped({ stop });
  engine.close();
}

async function registered({ registrationDir, kubeletCsiPath, csiEndpoint }: NodeOptions) {
  if (registrationDir === undefined) return undefined;
  const { Registration } = await import('../csi/node/registration.ts');
  return Registration.serve({
    directory: registrationDir,
    csiPath: kubeletCsiPath ?? socketPathOf(csiEndpoint),
  });
}

async function keeperOf({ keeperEndpoint }: NodeOptions): Promise<Keeper | undefined> {
  if (keeperEndpoint === undefined) return undefined;
  const { Keeper: Thread } = await import('../engine/keeper.ts');
  return Thread.start(socketPathOf(keeperEndpoint));
}

export function addKeeperMetrics(registry: Registry, keeper: Pick<Keeper, 'held'>): void {
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name: `flashcopy_keeper_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  gauge('engines_held', 'Engines whose descriptors are held here too.', () => keeper.held.length);
  gauge(
    'engines_away',
    'Those of them that are not there: host I/O waits.',
    () => keeper.held.filter(({ attended }) => !attended).length,
  );
}
