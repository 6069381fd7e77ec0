/** `flashcopy standalone`: the engine of one machine. */
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { examples } from './context.ts';
import { parseSize } from './sizes.ts';

const self = fileURLToPath(import.meta.url);
/** The engine process's own entry, with this file's ending: .ts in the sources, .js when compiled. */
const ENGINE = path.resolve(path.dirname(self), `../api/engine-main${path.extname(self)}`);

type StandaloneOptions = { pool: string; logSize?: number; endpoint: string };

export function addRoleCommands(program: Command): void {
  program
    .command('standalone')
    .description('run the engine for a pool, until it is told to stop (SIGTERM)')
    .requiredOption('--pool <dir>', 'directory of the pool; made if it does not exist')
    .option('--log-size <size>', 'undo log of a new pool (default: 256Mi)', parseSize)
    .addHelpText(
      'after',
      `\nSIGTERM or Ctrl-C detaches the volumes and stops. While one is in use it keeps running and says which; a second\nsignal stops it nevertheless. It logs to stderr, one JSON object a line.\n${examples(
        'flashcopy standalone --pool /var/lib/flashcopy/pool',
        'flashcopy standalone --pool /tmp/pool --endpoint unix:///tmp/pool.sock',
      )}`,
    )
    .action(async (_options: object, command: Command) => {
      const { pool, logSize, endpoint } = command.optsWithGlobals<StandaloneOptions>();
      const { supervise } = await import('../engine/supervisor.ts');
      process.exitCode = await supervise({
        poolDir: pool,
        endpoint,
        ...(logSize !== undefined && { logBytes: logSize }),
        child: [process.execPath, ...process.execArgv, ENGINE],
      });
    });
}
