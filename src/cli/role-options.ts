/**
 * The options that roles share, and the engine that some of them run. One meaning for one name, whatever the role.
 *
 * `--endpoint`, `--tls-dir` and `--node-id` belong to the whole program: a command that asks an engine finds it by
 * them, and a role that runs one serves it there.
 */
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import { checkedAddress, DEFAULT_ENDPOINT, socketPathOf } from '../api/endpoint.ts';
import type { TlsDirectory } from '../api/tls-directory.ts';
import type { RemoteAccess } from '../engine/child-messages.ts';
import { parseSize } from './sizes.ts';

const self = fileURLToPath(import.meta.url);
/** The engine process's own entry, with this file's ending: .ts in the sources, .js when compiled. */
const ENGINE = path.resolve(path.dirname(self), `../api/engine-main${path.extname(self)}`);

/** Of every command. */
export type ConnectionOptions = { endpoint: string; tlsDir?: string; nodeId?: string };

/** Of roles that run an engine. */
export type EngineOptions = ConnectionOptions & { pool: string; logSize?: number };

export function addConnectionOptions(program: Command): Command {
  return program
    .addOption(
      new Option('--endpoint <url>', 'where the engine answers: unix:///path or tls://host:port')
        .env('FLASHCOPY_ENDPOINT')
        .default(DEFAULT_ENDPOINT),
    )
    .addOption(
      new Option('--tls-dir <dir>', 'own certificates for TLS: ca.crt, tls.crt and tls.key').env(
        'FLASHCOPY_TLS_DIR',
      ),
    )
    .addOption(
      new Option('--node-id <name>', 'the node whose engine it is, for TLS').env('FLASHCOPY_NODE_ID'),
    );
}

export function addPoolOptions(role: Command): Command {
  return role
    .requiredOption('--pool <dir>', 'directory of the pool; made if it does not exist')
    .option('--log-size <size>', 'undo log of a new pool (default: 256Mi)', parseSize);
}

/** Of roles that a cluster watches. */
export type MetricsOptions = { metricsListen?: string };

export function addMetricsOption(role: Command): Command {
  return role.option(
    '--metrics-listen <host:port>',
    'serve /metrics, /healthz and /readyz there, over plain HTTP',
  );
}

export type KeeperOptions = { keeperEndpoint?: string };

export function addKeeperOption(role: Command, description: string): Command {
  return role.option('--keeper-endpoint <url>', description);
}

/** Where the controller is to reach the engine of this node; what is wrong with that is told before anything starts. */
export async function remoteAccess(
  address: string | undefined,
  { tlsDir, nodeId }: ConnectionOptions,
): Promise<RemoteAccess | undefined> {
  if (address === undefined || tlsDir === undefined || nodeId === undefined) return undefined;
  const { engineNameOf, TlsDirectory: Directory } = await import('../api/tls-directory.ts');
  new Directory(tlsDir, engineNameOf(nodeId));
  return { address: checkedAddress(address), tlsDir: path.resolve(tlsDir), nodeId };
}

/** The certificates of one who asks engines over TLS. */
export async function controllerTls(tlsDir: string): Promise<TlsDirectory> {
  const { CONTROLLER_NAME, TlsDirectory: Directory } = await import('../api/tls-directory.ts');
  return new Directory(tlsDir, CONTROLLER_NAME);
}

/** Runs the engine of a pool under a supervisor until it is told to stop; the exit code. */
export async function superviseEngine(
  options: EngineOptions & MetricsOptions & KeeperOptions,
  access: { remote?: RemoteAccess | undefined; csiEndpoint?: string } = {},
): Promise<number> {
  const { pool, logSize, endpoint, metricsListen, keeperEndpoint } = options;
  const { remote, csiEndpoint } = access;
  const { supervise } = await import('../engine/supervisor.ts');
  return supervise({
    poolDir: pool,
    endpoint,
    ...(remote && { remote }),
    ...(csiEndpoint !== undefined && { csiEndpoint }),
    ...(metricsListen !== undefined && { metricsAddress: metricsListen }),
    ...(keeperEndpoint !== undefined && { keeperSocket: socketPathOf(keeperEndpoint) }),
    ...(logSize !== undefined && { logBytes: logSize }),
    child: [process.execPath, ...process.execArgv, ENGINE],
  });
}
