/** kubectl, and Kubernetes' objects as it prints and takes them. */
import path from 'node:path';
import { attempt, CommandFailed, type CommandOptions, type CommandResult } from '../../support/commands.ts';
import type { Cluster } from './cluster.ts';

export type KubeObject = {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  // The API server knows the fields of each kind, and what is in them is what the tests are about.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  spec?: any;
  // biome-ignore lint/suspicious/noExplicitAny: see above
  status?: any;
};

const PATIENCE_MS = 300_000;

/** Whatever way it ends, in the cluster's network. */
export function attemptKubectl(
  cluster: Cluster,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const program = [path.join(cluster.binaries, 'kubectl'), ...args];
  const [command, ...rest] = cluster.site.entering(program);
  const env = { KUBECONFIG: path.join(cluster.directory, 'admin.conf') };
  return attempt(command!, rest, { timeoutMs: PATIENCE_MS, ...options, env: { ...env, ...options.env } });
}

/** What it prints. */
export async function kubectl(
  cluster: Cluster,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await attemptKubectl(cluster, args, options);
  if (status !== 0) throw new CommandFailed(['kubectl', ...args], status, stderr + stdout);
  return stdout;
}

export async function apply(
  cluster: Cluster,
  objects: readonly object[],
  args: readonly string[] = [],
): Promise<void> {
  const input = objects.map((object) => JSON.stringify(object)).join('\n---\n');
  await kubectl(cluster, ['apply', '-f', '-', ...args], { input });
}
