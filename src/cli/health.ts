/**
 * `flashcopy health`: whether the roles that run here are well, for a container's health check and for people.
 *
 * A role is well if it says so at the address where it serves its metrics. Exit code 0: at least one answered, and all
 * that answered are well.
 */
import type { Command } from 'commander';
import { FlashCopyError } from '../base/errors.ts';
import { examples } from './context.ts';
import { type OutputForm, printJson, printProperties } from './output.ts';

/** Where each role serves its metrics in a container: engine, node and controller. */
const ADDRESSES = ['127.0.0.1:9751', '127.0.0.1:9752', '127.0.0.1:9753'];
const ANSWER_MS = 8000;

type Verdict = { address: string; well: boolean; reason: string };

export function addHealthCommand(program: Command): void {
  program
    .command('health')
    .description('ask the roles that run here whether they are well')
    .option('--at <host:port...>', 'where a role serves its metrics', ADDRESSES)
    .addHelpText(
      'after',
      examples('flashcopy health', 'flashcopy health --at 127.0.0.1:9751 && echo the engine is well'),
    )
    .action(async (_options: object, command: Command) => {
      const { at, output } = command.optsWithGlobals<{ at: string[]; output: OutputForm }>();
      const verdicts = (await Promise.all(at.map(verdictAt))).filter((verdict) => verdict !== undefined);
      const unwell = verdicts.find(({ well }) => !well);
      if (unwell !== undefined)
        throw new FlashCopyError(
          'Unavailable',
          `The role at ${unwell.address} is not well: ${unwell.reason}.`,
        );
      if (verdicts.length === 0)
        throw new FlashCopyError(
          'Unavailable',
          `No role answers at ${at.join(', ')}. Name the address that it was given with --metrics-listen: --at HOST:PORT.`,
        );
      if (output === 'json') printJson(verdicts);
      else printProperties(verdicts.map(({ address }): [string, string] => [address, 'well']));
    });
}

/** Undefined: nobody is there. */
async function verdictAt(address: string): Promise<Verdict | undefined> {
  try {
    const response = await fetch(`http://${address}/healthz`, { signal: AbortSignal.timeout(ANSWER_MS) });
    return { address, well: response.ok, reason: (await response.text()).trim() };
  } catch (error) {
    const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
    if (cause?.code === 'ECONNREFUSED') return undefined;
    return { address, well: false, reason: cause?.message ?? (error as Error).message };
  }
}
