/**
 * The program `flashcopy`. Exit code 0: done; 1: failed, with one line on stderr that says why, which begins with the
 * error's code (base/errors.ts); 2: used wrongly. Who reads its output may stop reading at any time.
 */
import process from 'node:process';
import { Command, CommanderError, Option } from 'commander';
import { FlashCopyError } from '../base/errors.ts';
import { addCheckCommand } from './check.ts';
import { examples } from './context.ts';
import { addControllerCommand } from './controller.ts';
import { addCsiCommand } from './csi.ts';
import { addEngineCommand } from './engine.ts';
import { addGroupCommands } from './group.ts';
import { addHealthCommand } from './health.ts';
import { addMapCommands } from './map.ts';
import { addNodeCommand } from './node.ts';
import { addPoolCommands } from './pool.ts';
import { addConnectionOptions } from './role-options.ts';
import { addScrubCommands } from './scrub.ts';
import { addSnapshotCommands } from './snapshot.ts';
import { addStandaloneCommand } from './standalone.ts';
import { addTopCommand } from './top.ts';
import { version } from './version.ts';
import { addVolumeCommands } from './volume.ts';

const FAILED = 1;
const USAGE = 2;

function newProgram(): Command {
  const program = addConnectionOptions(new Command('flashcopy'))
    .description('Volumes with instant copies: snapshots, clones and mappings that copy only what changed.')
    .version(version())
    .addOption(new Option('--output <form>', 'what to print').choices(['table', 'json']).default('table'))
    .addHelpText(
      'after',
      `\nA volume, snapshot or mapping is named by its name, or by its id like '#7' (quoted: # begins a comment in shells).\n${examples(
        'flashcopy standalone --pool /var/lib/flashcopy/pool &',
        'flashcopy volume create data 10Gi',
        'mkfs.ext4 $(flashcopy volume attach data)',
        'flashcopy snapshot create data:before',
        'flashcopy snapshot restore before data-again',
      )}`,
    )
    .configureHelp({ showGlobalOptions: true })
    .exitOverride();
  addEngineCommand(program);
  addStandaloneCommand(program);
  addNodeCommand(program);
  addCsiCommand(program);
  addControllerCommand(program);
  addVolumeCommands(program);
  addMapCommands(program);
  addSnapshotCommands(program);
  addGroupCommands(program);
  addPoolCommands(program);
  addHealthCommand(program);
  addCheckCommand(program);
  addScrubCommands(program);
  addTopCommand(program);
  return program;
}

async function main(): Promise<number> {
  try {
    await newProgram().parseAsync();
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has said on stderr what is wrong; help and version that were asked for are no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    const code = error instanceof FlashCopyError ? error.code : 'Internal';
    const told = code !== 'Internal';
    const text = told ? (error as Error).message : String((error as Error).stack ?? error);
    process.stderr.write(`error: ${code}: ${text.trim().replaceAll(/\s*\n\s*/g, told ? ' ' : '\n  ')}\n`);
    return FAILED;
  }
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  // The reader has seen enough, as `head` does. What was asked of an engine has been done before it was printed.
  process.exit();
});
process.exitCode = await main();
