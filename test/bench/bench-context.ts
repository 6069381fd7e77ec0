/**
 * What every part of the benchmark is given: where to work, how long to measure, and the peers' devices.
 */
import type { Cleanup } from '../support/cleanup.ts';
import { type FioJob, type FioResult, fio } from '../support/fio.ts';
import type { Standalone } from '../support/standalone.ts';
import type { Table, Verdict } from './figures.ts';

export type BenchOptions = {
  /** Of one window of fio. */
  seconds: number;
  /** Windows of each figure, whose median it is. */
  rounds: number;
  sizeBytes: number;
  /** Cuts under load, for each size of volume. */
  cuts: number;
  /** Also with as many volumes as a node may have. */
  full: boolean;
};

export const csiSocketIn = (directory: string): string => `${directory}/csi.sock`;

export class Bench {
  readonly options: BenchOptions;
  readonly directory: string;
  readonly cleanup: Cleanup;
  /** Undefined: only the peers are measured. */
  readonly ours: Standalone | undefined;
  /** Where it serves CSI. */
  readonly csiSocket: string;
  readonly verdicts: Verdict[] = [];
  readonly tables: Table[] = [];

  constructor(options: BenchOptions, directory: string, cleanup: Cleanup, ours: Standalone | undefined) {
    this.options = options;
    this.directory = directory;
    this.cleanup = cleanup;
    this.ours = ours;
    this.csiSocket = csiSocketIn(directory);
  }

  /** One line about what is being measured. */
  tell(text: string): void {
    console.log(text);
  }

  /** One window of a workload over the whole of a device. */
  window(file: string, workload: Workload): Promise<FioResult> {
    const { pattern, blockBytes, depth } = workload;
    const { sizeBytes: rangeBytes, seconds } = this.options;
    return fio({ file, pattern, blockBytes, depth, rangeBytes, seconds });
  }

  /** Writes it from end to end, so that overwriting is measured and not the first allocation. */
  async fill(file: string): Promise<void> {
    const { pattern, blockBytes, depth } = sequentialWrite;
    await fio({ file, pattern, blockBytes, depth, rangeBytes: this.options.sizeBytes });
  }
}

export type Workload = Pick<FioJob, 'pattern' | 'blockBytes' | 'depth'> & { what: string };

const KiB = 1024;
export const randomRead1: Workload = {
  what: 'random read 4k QD1',
  pattern: 'randread',
  blockBytes: 4 * KiB,
  depth: 1,
};
export const randomWrite1: Workload = {
  what: 'random write 4k QD1',
  pattern: 'randwrite',
  blockBytes: 4 * KiB,
  depth: 1,
};
export const randomRead32: Workload = {
  what: 'random read 4k QD32',
  pattern: 'randread',
  blockBytes: 4 * KiB,
  depth: 32,
};
export const randomWrite32: Workload = {
  what: 'random write 4k QD32',
  pattern: 'randwrite',
  blockBytes: 4 * KiB,
  depth: 32,
};
export const sequentialRead: Workload = {
  what: 'sequential read 1M QD4',
  pattern: 'read',
  blockBytes: 1024 * KiB,
  depth: 4,
};
export const sequentialWrite: Workload = {
  what: 'sequential write 1M QD4',
  pattern: 'write',
  blockBytes: 1024 * KiB,
  depth: 4,
};
