/** `flashcopy map`: FlashCopy mappings from a source volume to a target volume. */
import type { Command } from 'commander';
import { examples, withEngine } from './context.ts';
import { printMappings } from './output.ts';
import { follow } from './progress.ts';
import { parseRate } from './sizes.ts';

type CreateOptions = { copyRate?: number; incremental: boolean };
type WaitOptions = { wait: boolean };

const WAIT = 'wait until the copy is complete, and show how far it is';

export function addMapCommands(program: Command): void {
  const map = program
    .command('map')
    .description('create, start, sync and watch FlashCopy mappings')
    .addHelpText(
      'after',
      examples(
        'flashcopy map create nightly data backup --incremental --copy-rate 100',
        'flashcopy map start nightly --wait    # backup shows data as it is now, then becomes a full copy',
        'flashcopy map sync nightly --wait     # later: copies only what changed since',
      ),
    );
  addMakingCommands(map);
  addRunningCommands(map);
  addLookingCommands(map);
}

function addMakingCommands(map: Command): void {
  map
    .command('create')
    .description('make a mapping; nothing is copied before it is started')
    .argument('<name>')
    .argument('<source>', 'the volume or snapshot to copy')
    .argument('<target>', 'a volume of the same size and grain; it loses its content at the start')
    .option(
      '--copy-rate <rate>',
      '0 (no background copy) to 150; 50 is 2 MiB/s, every ten doubles it',
      parseRate,
    )
    .option('--incremental', 'stay after the copy is complete, so that it can be synced', false)
    .action((name: string, source: string, target: string, options: CreateOptions, command: Command) =>
      withEngine(command, async (engine, form) =>
        printMappings([await engine.createMapping({ name, source, target, ...options })], form),
      ),
    );

  map
    .command('rm')
    .description('delete a mapping; a complete target stays as it is')
    .argument('<name>')
    .option('--force', 'also while it is copying: the target loses its content', false)
    .action((name: string, options: { force: boolean }, command: Command) =>
      withEngine(command, (engine) => engine.deleteMapping(name, options.force)),
    );
}

function addRunningCommands(map: Command): void {
  map
    .command('prepare')
    .description('flush the source and discard the target, so that the start has little to do')
    .argument('<name>')
    .action((name: string, _options: object, command: Command) =>
      withEngine(command, async (engine, form) => printMappings([await engine.prepareMapping(name)], form)),
    );

  map
    .command('start')
    .description('cut: the target shows the source as it is now; several mappings at one instant')
    .argument('<name...>')
    .option('--wait', WAIT, false)
    .action((names: string[], options: WaitOptions, command: Command) =>
      withEngine(command, async (engine, form) => {
        const started = await engine.startMappings(names);
        if (options.wait) await follow(engine, started, form);
        else printMappings(started, form);
      }),
    );

  map
    .command('sync')
    .description('bring the target to now, copying only what changed')
    .argument('<name>')
    .option('--wait', WAIT, false)
    .action((name: string, options: WaitOptions, command: Command) =>
      withEngine(command, async (engine, form) => {
        const synced = await engine.syncMapping(name);
        if (options.wait) await follow(engine, [synced], form);
        else printMappings([synced], form);
      }),
    );

  map
    .command('stop')
    .description('end the copy; a target that is not complete goes offline')
    .argument('<name>')
    .action((name: string, _options: object, command: Command) =>
      withEngine(command, async (engine, form) => printMappings([await engine.stopMapping(name)], form)),
    );

  map
    .command('rate')
    .description('set the copy rate, also while it copies')
    .argument('<name>')
    .argument('<rate>', '0 to 150', parseRate)
    .action((name: string, rate: number, _options: object, command: Command) =>
      withEngine(command, async (engine, form) =>
        printMappings([await engine.setCopyRate(name, rate)], form),
      ),
    );
}

function addLookingCommands(map: Command): void {
  map
    .command('ls')
    .description('list the mappings')
    .action((_options: object, command: Command) =>
      withEngine(command, async (engine, form) => printMappings(await engine.listMappings(), form)),
    );

  map
    .command('watch')
    .description('show the progress until the copies are complete')
    .argument('[name...]', 'all that are copying, if none is named')
    .action((names: string[], _options: object, command: Command) =>
      withEngine(command, async (engine, form) => {
        const watched =
          names.length > 0
            ? await Promise.all(names.map((name) => engine.getMapping(name)))
            : (await engine.listMappings()).filter((mapping) => mapping.state === 'copying');
        await follow(engine, watched, form);
      }),
    );
}
