/**
 * fio: the workloads of tests and benchmarks, and what it measured.
 *
 * Always io_uring and direct I/O: nothing is answered from the page cache.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Cleanup } from './cleanup.ts';
import { CommandFailed } from './commands.ts';

export type FioJob = {
  /** A device, or a file that may not exist yet. */
  file: string;
  pattern: 'randread' | 'randwrite' | 'randrw' | 'read' | 'write';
  blockBytes: number;
  depth: number;
  seconds?: number;
  /** The part of the file that is used, from its beginning. */
  rangeBytes: number;
  /** More of fio's options, by their names: `verify: 'crc32c'`. */
  more?: Record<string, string | number>;
};

export type FioResult = {
  /** Reads and writes together. */
  iops: number;
  bytesPerSecond: number;
  readBytes: number;
  writtenBytes: number;
  /** Completion latencies of writes where there are any, else of reads. */
  p50Us: number;
  p99Us: number;
  maxUs: number;
};

type FioDirection = {
  io_bytes: number;
  bw_bytes: number;
  iops: number;
  total_ios: number;
  clat_ns: { max: number; percentile?: Record<string, number> };
};

export function fioArguments(job: FioJob): string[] {
  const timed = job.seconds === undefined ? {} : { runtime: job.seconds, time_based: 1 };
  const options = {
    name: 'job',
    filename: job.file,
    rw: job.pattern,
    bs: job.blockBytes,
    iodepth: job.depth,
    size: job.rangeBytes,
    ioengine: 'io_uring',
    direct: 1,
    // Another order in every run. A block may come twice: a map of those done would cost memory and time.
    randrepeat: 0,
    // With verify each block is written once; and fio would leave a file behind in the current directory.
    ...(job.more?.['verify'] === undefined ? { norandommap: 1 } : { verify_state_save: 0 }),
    ...timed,
    ...job.more,
  };
  return ['--output-format=json', ...Object.entries(options).map(([name, value]) => `--${name}=${value}`)];
}

/** From fio's JSON. It may be preceded by lines of text, which fio prints when it has something to remark. */
export function parseFio(output: string): FioResult {
  const start = output.search(/^\{$/m);
  if (start < 0) throw new Error(`fio printed no figures: ${output.trim() || 'nothing'}`);
  const report = JSON.parse(output.slice(start)) as {
    jobs: { error: number; read: FioDirection; write: FioDirection }[];
  };
  const { error, read, write } = report.jobs[0]!;
  if (error !== 0) throw new Error(`fio met error ${error}: ${output.slice(0, start).trim()}`);
  const { clat_ns } = write.total_ios > 0 ? write : read;
  const percentileUs = (percent: string): number => (clat_ns.percentile?.[percent] ?? 0) / 1000;
  return {
    iops: read.iops + write.iops,
    bytesPerSecond: read.bw_bytes + write.bw_bytes,
    readBytes: read.io_bytes,
    writtenBytes: write.io_bytes,
    p50Us: percentileUs('50.000000'),
    p99Us: percentileUs('99.000000'),
    maxUs: clat_ns.max / 1000,
  };
}

const program = 'fio';

/** What fio exits with after a SIGINT, if nothing else was wrong. */
const INTERRUPTED = 128;

/** A fio that is running. */
export class Fio {
  /** Throws if anything did not go well: an I/O error, a difference found by `verify`. */
  readonly done: Promise<FioResult>;
  readonly #child: ChildProcess;
  #stopped = false;

  /** With `cleanup` it is ended before what was deferred earlier is undone: before its filesystem is unmounted. */
  constructor(job: FioJob, cleanup?: Cleanup) {
    const args = fioArguments(job);
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    this.done = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => {
        const end = signal ?? status ?? 1;
        if (end === 0 || (end === INTERRUPTED && this.#stopped)) {
          // What a promise's executor throws later would be thrown at nobody.
          Promise.resolve(output).then(parseFio).then(resolve, reject);
          return;
        }
        const remarks = output.slice(0, Math.max(0, output.search(/^\{$/m)));
        reject(new CommandFailed(['fio', ...args], end, errors + remarks));
      });
    });
    // A failure is seen by whoever awaits `done`, later perhaps.
    this.done.catch(() => {});
    cleanup?.defer('end fio', () => this.stop().catch(() => {}));
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Ends it early; it reports what it did until then. */
  async stop(): Promise<FioResult> {
    this.#stopped = true;
    if (this.running) this.#child.kill('SIGINT');
    return this.done;
  }
}

export function fio(job: FioJob): Promise<FioResult> {
  return new Fio(job).done;
}

/** Writes the range in random order, then reads and checks it, again and again until told to stop. */
export class VerifyingWriter {
  readonly #ended: Promise<void>;
  #stopped = false;

  constructor(file: string, rangeBytes: number, cleanup: Cleanup) {
    const job: FioJob = { file, pattern: 'randwrite', blockBytes: 4096, depth: 16, rangeBytes };
    this.#ended = (async (): Promise<void> => {
      do await fio({ ...job, more: { verify: 'crc32c', verify_fatal: 1 } });
      while (!this.#stopped);
    })();
    this.#ended.catch(() => {});
    cleanup.defer('end the verifying fio', () => this.end().catch(() => {}));
  }

  /** After the round that is under way. Throws if anything did not go well in any round. */
  async end(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }
}
