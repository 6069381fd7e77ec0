/** `flashcopy standalone`: the engine of one machine. */
import process from 'node:process';
import type { Command } from 'commander';
import { examples } from './context.ts';
import { STOPPING } from './engine.ts';
import { addPoolOptions, type EngineOptions, superviseEngine } from './role-options.ts';

export function addStandaloneCommand(program: Command): void {
  const standalone = program
    .command('standalone')
    .description('run the engine for a pool, until it is told to stop (SIGTERM)');
  addPoolOptions(standalone)
    .addHelpText(
      'after',
      `${STOPPING}${examples(
        'flashcopy standalone --pool /var/lib/flashcopy/pool',
        'flashcopy standalone --pool /tmp/pool --endpoint unix:///tmp/pool.sock',
      )}`,
    )
    .action(async (_options: object, command: Command) => {
      process.exitCode = await superviseEngine(command.optsWithGlobals<EngineOptions>());
    });
}
