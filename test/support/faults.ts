/**
 * Faults for an engine that runs with the fault layer (fault-layer.ts): which I/Os on which files of its pool fail, are
 * short or slow. A change counts for I/Os that begin a few milliseconds later.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const FAULTS_ENV = 'FLASHCOPY_TEST_FAULTS';
export const EIO = 5;
export const ENOSPC = 28;

export type FaultyOp = 'read' | 'write' | 'flush' | 'allocate';

export type Fault = {
  op: FaultyOp;
  /** A regular expression on the file's whole path. */
  path: string;
  /** Bytes of the file; everything. Not for flushes. */
  from?: number;
  to?: number;
  /** It fails, without having been done. */
  errno?: number;
  /** No more than so many bytes are moved. */
  short?: number;
  /** Before it is done, or fails. */
  delayMs?: number;
  /** How often; always. */
  times?: number;
};

/** Options of Node.js, and environment, for a program that is to run with the layer. */
export const faultLayer = [`--import=${path.join(import.meta.dirname, 'fault-layer.ts')}`];

export const injectionsOf = (file: string): string => `${file}.injected`;

const SEEN_MS = 30;

export class Faults {
  readonly file: string;
  #injected = 0;

  constructor(directory: string) {
    this.file = path.join(directory, 'faults.json');
  }

  get environment(): NodeJS.ProcessEnv {
    return { [FAULTS_ENV]: this.file };
  }

  /** From when it returns these rules hold, and no others. */
  async set(...faults: Fault[]): Promise<void> {
    this.#injected = this.#lines().length;
    writeFileSync(`${this.file}.new`, JSON.stringify(faults));
    renameSync(`${this.file}.new`, this.file);
    await sleep(SEEN_MS);
  }

  clear(): Promise<void> {
    return this.set();
  }

  /** What was injected since the rules were set: "write 4096 8192 volumes/3". */
  injected(): string[] {
    return this.#lines().slice(this.#injected);
  }

  #lines(): string[] {
    const file = injectionsOf(this.file);
    return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
  }
}
