/**
 * What every command that asks an engine needs: the connection and the form of its output, from the options that all
 * commands share. The connection is closed whatever happens, so that the program ends.
 */
import type { Command } from 'commander';
import type { EngineApi } from '../api/engine-api.ts';
import type { OutputForm } from './output.ts';
import { type ConnectionOptions, controllerTls } from './role-options.ts';

type SharedOptions = ConnectionOptions & { output: OutputForm };

/** How long a person waits for an engine that does not answer. */
const AWAY_MS = 5000;

export async function withEngine(
  command: Command,
  action: (engine: EngineApi, form: OutputForm) => Promise<void>,
): Promise<void> {
  const { endpoint, output, tlsDir, nodeId } = command.optsWithGlobals<SharedOptions>();
  // Loaded when it is needed: it takes longer than all the rest, also where nobody is to be asked.
  const { RemoteEngine } = await import('../api/client.ts');
  const engine = new RemoteEngine(endpoint, {
    ...(tlsDir !== undefined && { tls: await controllerTls(tlsDir) }),
    ...(nodeId !== undefined && { node: nodeId }),
    awayMs: AWAY_MS,
  });
  try {
    await action(engine, output);
  } finally {
    engine.close();
  }
}

/** The text that ends a command's help. Lines that begin with "flashcopy" are examples. */
export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}
