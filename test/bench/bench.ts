/**
 * `npm run bench`: the numbers that design.md promises, measured against peers on this machine in one run.
 *
 * Peers take turns within each workload, and each figure is the median of several short windows, so that what else
 * the machine does hits all of them alike. Ratios are what to look at: the figures are this machine's.
 *
 * Prints as it goes, then what was to be reached and what was, and writes docs/benchmarks.md. Leaves nothing behind.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Cleanup } from '../support/cleanup.ts';
import { run } from '../support/commands.ts';
import { GiB, temporaryDirectory } from '../support/disks.ts';
import { Standalone } from '../support/standalone.ts';
import { measureBackgroundCopy } from './background-copy.ts';
import { Bench, type BenchOptions, csiSocketIn } from './bench-context.ts';
import { measureCopyOnWrite } from './copy-on-write.ts';
import { measureCreateSnapshot } from './create-snapshot.ts';
import { measureCuts } from './cuts.ts';
import { measureDataPath } from './data-path.ts';
import { tableAsMarkdown, tableAsText, verdictTable } from './figures.ts';
import { type Peer, qemuExport, rawLoop, referenceServer } from './peers.ts';
import { measureRestart } from './restart.ts';

const PARTS = [
  'data-path',
  'copy-on-write',
  'background-copy',
  'cuts',
  'create-snapshot',
  'restart',
] as const;

const usage = `Usage: npm run bench -- [options]
  --seconds N      of one window (2)
  --rounds N       windows of each figure, whose median it is (3)
  --size-gib N     size of the volume and of the peers' file (4)
  --cuts N         cuts under load (25)
  --full           also with 300 volumes
  --parts A,B      only these of ${PARTS.join(', ')}
  --peers-only     without our engine
  --output FILE    where the figures go (docs/benchmarks.md; with --parts or --peers-only: nowhere)`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
      'size-gib': { type: 'string', default: '4' },
      cuts: { type: 'string', default: '25' },
      full: { type: 'boolean', default: false },
      parts: { type: 'string' },
      'peers-only': { type: 'boolean', default: false },
      output: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const positive = (name: 'seconds' | 'rounds' | 'size-gib' | 'cuts'): number => {
    const value = Number(values[name]);
    if (!(value > 0)) throw new Error(`--${name} wants a number above 0 and got ${values[name]}`);
    return value;
  };
  const parts = values.parts?.split(',') ?? [...PARTS];
  const unknown = parts.filter((part) => !PARTS.some((known) => known === part));
  if (unknown.length > 0)
    throw new Error(`--parts knows no ${unknown.join(', ')}; it knows ${PARTS.join(', ')}`);
  const whole = values.parts === undefined && !values['peers-only'];
  const options: BenchOptions = {
    seconds: positive('seconds'),
    rounds: positive('rounds'),
    sizeBytes: positive('size-gib') * GiB,
    cuts: positive('cuts'),
    full: values.full,
  };
  const docs = path.resolve(import.meta.dirname, '../../docs/benchmarks.md');
  return {
    options,
    parts,
    peersOnly: values['peers-only'],
    output: values.output ?? (whole ? docs : undefined),
    help: values.help,
  };
}

/** Written from end to end, directly, as every volume that is measured. */
async function plainFile(bench: Bench): Promise<string> {
  const file = path.join(bench.directory, 'plain.img');
  await writeFile(file, '');
  await truncate(file, bench.options.sizeBytes);
  await bench.fill(file);
  return file;
}

async function ourVolume(bench: Bench): Promise<Peer | undefined> {
  if (!bench.ours) return undefined;
  const { engine } = bench.ours;
  await engine.createVolume({ name: 'bench', sizeBytes: bench.options.sizeBytes });
  const device = await engine.attachVolume('bench');
  await bench.fill(device);
  return { name: 'flashcopy', device, stop: () => engine.detachVolume('bench') };
}

