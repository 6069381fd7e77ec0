/** `flashcopy engine`: the engine of one node, for its node service and, over mutual TLS, for the controller. */
import process from 'node:process';
import type { Command } from 'commander';
import { examples } from './context.ts';
import {
  addKeeperOption,
  addMetricsOption,
  addPoolOptions,
  type EngineOptions,
  type KeeperOptions,
  type MetricsOptions,
  remoteAccess,
  superviseEngine,
} from './role-options.ts';

export const STOPPING = `
SIGTERM or Ctrl-C detaches the volumes and stops. While one is in use it keeps running and says which; a second
signal stops it nevertheless. It logs to stderr, one JSON object a line.
`;

export function addEngineCommand(program: Command): void {
  const engine = program
    .command('engine')
    .description('run the engine of a pool, until it is told to stop (SIGTERM)');
  addKeeperOption(
    addMetricsOption(addPoolOptions(engine)),
    'the socket of the node service, which holds the descriptors too',
  )
    .option('--listen <host:port>', 'answer the controller there too, over mutual TLS')
    .addHelpText(
      'after',
      `${STOPPING}
With --listen, --tls-dir holds ca.crt, tls.crt and tls.key; the certificate has the DNS name
<node id>.engine.flashcopy.dev or *.engine.flashcopy.dev, and the controller's has controller.flashcopy.dev. Files that are replaced are used
without a restart.
${examples(
  'flashcopy engine --pool /var/lib/flashcopy/pool',
  'flashcopy engine --pool /pool --listen 0.0.0.0:9750 --tls-dir /etc/flashcopy/tls --node-id node-1',
)}`,
    )
    .action(async (_options: object, command: Command) => {
      const options = command.optsWithGlobals<
        EngineOptions & MetricsOptions & KeeperOptions & { listen?: string }
      >();
      if (options.listen !== undefined && (options.tlsDir === undefined || options.nodeId === undefined))
        command.error(
          'error: --listen needs --tls-dir and --node-id: over a network there is only mutual TLS',
        );
      const remote = await remoteAccess(options.listen, options);
      process.exitCode = await superviseEngine(options, { remote });
    });
}
