/** `flashcopy pool` and `flashcopy counters`: how the engine is doing. */
import type { Command } from 'commander';
import { withEngine } from './context.ts';
import { printJson, printProperties } from './output.ts';
import { showPercent, showSize } from './sizes.ts';

export function addPoolCommands(program: Command): void {
  const pool = program.command('pool').description('look at the pool');

  pool
    .command('show')
    .description('space, numbers and warnings')
    .action((_options: object, command: Command) =>
      withEngine(command, async (engine, form) => {
        const info = await engine.pool();
        if (form === 'json') return printJson(info);
        const part = (bytes: number) =>
          `${showSize(bytes)} (${showPercent(bytes, info.totalBytes)} of the filesystem)`;
        printProperties([
          ['path', info.path],
          ['size', showSize(info.totalBytes)],
          ['free', part(info.freeBytes)],
          ['provisioned', part(info.provisionedBytes)],
          ['volumes', info.volumes],
          ['snapshots', info.snapshots],
          ['mappings', info.mappings],
          ['retired', info.retired],
          ['undo log', `${showSize(info.logUsedBytes)} used of ${showSize(info.logBytes)}`],
          [
            'bitmaps',
            `${showSize(info.bitmapUsedBytes)} of memory, at most ${showSize(info.bitmapMaxBytes)}`,
          ],
          ...info.warnings.map((warning): [string, string] => ['warning', warning]),
        ]);
      }),
    );

  program
    .command('counters')
    .description('what the engine has done since it started')
    .action((_options: object, command: Command) =>
      withEngine(command, async (engine, form) => {
        const counters = await engine.counters();
        if (form === 'json') printJson(counters);
        else printProperties(Object.entries(counters));
      }),
    );
}