async function measure(bench: Bench, parts: string[]): Promise<void> {
  bench.tell('Preparing the files');
  const plain = await plainFile(bench);
  const ours = await ourVolume(bench);
  const part = async (name: string, what: string, body: () => Promise<void>): Promise<void> => {
    if (!parts.includes(name)) return;
    const start = performance.now();
    bench.tell(what);
    await body();
    bench.tell(`  (${Math.round((performance.now() - start) / 1000)} s)`);
  };

  await part('data-path', 'A volume without mappings', async () => {
    const peers = [
      await rawLoop(bench, plain),
      await referenceServer(bench, plain),
      await qemuExport(bench, plain),
    ];
    await measureDataPath(bench, ours ? [...peers, ours] : peers);
    for (const peer of peers) await peer.stop();
  });
  await part('copy-on-write', 'Writes while a snapshot fills', () => measureCopyOnWrite(bench, plain));
  await part('background-copy', 'Background copy and sync', () => measureBackgroundCopy(bench, plain, ours));
  await part('cuts', 'Cuts under load', () => measureCuts(bench));
  await part('create-snapshot', 'CreateSnapshot under load', () => measureCreateSnapshot(bench));
  await part('restart', 'Restart', () => measureRestart(bench));
  await ours?.stop();
}

async function surroundings(bench: Bench): Promise<string[]> {
  const version = async (command: string): Promise<string> =>
    (await run(command, ['--version'])).split('\n')[0]!.replace(/^.*?(\d[\w.+~-]*).*$/, '$1');
  const filesystem = (await run('findmnt', ['-no', 'FSTYPE', '--target', bench.directory])).trim();
  const { seconds, rounds, sizeBytes } = bench.options;
  return [
    `- date: ${new Date().toISOString().slice(0, 10)}`,
    `- command: \`${['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' ')}\``,
    `- machine: ${os.availableParallelism()} cores (${os.cpus()[0]?.model.trim()}), ${Math.round(os.totalmem() / GiB)} GiB of memory`,
    `- kernel ${os.release()}, files on ${filesystem}`,
    `- node ${process.versions.node}, fio ${await version('fio')}, qemu ${await version('qemu-storage-daemon')}`,
    `- ${sizeBytes / GiB} GiB volumes; each figure the median of ${rounds} windows of ${seconds} s; fio with io_uring and direct I/O`,
  ];
}

/** Written by hand, and kept: from this heading to the end. */
const BY_HAND = '## Where a target is missed';

function byHand(output: string): string {
  if (!existsSync(output)) return '';
  const text = readFileSync(output, 'utf8');
  const at = text.indexOf(BY_HAND);
  return at < 0 ? '' : text.slice(at);
}

async function writeDocument(bench: Bench, output: string): Promise<void> {
  const text = [
    '# Benchmarks',
    '',
    'Written by `npm run bench`. What is judged are ratios to peers in the same run on the same machine.',
    '',
    ...(await surroundings(bench)),
    '',
    ...[verdictTable(bench.verdicts), ...bench.tables].map(tableAsMarkdown),
    byHand(output),
  ];
  await mkdir(path.dirname(output), { recursive: true });
  await writeFile(output, text.join('\n'));
  console.log(`\nWritten to ${output}`);
}

const cleanup = new Cleanup();
await cleanup.guard(async () => {
  const { options, parts, peersOnly, output, help } = readOptions();
  if (help) {
    console.log(usage);
    return;
  }
  // The volume, the peers' file, a copy of each, and the two volumes with many snapshots.
  const directory = temporaryDirectory(cleanup, 7 * options.sizeBytes + GiB);
  const ours = peersOnly
    ? undefined
    : await Standalone.start(cleanup, path.join(directory, 'pool'), [
        '--csi-endpoint',
        `unix://${csiSocketIn(directory)}`,
      ]);
  const bench = new Bench(options, directory, cleanup, ours);
  await measure(bench, parts);
  for (const table of bench.tables) console.log(tableAsText(table));
  if (bench.verdicts.length > 0) console.log(tableAsText(verdictTable(bench.verdicts)));
  if (output !== undefined) await writeDocument(bench, output);
  await rm(path.join(directory, 'plain.img'), { force: true });
});
