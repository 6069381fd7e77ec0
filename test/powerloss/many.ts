/**
 * Explores histories one after the other, on several threads, until so many states have been looked at.
 */
import { Worker } from 'node:worker_threads';
import type { ExploreReport } from './explore.ts';

export type ManyOptions = {
  states: number;
  /** The first seed; then one after the other. */
  from: number;
  threads: number;
  operations?: number;
  /** Called for each seed. */
  onSeed?: (tally: Tally) => void;
};

export type FromWorker = { seed: number; report: ExploreReport | null; error: string };

export class Tally {
  seeds = 0;
  moments = 0;
  compared = 0;
  readonly kinds = new Map<string, number>();
  readonly depths: number[] = [];
  /** What the first violation of a seed said. */
  readonly violations: string[] = [];

  get states(): number {
    return this.depths.reduce((sum, n) => sum + n, 0);
  }

  add({ seed, report, error }: FromWorker): void {
    this.seeds++;
    if (report === null) {
      this.violations.push(error === '' ? `seed ${seed}` : error);
      return;
    }
    this.moments += report.moments;
    this.compared += report.compared;
    for (const [kind, n] of report.kinds) this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + n);
    report.depths.forEach((n, depth) => {
      this.depths[depth] = (this.depths[depth] ?? 0) + n;
    });
  }

  table(): string {
    const rows: [string, number][] = [
      ...this.kinds,
      ['all kinds', this.states],
      ...this.depths.map((n, depth): [string, number] => [DEPTHS[depth]!, n]),
      ['histories (seeds)', this.seeds],
      ['moments', this.moments],
      ['recoveries compared', this.compared],
      ['violations', this.violations.length],
    ];
    const lines = rows.map(([what, n]) => `| ${what.padEnd(46)} | ${n.toLocaleString('en').padStart(11)} |`);
    return [
      `| ${'different states'.padEnd(46)} | ${' '.repeat(11)} |`,
      `|${'-'.repeat(48)}|${'-'.repeat(12)}:|`,
      ...lines,
    ].join('\n');
  }
}

const DEPTHS = [
  'of these at the first power cut',
  'at a power cut during recovery from one',
  'at a power cut during recovery from that',
];

export async function exploreMany(options: ManyOptions): Promise<Tally> {
  const tally = new Tally();
  let next = options.from;
  const work = (worker: Worker): Promise<void> =>
    new Promise((resolve, reject) => {
      const more = (): void => {
        if (tally.states >= options.states) {
          void worker.terminate().then(() => resolve());
          return;
        }
        worker.postMessage({ seed: next++, operations: options.operations });
      };
      worker.on('error', reject);
      worker.on('message', (message: FromWorker) => {
        tally.add(message);
        options.onSeed?.(tally);
        more();
      });
      more();
    });
  const workers = Array.from({ length: options.threads }, () => {
    return new Worker(new URL('./worker.ts', import.meta.url));
  });
  await Promise.all(workers.map((worker) => work(worker)));
  return tally;
}
