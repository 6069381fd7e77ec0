/**
 * The background copy: how fast it can be, what it costs the host at the default rate, and how little a sync copies.
 */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../support/commands.ts';
import { fio } from '../support/fio.ts';
import { untilCopied } from '../support/standalone.ts';
import { type Bench, randomRead32, randomWrite32 } from './bench-context.ts';
import { count, judge, median, percent, seconds } from './figures.ts';
import { timeMs, untilNothingRetired } from './ours.ts';
import type { Peer } from './peers.ts';

const UNTHROTTLED = 150;
const DEFAULT_RATE = 50;
const CHANGED = 0.01;
const SYNC_RUN_BYTES = 64 * 1024;

export async function measureBackgroundCopy(
  bench: Bench,
  plainFile: string,
  ours: Peer | undefined,
): Promise<void> {
  const plainMs: number[] = [];
  const ourMs: number[] = [];
  const { rounds, sizeBytes } = bench.options;
  for (let round = 0; round < rounds; round++) {
    plainMs.push(await copyWithDd(bench, plainFile));
    if (!ours) continue;
    if (round > 0) await removeTarget(bench);
    ourMs.push(await copyWithMapping(bench));
  }
  const [plain, full] = [median(plainMs), median(ourMs)];
  const rate = (ms: number): string => count(sizeBytes / 1000 / ms);
  bench.tell(
    `  dd ${seconds(plain)} (${rate(plain)} MB/s), background copy ${seconds(full)} (${rate(full)} MB/s)`,
  );
  bench.tables.push({
    title: 'A full copy, unthrottled',
    note: 'dd with direct I/O and a final fdatasync; the mapping from its cut until it is `copied`.',
    columns: ['', 'dd', 'background copy'],
    rows: [
      ['time', seconds(plain), seconds(full)],
      ['MB/s', rate(plain), rate(full)],
    ],
  });
  if (!ours) return;
  bench.verdicts.push(judge('background copy, of the rate of dd', plain / full, { least: 0.8 }));
  await measureSync(bench, ours, full);
  await removeTarget(bench);
  await measureForegroundLoss(bench, ours);
}

async function copyWithDd(bench: Bench, plainFile: string): Promise<number> {
  const copy = path.join(bench.directory, 'dd.img');
  const direct = ['bs=1M', 'iflag=direct', 'oflag=direct', 'conv=fdatasync', 'status=none'];
  const ms = await timeMs(() => run('dd', [`if=${plainFile}`, `of=${copy}`, ...direct]));
  await rm(copy);
  return ms;
}

/** Leaves the mapping, `copied`. */
async function copyWithMapping(bench: Bench): Promise<number> {
  await createMapping(bench, UNTHROTTLED, true);
  const { engine } = bench.ours!;
  return timeMs(async () => {
    await engine.startMappings(['copy']);
    await untilCopied(engine, 'copy', 300_000);
  });
}

async function createMapping(bench: Bench, copyRate: number, incremental: boolean): Promise<void> {
  const { engine } = bench.ours!;
  await engine.createVolume({ name: 'target', sizeBytes: bench.options.sizeBytes });
  await engine.createMapping({ name: 'copy', source: 'bench', target: 'target', copyRate, incremental });
}

async function removeTarget(bench: Bench): Promise<void> {
  const { engine } = bench.ours!;
  await engine.deleteMapping('copy', true);
  await engine.deleteVolume('target');
  await untilNothingRetired(engine);
}

/** The same number of grains changed, as a database's pages lie and each by itself. */
async function measureSync(bench: Bench, ours: Peer, fullMs: number): Promise<void> {
  const rows: string[][] = [];
  const share: number[] = [];
  for (const runBytes of [SYNC_RUN_BYTES, 4096]) {
    const { copied, ms } = await syncAfterWrites(bench, ours, runBytes);
    rows.push([`${runBytes / 1024} KiB`, count(copied), seconds(ms), percent(ms / fullMs)]);
    share.push(ms / fullMs);
    bench.tell(`  sync of ${count(copied)} grains in runs of ${runBytes / 1024} KiB: ${seconds(ms)}`);
  }
  bench.tables.push({
    title: `A sync with ${percent(CHANGED)} of the grains changed`,
    note: 'At random places, in runs of this length; from the call until the mapping is `copied` again.',
    columns: ['run', 'grains copied', 'time', 'of the full copy'],
    rows,
  });
  const what = (run: string): string =>
    `sync of 1 % of the grains, changed in ${run}, of the time of the full copy`;
  bench.verdicts.push(judge(what('runs of 64 KiB'), share[0]!, { most: 0.015 }));
  bench.verdicts.push(judge(what('single grains'), share[1]!, { most: 0.015 }));
}

async function syncAfterWrites(
  bench: Bench,
  ours: Peer,
  runBytes: number,
): Promise<{ copied: number; ms: number }> {
  const { engine } = bench.ours!;
  const syncMs: number[] = [];
  const copied: number[] = [];
  for (let round = 0; round < bench.options.rounds; round++) {
    const place = { file: ours.device, rangeBytes: bench.options.sizeBytes };
    const more = { number_ios: Math.round((bench.options.sizeBytes / runBytes) * CHANGED) };
    await fio({ ...place, pattern: 'randwrite', blockBytes: runBytes, depth: 32, more });
    const before = (await engine.counters()).grainsCopiedInBackground;
    syncMs.push(
      await timeMs(async () => {
        await engine.syncMapping('copy');
        await untilCopied(engine, 'copy');
      }),
    );
    copied.push((await engine.counters()).grainsCopiedInBackground - before);
  }
  return { copied: median(copied), ms: median(syncMs) };
}

/** The same cut with and without a background copy, so that copy on write is not counted as its cost. */
async function measureForegroundLoss(bench: Bench, ours: Peer): Promise<void> {
  const { engine } = bench.ours!;
  const rows: string[][] = [];
  for (const workload of [randomRead32, randomWrite32]) {
    const rates = new Map<number, number[]>([[0, []], [DEFAULT_RATE, []]]); // biome-ignore format: one line
    for (let round = 0; round < bench.options.rounds; round++) {
      for (const [copyRate, windows] of rates) {
        await createMapping(bench, copyRate, false);
        await engine.startMappings(['copy']);
        windows.push((await bench.window(ours.device, workload)).iops);
        await removeTarget(bench);
      }
    }
    const [alone, beside] = [...rates.values()].map(median) as [number, number];
    rows.push([workload.what, count(alone), count(beside)]);
    bench.verdicts.push(
      judge(`loss of ${workload.what} beside a background copy`, 1 - beside / alone, { most: 0.1 }),
    );
  }
  bench.tell(
    `  beside a background copy at rate ${DEFAULT_RATE}: ${rows.map((row) => row.join(' ')).join(', ')}`,
  );
  bench.tables.push({
    title: 'The host beside a background copy at the default rate',
    note: 'Operations a second on the source, right after the cut.',
    columns: ['workload', 'copy rate 0', `copy rate ${DEFAULT_RATE}`],
    rows,
  });
}
