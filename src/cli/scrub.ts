/** `flashcopy scrub`: a look at all of a pool while it is in use, in the background. */
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import type { EngineApi } from '../api/engine-api.ts';
import { FlashCopyError } from '../base/errors.ts';
import type { ScrubInfo } from '../base/model.ts';
import { examples, withEngine } from './context.ts';
import { type OutputForm, print, printJson, printProperties } from './output.ts';
import { parseSize, showPercent, showSize, showTime } from './sizes.ts';

const ASK_AGAIN_MS = 500;

export function addScrubCommands(program: Command): void {
  const scrub = program
    .command('scrub')
    .description('read all of the pool in the background, to find damage before it is needed');

  scrub
    .command('start')
    .description('begin, or go on where it was stopped; one that runs gets the rate')
    .option('--rate <size>', 'the most that it reads in a second (default: 64Mi)', parseSize)
    .option('--wait', 'show how far it is until it is through; exit code 1 if it found something')
    .addHelpText(
      'after',
      `
Bitmap files are compared with memory, data is read from the disk, holes are looked at; the catalog is read again.
While the host is at work it takes a quarter of the rate. It goes on after a restart of the engine. What it finds is in
"flashcopy scrub status", in the warnings of "flashcopy pool show", in the log and in the metrics.
${examples('flashcopy scrub start', 'flashcopy scrub start --rate 200Mi --wait')}`,
    )
    .action((options: { rate?: number; wait?: boolean }, command: Command) =>
      withEngine(command, async (engine, form) => {
        const started = await engine.startScrub(options.rate ?? 0);
        if (options.wait) await follow(engine, form);
        else printScrub(started, form);
      }),
    );

  scrub
    .command('stop')
    .description('stop it; "start" goes on from there')
    .action((_options: object, command: Command) =>
      withEngine(command, async (engine, form) => printScrub(await engine.stopScrub(), form)),
    );

  scrub
    .command('status')
    .description('how far it is, and what it has found')
    .addHelpText(
      'after',
      examples('flashcopy scrub status', "flashcopy scrub status --output json | jq '.findings'"),
    )
    .action((_options: object, command: Command) =>
      withEngine(command, async (engine, form) => printScrub(await engine.getScrub(), form)),
    );
}

async function follow(engine: EngineApi, form: OutputForm): Promise<void> {
  const bar = form === 'table' && process.stderr.isTTY ? newBar() : undefined;
  let info = await engine.getScrub();
  bar?.start(Math.max(1, info.totalBytes), info.doneBytes, payload(info));
  try {
    while (info.state === 'running') {
      await sleep(ASK_AGAIN_MS);
      info = await engine.getScrub();
      bar?.update(info.doneBytes, payload(info));
    }
  } finally {
    bar?.stop();
  }
  printScrub(info, form);
  if (info.state !== 'done')
    throw new FlashCopyError('WrongState', `The scrub is ${info.state} before it is through. ${info.error}`);
  if (info.findings.length > 0) process.exitCode = 1;
}

const payload = (info: ScrubInfo) => ({
  at: info.volume,
  done: showSize(info.doneBytes),
  whole: showSize(info.totalBytes),
  found: info.findings.length,
});

const newBar = (): SingleBar =>
  new SingleBar({
    format: '[{bar}] {percentage}% {done} of {whole}, {found} found {at}',
    hideCursor: true,
    gracefulExit: false,
    stream: process.stderr,
  });

function printScrub(info: ScrubInfo, form: OutputForm): void {
  if (form === 'json') printJson(info);
  else if (info.state === 'never') print('There was no scrub yet.');
  else printProperties(propertiesOf(info));
}

function propertiesOf(info: ScrubInfo): [string, string][] {
  return [
    ['state', info.error === '' ? info.state : `${info.state}: ${info.error}`],
    ['started', showTime(info.startedAt)],
    ['through', showTime(info.endedAt)],
    ['rate', `${showSize(info.bytesPerSecond)}/s`],
    [
      'done',
      `${showSize(info.doneBytes)} of ${showSize(info.totalBytes)} (${showPercent(info.doneBytes, info.totalBytes)})`,
    ],
    ...(info.volume === '' ? [] : [['volume', info.volume] satisfies [string, string]]),
    ...info.findings.map(({ volume, file, offset, what }): [string, string] => [
      'found',
      `${file}${offset === null ? '' : ` at byte ${offset}`}${volume === '' ? '' : ` (${volume})`}: ${what}`,
    ]),
  ];
}
