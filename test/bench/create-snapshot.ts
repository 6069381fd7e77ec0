/**
 * CreateSnapshot as Kubernetes sees it: from the call on the CSI socket until its answer, under full write load, on a
 * small volume and on a huge one, with one snapshot there and with many.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CsiClient } from '../support/csi-suite.ts';
import { GiB, TiB } from '../support/disks.ts';
import { Fio } from '../support/fio.ts';
import { type Bench, randomWrite32 } from './bench-context.ts';
import { judge, percentile, seconds } from './figures.ts';
import { timeMs, untilNothingRetired } from './ours.ts';

const BETWEEN_MS = 100;
/** All load goes to the first part of the volume, so that the sizes differ in nothing else. */
const RANGE_BYTES = GiB;
const MANY = 256;
const PROMISED_MS = 50;

export async function measureCreateSnapshot(bench: Bench): Promise<void> {
  if (!bench.ours) return;
  const csi = new CsiClient(bench.csiSocket);
  await csi.untilReady();
  const rows: string[][] = [];
  for (const [size, sizeBytes] of [['1 GiB', GiB], ['1 TiB', TiB]] as const) {
    for (const kept of [1, MANY]) {
      const times = await underLoad(bench, csi, sizeBytes, kept);
      const what = `${size}, ${kept} ${kept === 1 ? 'snapshot' : 'snapshots'}`;
      const p99 = percentile(times, 99);
      rows.push([what, ...[50, 99, 100].map((p) => seconds(percentile(times, p)))]);
      bench.tell(`  ${what}: p99 ${seconds(p99)}`);
      bench.verdicts.push(judge(`p99 of CreateSnapshot, ${what}`, p99, { most: PROMISED_MS }, seconds));
    }
  } // biome-ignore format: a table
  csi.close();
  bench.tables.push({
    title: 'CreateSnapshot under full write load',
    note: `${bench.options.cuts} calls each, over gRPC, beside random 4k writes QD32; the oldest snapshot is deleted after each.`,
    columns: ['', 'p50', 'p99', 'max'],
    rows,
  });
}

/** How long each call took, milliseconds. The volume has `kept` snapshots all the time. */
async function underLoad(bench: Bench, csi: CsiClient, sizeBytes: number, kept: number): Promise<number[]> {
  const { engine } = bench.ours!;
  const { volumeId } = await csi.createVolume({ name: 'snapshots', capacityRange: { requiredBytes: GiB } });
  const name = `#${volumeId.split('/').at(-1)}`;
  // Through CSI no volume becomes larger than its pool.
  if (sizeBytes > GiB) await engine.growVolume(name, sizeBytes);
  const device = await engine.attachVolume(name);
  const load = { file: device, ...randomWrite32, rangeBytes: RANGE_BYTES };
  // Overwriting is what is measured, not the first allocation.
  await new Fio({ ...load, pattern: 'write', blockBytes: 1 << 20, depth: 4 }).done;
  const snapshots: string[] = [];
  const take = async () => {
    const { snapshotId } = await csi.createSnapshot(volumeId, `snapshot-${snapshots.length}`);
    snapshots.push(snapshotId);
  };
  for (let at = 0; at < kept; at++) await take();

  const writer = new Fio({ ...load, seconds: 600 });
  await sleep(1000);
  const times: number[] = [];
  for (let at = 0; at < bench.options.cuts; at++) {
    times.push(await timeMs(take));
    await csi.deleteSnapshot(snapshots[at]!);
    await sleep(BETWEEN_MS);
  }
  await writer.stop();

  await engine.detachVolume(name);
  for (const id of snapshots.slice(bench.options.cuts)) await csi.deleteSnapshot(id);
  await csi.deleteVolume(volumeId);
  await untilNothingRetired(engine);
  return times;
}
