/**
 * What the host feels of a cut: for how long the gate is closed, and what the slowest write around a cut takes, under
 * full write load, on a small volume and on a huge one.
 */
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GiB, TiB } from '../support/disks.ts';
import { Fio } from '../support/fio.ts';
import { type Bench, randomWrite32 } from './bench-context.ts';
import { judge, percentile, seconds } from './figures.ts';
import { untilNothingRetired } from './ours.ts';

const BETWEEN_CUTS_MS = 200;
/** A write that the gate held back ends this long after the cut at the latest. */
const AFTERMATH_MS = 20;
/** All load goes to the first part of the volume, so that the sizes differ in nothing else. */
const RANGE_BYTES = GiB;

type Completion = { atMs: number; latencyUs: number };
type Cut = { fromMs: number; toMs: number; pauseUs: number };

export async function measureCuts(bench: Bench): Promise<void> {
  if (!bench.ours) return;
  const rows: string[][] = [];
  for (const [size, sizeBytes] of [['1 GiB', GiB], ['1 TiB', TiB]] as const) {
    const { cuts, completions } = await cutUnderLoad(bench, sizeBytes);
    const pauses = cuts.map((cut) => cut.pauseUs);
    const slowest = cuts.map((cut) => slowestAround(cut, completions));
    const usual = percentile(completions.map((completion) => completion.latencyUs), 50);
    rows.push(
      [`${size}: gate closed`, ...spread(pauses)],
      [`${size}: slowest write around the cut`, ...spread(slowest)],
      [`${size}: all writes (p50 ${seconds(usual / 1000)})`, ...spread(completions.map((c) => c.latencyUs))],
    );
    const worst = percentile(slowest, 99) / 1000;
    bench.tell(`  ${size}: gate p99 ${seconds(percentile(pauses, 99) / 1000)}, slowest write p99 ${seconds(worst)}`);
    bench.verdicts.push(
      judge(`p99 pause of a cut under full write load, ${size}`, percentile(pauses, 99) / 1000, { most: 10 }, seconds),
    );
  } // biome-ignore format: a table
  bench.tables.push({
    title: 'Cuts under full write load',
    note: `${bench.options.cuts} cuts of each volume under random 4k writes QD32 to its first GiB.`,
    columns: ['', 'p50', 'p99', 'max'],
    rows,
  });
}

const spread = (us: number[]): string[] => [50, 99, 100].map((p) => seconds(percentile(us, p) / 1000));

const slowestAround = (cut: Cut, completions: Completion[]): number =>
  Math.max(
    0,
    ...completions
      .filter(({ atMs }) => atMs >= cut.fromMs && atMs <= cut.toMs + AFTERMATH_MS)
      .map(({ latencyUs }) => latencyUs),
  );

async function cutUnderLoad(
  bench: Bench,
  sizeBytes: number,
): Promise<{ cuts: Cut[]; completions: Completion[] }> {
  const { engine } = bench.ours!;
  await engine.createVolume({ name: 'cut', sizeBytes });
  const device = await engine.attachVolume('cut');
  const log = path.join(bench.directory, 'cuts');
  const load = { file: device, ...randomWrite32, rangeBytes: RANGE_BYTES };
  // Overwriting is what is measured, not the first allocation.
  await new Fio({ ...load, pattern: 'write', blockBytes: 1 << 20, depth: 4 }).done;
  const logged = { write_lat_log: log, log_unix_epoch: 1, disable_slat: 1 };
  const writer = new Fio({ ...load, seconds: 600, more: logged });
  await sleep(1000);

  const cuts: Cut[] = [];
  for (let at = 0; at < bench.options.cuts; at++) {
    const fromMs = Date.now();
    await engine.createSnapshots([{ name: `cut-${at}`, source: 'cut' }]);
    const toMs = Date.now();
    cuts.push({ fromMs, toMs, pauseUs: (await engine.counters()).lastPauseUs });
    await sleep(BETWEEN_CUTS_MS);
  }
  await writer.stop();
  const completions = await readLatencyLog(log);

  await engine.detachVolume('cut');
  for (let at = 0; at < cuts.length; at++) await engine.deleteSnapshot(`cut-${at}`);
  await engine.deleteVolume('cut');
  await untilNothingRetired(engine);
  return { cuts, completions };
}

/** Lines of `time in ms, latency in ns, direction, block size, ...`. */
async function readLatencyLog(log: string): Promise<Completion[]> {
  const file = `${log}_clat.1.log`;
  const completions = (await readFile(file, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => line.split(','))
    .map(([atMs, latencyNs]) => ({ atMs: Number(atMs), latencyUs: Number(latencyNs) / 1000 }));
  for (const kind of ['clat', 'lat', 'slat']) await rm(`${log}_${kind}.1.log`, { force: true });
  return completions;
}
