/** `flashcopy snapshot`: points in time of volumes. */
import { type Command, InvalidArgumentError } from 'commander';
import type { CreateSnapshot } from '../base/model.ts';
import { examples, withEngine } from './context.ts';
import { printSnapshots, printVolumes } from './output.ts';
import { parseRate, parseSize } from './sizes.ts';

type Member = { source: string; name: string };

function parseMember(text: string, before: Member[] | undefined): Member[] {
  const colon = text.lastIndexOf(':');
  if (colon <= 0 || colon === text.length - 1) {
    throw new InvalidArgumentError('Write VOLUME:SNAPSHOT, like data:monday.');
  }
  return [...(before ?? []), { source: text.slice(0, colon), name: text.slice(colon + 1) }];
}

export function addSnapshotCommands(program: Command): void {
  const snapshot = program.command('snapshot').description('create, list, restore and delete snapshots');

  snapshot
    .command('create')
    .description('snapshot one volume, or several at one instant (all or nothing)')
    .argument('<volume:name...>', 'the volume and the name of its snapshot', parseMember)
    .option('--copy-rate <rate>', 'make it a full copy in the background, at this rate (0 to 150)', parseRate)
    .addHelpText(
      'after',
      examples(
        'flashcopy snapshot create data:monday',
        'flashcopy snapshot create data:d1 journal:j1   # one instant',
      ),
    )
    .action((members: Member[], options: { copyRate?: number }, command: Command) =>
      withEngine(command, async (engine, form) => {
        const requests: CreateSnapshot[] = members.map((member) => ({ ...member, ...options }));
        printSnapshots(await engine.createSnapshots(requests), form);
      }),
    );

  snapshot
    .command('ls')
    .description('list the snapshots')
    .argument('[volume]', 'of this volume only')
    .action((volume: string | undefined, _options: object, command: Command) =>
      withEngine(command, async (engine, form) => {
        const source = volume === undefined ? undefined : (await engine.getVolume(volume)).name;
        const all = (await engine.listVolumes()).filter((one) => one.kind === 'snapshot');
        printSnapshots(source === undefined ? all : all.filter((one) => one.source === source), form);
      }),
    );

  snapshot
    .command('restore')
    .description('make a new volume with the content of a snapshot, usable at once')
    .argument('<snapshot>')
    .argument('<volume>', 'the name of the new volume')
    .option('--size <size>', 'larger than the snapshot', parseSize)
    .option('--copy-rate <rate>', 'how fast it becomes independent of the snapshot (0 to 150)', parseRate)
    .addHelpText('after', examples('flashcopy snapshot restore monday data-monday --copy-rate 100'))
    .action((source: string, name: string, options: { size?: number; copyRate?: number }, command: Command) =>
      withEngine(command, async (engine, form) => {
        const { size = 0, copyRate } = options;
        const request = { name, sizeBytes: size, ...(copyRate !== undefined && { copyRate }) };
        printVolumes([await engine.cloneVolume(source, request)], form);
      }),
    );

  snapshot
    .command('rm')
    .description('delete a snapshot')
    .argument('<name>')
    .action((name: string, _options: object, command: Command) =>
      withEngine(command, (engine) => engine.deleteSnapshot(name)),
    );
}
