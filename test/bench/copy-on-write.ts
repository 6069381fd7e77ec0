/**
 * What a snapshot costs the writer while it fills: random 4k writes right after a cut, against QEMU's filter with an
 * empty target, and with many older snapshots on the volume.
 */
import { randomInt } from 'node:crypto';
import { GiB, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { type Bench, randomWrite32 } from './bench-context.ts';
import { count, judge, median, times } from './figures.ts';
import { untilNothingRetired } from './ours.ts';
import { qemuCopyBeforeWrite } from './peers.ts';

type Writer = { name: string; rate: () => Promise<number> };

export async function measureCopyOnWrite(bench: Bench, plainFile: string): Promise<void> {
  const writers: Writer[] = [{ name: 'QEMU copy-before-write', rate: () => qemuRate(bench, plainFile) }];
  const volumes: string[] = [];
  for (const snapshots of bench.ours ? [1, 16, 256] : []) {
    const volume = await volumeWithHistory(bench, snapshots - 1);
    volumes.push(volume.name);
    const name = `flashcopy, ${snapshots} ${snapshots === 1 ? 'snapshot' : 'snapshots'}`;
    writers.push({ name, rate: () => ourRate(bench, volume) });
  }

  const windows = writers.map((): number[] => []);
  for (let round = 0; round < bench.options.rounds; round++) {
    for (const [at, writer] of writers.entries()) windows[at]!.push(await writer.rate());
  }
  const medians = windows.map(median);
  bench.tell(`  ${writers.map(({ name }, at) => `${name} ${count(medians[at]!)}`).join(', ')}`);
  bench.tables.push({
    title: 'Random 4k writes QD32 while a fresh snapshot fills',
    note: `Writes a second in the first ${bench.options.seconds} s after the cut.`,
    columns: writers.map(({ name }) => name),
    rows: [medians.map(count)],
  });
  if (!bench.ours) return;
  const [qemu, one, sixteen, many] = medians as [number, number, number, number];
  bench.verdicts.push(
    judge('writes while a snapshot fills, of QEMU copy-before-write', one / qemu, { least: 2.5 }, times),
    judge('the same with 16 snapshots, of one', sixteen / one, { least: 0.9 }),
    judge('the same with 256 snapshots, of one', many / one, { least: 0.9 }),
  );
  for (const volume of volumes) await removeVolume(bench, volume);
}

async function qemuRate(bench: Bench, plainFile: string): Promise<number> {
  const peer = await qemuCopyBeforeWrite(bench, plainFile);
  const { iops } = await bench.window(peer.device, randomWrite32);
  await peer.stop();
  return iops;
}

type Volume = { name: string; device: string };

/** With older snapshots, each of which holds a few grains of its own. */
async function volumeWithHistory(bench: Bench, snapshots: number): Promise<Volume> {
  const { engine } = bench.ours!;
  const name = `history-${snapshots}`;
  const { sizeBytes } = bench.options;
  await engine.createVolume({ name, sizeBytes });
  const device = await engine.attachVolume(name);
  await bench.fill(device);
  await withDirectFile(device, 'write', async (file) => {
    for (let at = 0; at < snapshots; at++) {
      await engine.createSnapshots([{ name: `${name}-${at}`, source: name }]);
      for (let write = 0; write < 8; write++) {
        await file.write(
          randomInt(Math.min(sizeBytes, 64 * GiB) / SECTOR) * SECTOR,
          tagSector(`${at}.${write}`),
        );
      }
    }
  });
  return { name, device };
}

async function ourRate(bench: Bench, volume: Volume): Promise<number> {
  const { engine } = bench.ours!;
  const fresh = `${volume.name}-fresh`;
  await engine.createSnapshots([{ name: fresh, source: volume.name }]);
  const { iops } = await bench.window(volume.device, randomWrite32);
  await engine.deleteSnapshot(fresh);
  await untilNothingRetired(engine);
  return iops;
}

async function removeVolume(bench: Bench, name: string): Promise<void> {
  const { engine } = bench.ours!;
  await engine.detachVolume(name);
  for (const volume of await engine.listVolumes()) {
    if (volume.kind === 'snapshot' && volume.name.startsWith(`${name}-`))
      await engine.deleteSnapshot(volume.name);
  }
  await engine.deleteVolume(name);
  await untilNothingRetired(engine);
}
