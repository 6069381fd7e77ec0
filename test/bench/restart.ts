/**
 * How long I/O waits when the engine's process is killed: from the kill until a direct read is answered again.
 */
import { randomInt } from 'node:crypto';
import { until } from '../support/commands.ts';
import { DirectFile, GiB, SECTOR } from '../support/disks.ts';
import type { Bench } from './bench-context.ts';
import { judge, median, seconds } from './figures.ts';
import { measureIdle } from './idle.ts';

const VOLUMES_MAX = 300;
/** No more: an engine that dies more often in a row is made to wait before it is started again. */
const KILLS = 3;

export async function measureRestart(bench: Bench): Promise<void> {
  if (!bench.ours) return;
  const rows: string[][] = [];
  for (const volumes of bench.options.full ? [1, VOLUMES_MAX] : [1]) {
    const files = await openVolumes(bench, volumes);
    const first: number[] = [];
    const all: number[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      const times = await restart(bench, files);
      first.push(times.firstMs);
      all.push(times.allMs);
    }
    if (volumes === VOLUMES_MAX) await measureIdle(bench, volumes);
    await removeVolumes(bench, files);
    rows.push([`${volumes}`, seconds(median(first)), seconds(Math.max(...first)), seconds(median(all))]);
    bench.tell(`  ${volumes} volumes: first I/O after ${seconds(median(first))}`);
    const what = `restart of the engine to first I/O, ${volumes} ${volumes === 1 ? 'volume' : 'volumes'}`;
    bench.verdicts.push(judge(what, median(first), { most: 2000 }, seconds));
  }
  bench.tables.push({
    title: 'Restart after kill -9',
    note: `${KILLS} kills; from the kill until a read waits no more.`,
    columns: ['attached volumes', 'first I/O, median', 'first I/O, longest', 'I/O on all, median'],
    rows,
  });
}

const nameOf = (at: number): string => `restart-${at}`;

async function openVolumes(bench: Bench, volumes: number): Promise<DirectFile[]> {
  const { engine } = bench.ours!;
  const files: DirectFile[] = [];
  for (let at = 0; at < volumes; at++) {
    await engine.createVolume({ name: nameOf(at), sizeBytes: GiB });
    files.push(await DirectFile.open(await engine.attachVolume(nameOf(at))));
  }
  return files;
}

async function removeVolumes(bench: Bench, files: DirectFile[]): Promise<void> {
  const { engine } = bench.ours!;
  for (const [at, file] of files.entries()) {
    await file.close();
    await engine.detachVolume(nameOf(at));
    await engine.deleteVolume(nameOf(at));
  }
}

async function restart(bench: Bench, files: DirectFile[]): Promise<{ firstMs: number; allMs: number }> {
  const ours = bench.ours!;
  const start = performance.now();
  const killed = await ours.killChild();
  // A read that comes before the process is gone could still be answered by it.
  await until('the process is gone', () => ours.childPid() !== killed, 5000, 1);
  const read = (file: DirectFile): Promise<Buffer> => file.read(randomInt(GiB / SECTOR) * SECTOR, SECTOR);
  await read(files[0]!);
  const firstMs = performance.now() - start;
  for (const file of files) await read(file);
  const allMs = performance.now() - start;
  await until('the engine answers', () => ours.engine.pool().then(() => true, () => false)); // biome-ignore format: one line
  return { firstMs, allMs };
}
