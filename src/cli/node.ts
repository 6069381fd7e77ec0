/** `flashcopy node`: CSI's node service for the engine of one node, and what kubelet and Prometheus ask besides. */
import type { Command } from 'commander';
import type { Listening } from '../api/unix-listener.ts';
import { examples } from './context.ts';
import { CSI_ENDPOINT, defaultNodeId } from './csi.ts';
import { addMetricsOption, type ConnectionOptions, type MetricsOptions } from './role-options.ts';
import { serveUntilStopped } from './service-process.ts';
import { version } from './version.ts';

type NodeOptions = ConnectionOptions & MetricsOptions & { csiEndpoint: string };

export function addNodeCommand(program: Command): void {
  const node = program
    .command('node')
    .description("serve CSI's node service, for the engine of this node")
    .requiredOption(...CSI_ENDPOINT);
  addMetricsOption(node)
    .addHelpText('after', examples('flashcopy node --csi-endpoint unix:///run/flashcopy/csi.sock'))
    .action(async (_options: object, command: Command) => {
      await serveNodeRole(command.optsWithGlobals<NodeOptions>());
    });
}

async function serveNodeRole(options: NodeOptions): Promise<void> {
  const { RemoteEngine } = await import('../api/client.ts');
  const { checkEngine } = await import('../api/engine-health.ts');
  const { newRegistry, serveHealth } = await import('../base/health-server.ts');
  const { csiCallMetrics } = await import('../csi/csi-metrics.ts');
  const { serveNode } = await import('../csi/roles.ts');
  const engine = new RemoteEngine(options.endpoint);
  const nodeId = options.nodeId ?? defaultNodeId();
  const registry = newRegistry();
  const servers: Listening[] = [];
  if (options.metricsListen !== undefined) {
    const live = async () => undefined; // it answers
    const ready = () => checkEngine(engine);
    servers.push(await serveHealth({ listen: options.metricsListen, registry, live, ready }));
  }
  const observer = csiCallMetrics(registry);
  servers.push(
    await serveNode({ endpoint: options.csiEndpoint, version: version(), observer, engine, nodeId }),
  );
  await serveUntilStopped(...servers);
  engine.close();
}
