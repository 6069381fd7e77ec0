/**
 * What a volume without mappings costs: the route through FUSE and the engine, against the same route in C, against
 * QEMU's, and against the bare loop device.
 */
import {
  type Bench,
  randomRead1,
  randomRead32,
  randomWrite1,
  randomWrite32,
  sequentialRead,
  sequentialWrite,
  type Workload,
} from './bench-context.ts';
import { count, judge, median, times } from './figures.ts';
import type { Peer } from './peers.ts';

const workloads: Workload[] = [
  randomRead1,
  randomWrite1,
  randomRead32,
  randomWrite32,
  sequentialRead,
  sequentialWrite,
];

/** Those that the targets speak of; queue depth 1 measures the latency of waking up. */
const judged = [randomRead32, randomWrite32, sequentialRead, sequentialWrite];

export async function measureDataPath(bench: Bench, peers: Peer[]): Promise<void> {
  const figures = new Map<Workload, number[]>();
  for (const workload of workloads) {
    const windows = peers.map((): number[] => []);
    for (let round = 0; round < bench.options.rounds; round++) {
      for (const [at, peer] of peers.entries()) {
        const { iops, bytesPerSecond } = await bench.window(peer.device, workload);
        windows[at]!.push(isSequential(workload) ? bytesPerSecond / 1e6 : iops);
      }
    }
    const medians = windows.map(median);
    figures.set(workload, medians);
    bench.tell(
      `  ${workload.what}: ${peers.map(({ name }, at) => `${name} ${count(medians[at]!)}`).join(', ')}`,
    );
  }
  bench.tables.push({
    title: 'A volume without mappings',
    note: 'Random: operations a second. Sequential: MB/s.',
    columns: ['workload', ...peers.map(({ name }) => name)],
    rows: workloads.map((workload) => [workload.what, ...figures.get(workload)!.map(count)]),
  });
  judgeDataPath(bench, peers, figures);
}

function judgeDataPath(bench: Bench, peers: Peer[], figures: Map<Workload, number[]>): void {
  const of = (workload: Workload, name: string): number =>
    figures.get(workload)![peers.findIndex((peer) => peer.name === name)] ?? Number.NaN;
  if (!bench.ours) return;
  for (const workload of judged) {
    const ours = of(workload, 'flashcopy');
    bench.verdicts.push(
      judge(`${workload.what}, of the C FUSE server`, ours / of(workload, 'C FUSE server'), { least: 0.95 }),
      judge(
        `${workload.what}, of QEMU's FUSE export`,
        ours / of(workload, 'QEMU FUSE export'),
        { least: 1.3 },
        times,
      ),
    );
  }
}

const isSequential = (workload: Workload): boolean =>
  workload === sequentialRead || workload === sequentialWrite;
