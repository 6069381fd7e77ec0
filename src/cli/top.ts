/**
 * `flashcopy top`: what the engine does right now, look after look: what the host asks for, what copying costs, and how
 * far each mapping is. On a terminal one screen that is drawn again; else a block of lines, or one JSON object, for each
 * look. Rates are those since the look before; an engine that was started again meanwhile begins at zero.
 */
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { EngineApi } from '../api/engine-api.ts';
import type { Counters, MappingInfo, PoolInfo } from '../base/model.ts';
import { examples, withEngine } from './context.ts';
import { type OutputForm, print, printMappings, printProperties } from './output.ts';
import { showPercent, showSize } from './sizes.ts';

const CLEAR = '\u001b[H\u001b[2J';

type Look = { atMs: number; counters: Counters; pool: PoolInfo; mappings: MappingInfo[] };
/** A second. */
type Rates = Record<(typeof COUNTED)[number], number>;

const COUNTED = [
  'hostReads',
  'hostWrites',
  'grainsCopiedOnWrite',
  'grainsCopiedInBackground',
  'grainsCleaned',
  'logCommits',
] as const;

export function addTopCommand(program: Command): void {
  program
    .command('top')
    .description('watch what the engine does: host I/O, copying, mappings')
    .option('--interval <seconds>', 'between two looks', parsePositive, 1)
    .option('--count <looks>', 'end after so many (default: until Ctrl-C)', parsePositive)
    .addHelpText(
      'after',
      examples('flashcopy top', 'flashcopy top --interval 10 --output json >> engine.log'),
    )
    .action((options: { interval: number; count?: number }, command: Command) =>
      withEngine(command, (engine, form) => watch(engine, form, options)),
    );
}

function parsePositive(text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('Write a number above 0.');
}

async function watch(
  engine: EngineApi,
  form: OutputForm,
  { interval, count = Number.POSITIVE_INFINITY }: { interval: number; count?: number },
): Promise<void> {
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once('SIGINT', interrupt);
  try {
    let before = await look(engine);
    for (let n = 0; n < count; n++) {
      await sleep(interval * 1000, undefined, { signal: stop.signal }).catch(() => undefined); // interrupted
      if (stop.signal.aborted) return;
      const now = await look(engine);
      show(now, ratesOf(before, now), form);
      before = now;
    }
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
}

async function look(engine: EngineApi): Promise<Look> {
  const [counters, pool, mappings] = await Promise.all([
    engine.counters(),
    engine.pool(),
    engine.listMappings(),
  ]);
  return { atMs: performance.now(), counters, pool, mappings };
}

function ratesOf(before: Look, now: Look): Rates {
  const seconds = (now.atMs - before.atMs) / 1000;
  const rate = (name: (typeof COUNTED)[number]): [string, number] => {
    const [from, to] = [before.counters[name], now.counters[name]];
    return [name, Math.round((to >= from ? to - from : to) / seconds)];
  };
  return Object.fromEntries(COUNTED.map(rate)) as Rates;
}

function show({ counters, pool, mappings }: Look, rates: Rates, form: OutputForm): void {
  if (form === 'json') {
    print(JSON.stringify({ at: new Date().toISOString(), perSecond: rates, counters, pool, mappings }));
    return;
  }
  if (process.stdout.isTTY) process.stdout.write(CLEAR);
  const { volumes, snapshots, retired, freeBytes, totalBytes, logUsedBytes, logBytes } = pool;
  printProperties([
    ['pool', `${pool.path}, ${showSize(freeBytes)} free (${showPercent(freeBytes, totalBytes)})`],
    ['volumes', `${volumes}, ${snapshots} snapshots, ${retired} being reclaimed`],
    ['host', `${rates.hostReads} reads/s, ${rates.hostWrites} writes/s`],
    ['copied', `${rates.grainsCopiedOnWrite} grains/s on write, ${rates.grainsCopiedInBackground} in background, ${rates.grainsCleaned} cleaned`],
    ['undo log', `${showPercent(logUsedBytes, logBytes)} used, ${rates.logCommits} commits/s`],
    ['cuts', `${counters.cuts}, longest pause ${(counters.longestPauseUs / 1000).toFixed(1)} ms`],
    ...pool.warnings.map((warning): [string, string] => ['warning', warning]),
  ]); // biome-ignore format: a table
  print('');
  printMappings(mappings, 'table');
  if (!process.stdout.isTTY) print('');
}
