/** `flashcopy group`: several volumes at one instant, all of them or none. */
import { type Command, InvalidArgumentError } from 'commander';
import { examples, withEngine } from './context.ts';
import { printMappings, printSnapshots } from './output.ts';
import { follow } from './progress.ts';
import { parseRate } from './sizes.ts';

function several(what: string): (text: string, before: string[] | undefined) => string[] {
  return (text, before = []) => {
    if (before.includes(text)) throw new InvalidArgumentError(`The ${what} ${text} is named twice.`);
    return [...before, text];
  };
}

export function addGroupCommands(program: Command): void {
  const group = program
    .command('group')
    .description('snapshot or copy several volumes at one instant, all or none')
    .addHelpText(
      'after',
      examples(
        'flashcopy group snapshot monday data journal    # makes data-monday and journal-monday',
        'flashcopy group start nightly-data nightly-journal --wait',
        'flashcopy group rm monday data journal',
      ),
    );

  group
    .command('snapshot')
    .description('a snapshot of each volume, called VOLUME-NAME')
    .argument('<name>', 'what the snapshots have in common')
    .argument('<volume...>', 'the volumes', several('volume'))
    .option(
      '--copy-rate <rate>',
      'make them full copies in the background, at this rate (0 to 150)',
      parseRate,
    )
    .action((name: string, volumes: string[], options: { copyRate?: number }, command: Command) =>
      withEngine(command, async (engine, form) => {
        const members = volumes.map((source) => ({ source, name: `${source}-${name}`, ...options }));
        printSnapshots(await engine.createSnapshots(members), form);
      }),
    );

  group
    .command('start')
    .description('start mappings at one instant')
    .argument('<mapping...>', 'the mappings', several('mapping'))
    .option('--wait', 'wait until the copies are complete, and show how far they are', false)
    .action((names: string[], options: { wait: boolean }, command: Command) =>
      withEngine(command, async (engine, form) => {
        const started = await engine.startMappings(names);
        if (options.wait) await follow(engine, started, form);
        else printMappings(started, form);
      }),
    );

  group
    .command('rm')
    .description('delete the snapshots that "group snapshot" made of these volumes')
    .argument('<name>')
    .argument('<volume...>', 'the volumes', several('volume'))
    .action((name: string, volumes: string[], _options: object, command: Command) =>
      withEngine(command, async (engine) => {
        for (const volume of volumes) await engine.deleteSnapshot(`${volume}-${name}`);
      }),
    );
}
