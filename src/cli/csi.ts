/** `flashcopy csi`: the Container Storage Interface for one machine alone. */
import { hostname } from 'node:os';
import type { Command } from 'commander';
import { examples } from './context.ts';
import type { ConnectionOptions } from './role-options.ts';
import { serveUntilStopped } from './service-process.ts';
import { version } from './version.ts';

export const CSI_ENDPOINT = ['--csi-endpoint <url>', 'the unix socket that CSI is served at'] as const;

/** A machine without a cluster is called as its owner calls it, as far as a node id can be that. */
export function defaultNodeId(): string {
  const name = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]/g, '-')
    .slice(0, 63);
  return name.replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, '') || 'localhost';
}

type CsiOptions = ConnectionOptions & { csiEndpoint: string };

/** Services for the engine that answers at --endpoint. */
export function addCsiCommand(program: Command): void {
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
