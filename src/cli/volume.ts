/** `flashcopy volume`: volumes and their block devices. */
import { type Command, Option } from 'commander';
import type { CowFailure, Provisioning } from '../base/model.ts';
import { examples, withEngine } from './context.ts';
import { print, printJson, printVolumes } from './output.ts';
import { parseSize } from './sizes.ts';

type CreateOptions = { grain?: number; provisioning: Provisioning; cowFailure: CowFailure };

export function addVolumeCommands(program: Command): void {
  const volume = program.command('volume').description('create, list, attach and delete volumes');
  addMakingCommands(volume);
  addDeviceCommands(volume);
}

function addMakingCommands(volume: Command): void {
  volume
    .command('create')
    .description('create an empty volume; the same again changes nothing')
    .argument('<name>')
    .argument('<size>', 'a multiple of 4096, like 512Mi or 10Gi', parseSize)
    .option('--grain <size>', 'unit of copying: a power of two, 4Ki to 1Mi', parseSize)
    .addOption(
      new Option('--provisioning <how>', 'take space when it is written, or all of it now')
        .choices(['thin', 'thick'])
        .default('thin'),
    )
    .addOption(
      new Option('--cow-failure <what>', 'when a snapshot cannot take old data: break it, or fail the write')
        .choices(['breakSnapshot', 'failWrite'])
        .default('breakSnapshot'),
    )
    .addHelpText(
      'after',
      examples('flashcopy volume create data 10Gi', 'flashcopy volume create db 1T --grain 64Ki'),
    )
    .action((name: string, sizeBytes: number, options: CreateOptions, command: Command) =>
      withEngine(command, async (engine, form) => {
        const { provisioning, cowFailure, grain } = options;
        const created = await engine.createVolume({
          name,
          sizeBytes,
          provisioning,
          cowFailure,
          ...(grain !== undefined && { grainBytes: grain }),
        });
        printVolumes([created], form);
      }),
    );

  volume
    .command('ls')
    .description('list the volumes')
    .action((_options: object, command: Command) =>
      withEngine(command, async (engine, form) => {
        const all = await engine.listVolumes();
        printVolumes(all.filter((one) => one.kind === 'volume'), form); // biome-ignore format: one line
      }),
    );

  volume
    .command('grow')
    .description(
      'make a volume larger, also while it is attached; its filesystem is grown apart (resize2fs, xfs_growfs)',
    )
    .argument('<name>')
    .argument('<size>', 'the new size', parseSize)
    .action((name: string, sizeBytes: number, _options: object, command: Command) =>
      withEngine(command, async (engine, form) =>
        printVolumes([await engine.growVolume(name, sizeBytes)], form),
      ),
    );

  volume
    .command('rm')
    .description('delete a volume; snapshots and copies of it live on')
    .argument('<name>')
    .action((name: string, _options: object, command: Command) =>
      withEngine(command, (engine) => engine.deleteVolume(name)),
    );
}

function addDeviceCommands(volume: Command): void {
  volume
    .command('attach')
    .description('give a volume or snapshot a block device, and print it')
    .argument('<name>')
    .addHelpText('after', examples('mkfs.ext4 $(flashcopy volume attach data)', 'mount /dev/loop0 /mnt'))
    .action((name: string, _options: object, command: Command) =>
      withEngine(command, async (engine, form) => {
        const device = await engine.attachVolume(name);
        if (form === 'json') printJson({ device });
        else print(device);
      }),
    );

  volume
    .command('detach')
    .description('take the block device away; refused while it is mounted or open')
    .argument('<name>')
    .action((name: string, _options: object, command: Command) =>
      withEngine(command, (engine) => engine.detachVolume(name)),
    );
}
