/**
 * `flashcopy csi` and `flashcopy controller`: the Container Storage Interface, for one machine alone and for all nodes of
 * a cluster.
 */
import { hostname } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import type { RemoteEngine } from '../api/client.ts';
import { examples } from './context.ts';
import { type ConnectionOptions, controllerTls } from './role-options.ts';
import { serveUntilStopped } from './service-process.ts';
import { version } from './version.ts';

export const CSI_ENDPOINT = ['--csi-endpoint <url>', 'the unix socket that CSI is served at'] as const;

/** A controller gives a node that does not answer less time than the calls that it is asked by have. */
const AWAY_MS = 10_000;

/** A machine without a cluster is called as its owner calls it. */
export function defaultNodeId(): string {
  return hostname().toLowerCase();
}

type CsiOptions = ConnectionOptions & { csiEndpoint: string };

export function addCsiCommands(program: Command): void {
  addAloneCommand(program);
  addControllerCommand(program);
}

/** Services for the engine that answers at --endpoint. */
function addAloneCommand(program: Command): void {
  program
    .command('csi')
    .description('serve all CSI services for one machine, for an engine that runs already')
    .requiredOption(...CSI_ENDPOINT)
    .addHelpText('after', examples('flashcopy csi --csi-endpoint unix:///run/flashcopy/csi.sock'))
    .action(async (_options: object, command: Command) => {
      const options = command.optsWithGlobals<CsiOptions>();
      const { RemoteEngine: Remote } = await import('../api/client.ts');
      const { serveAlone } = await import('../csi/roles.ts');
      const engine = new Remote(options.endpoint);
      const nodeId = options.nodeId ?? defaultNodeId();
      await serveUntilStopped(
        await serveAlone({ endpoint: options.csiEndpoint, version: version(), engine, nodeId }),
      );
      engine.close();
    });
}

function addControllerCommand(program: Command): void {
  program
    .command('controller')
    .description("serve CSI's controller services for the engines of all nodes")
    .requiredOption(...CSI_ENDPOINT)
    .option(
      '--engine <node=host:port>',
      'a node and where its engine listens; once for each node',
      addEngine,
      [],
    )
    .addHelpText(
      'after',
      examples(
        'flashcopy controller --csi-endpoint unix:///csi/csi.sock --tls-dir /etc/flashcopy/tls \\',
        '  --engine node-1=10.0.0.7:9750 --engine node-2=10.0.0.8:9750',
      ),
    )
    .action(async (_options: object, command: Command) => {
      const { csiEndpoint, tlsDir, engine } = command.optsWithGlobals<
        CsiOptions & { engine: NodeAddress[] }
      >();
      if (tlsDir === undefined)
        command.error('error: a controller needs --tls-dir: over a network there is only mutual TLS');
      const { serveController } = await import('../csi/roles.ts');
      const { FixedEngines } = await import('../csi/engines.ts');
      const remote = await remoteEngines(engine, tlsDir!);
      const engines = new FixedEngines(remote);
      await serveUntilStopped(await serveController({ endpoint: csiEndpoint, version: version(), engines }));
      for (const each of remote.values()) each.close();
    });
}

type NodeAddress = { node: string; address: string };

function addEngine(text: string, before: NodeAddress[]): NodeAddress[] {
  const [, node, address] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (node === undefined || address === undefined)
    throw new InvalidArgumentError('Write it like node-1=10.0.0.7:9750.');
  if (before.some((each) => each.node === node))
    throw new InvalidArgumentError(`The node ${node} is named twice.`);
  return [...before, { node, address }];
}

async function remoteEngines(
  nodes: readonly NodeAddress[],
  tlsDir: string,
): Promise<Map<string, RemoteEngine>> {
  const { RemoteEngine: Remote } = await import('../api/client.ts');
  const { checkNodeId } = await import('../csi/ids.ts');
  const tls = await controllerTls(tlsDir);
  const engines = nodes.map(({ node, address }): [string, RemoteEngine] => [
    checkNodeId(node),
    new Remote(`tls://${address}`, { tls, node, awayMs: AWAY_MS }),
  ]);
  return new Map(engines);
}
