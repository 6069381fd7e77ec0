/**
 * Who writes to a device and keeps account: which write to each sector was acknowledged last. Whatever shows the device
 * at some instant, a snapshot, a copy or the device itself, must show exactly that.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { type DirectFile, readTag, SECTOR, tagSector, withDirectFile } from './disks.ts';

export const SLOTS = 2048;
const WRITERS = 8;

/** Of each slot, the number of its last acknowledged write; 0: none. */
export type Versions = readonly number[];

/** Overwrites random sectors, the first SLOTS of the device. */
export class Accountant {
  readonly #versions = new Array<number>(SLOTS).fill(0);
  readonly #file: DirectFile;
  #stopped = true;
  #workers: Promise<void>[] = [];
  #failure: Error | undefined;
  writes = 0;

  constructor(file: DirectFile) {
    this.#file = file;
  }

  get versions(): Versions {
    return [...this.#versions];
  }

  begin(): void {
    this.#stopped = false;
    // Each has its own slots, so that no two writes to one are under way together.
    this.#workers = Array.from({ length: WRITERS }, (_, worker) =>
      this.#work(worker).catch((error: Error) => {
        this.#failure ??= error;
      }),
    );
  }

  /** When it returns, no write is under way. Throws if one has failed. */
  async pause(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Does it between two writes, and tells what was written before it. */
  async between(act: () => Promise<unknown>): Promise<Versions> {
    await this.pause();
    await act();
    const { versions } = this;
    this.begin();
    return versions;
  }

  async #work(worker: number): Promise<void> {
    while (!this.#stopped) {
      const slot = randomInt(SLOTS / WRITERS) * WRITERS + worker;
      const version = this.#versions[slot]! + 1;
      await this.#file.write(slot * SECTOR, tagSector(`slot ${slot} version ${version}`));
      this.#versions[slot] = version;
      this.writes += 1;
    }
  }
}

export async function assertVersions(device: string, versions: Versions, what: string): Promise<void> {
  await withDirectFile(device, 'read', async (file) => {
    const bytes = await file.read(0, SLOTS * SECTOR);
    const found = versions.map((_, slot) => readTag(bytes.subarray(slot * SECTOR, (slot + 1) * SECTOR)));
    const expected = versions.map((version, slot) =>
      version === 0 ? '' : `slot ${slot} version ${version}`,
    );
    const wrong = found.findIndex((text, slot) => text !== expected[slot]);
    if (wrong >= 0) assert.equal(found[wrong], expected[wrong], `${what}, slot ${wrong}`);
  });
}

/** Reads one sector again and again: how long a host waits at the most. */
export class PauseMeter {
  readonly #file: DirectFile;
  readonly #loop: Promise<void>;
  #stopped = false;
  #longestMs = 0;
  #began = performance.now();

  constructor(file: DirectFile) {
    this.#file = file;
    this.#loop = this.#measure();
    this.#loop.catch(() => {});
  }

  /** Since it was taken last, also of a read that still waits. */
  takeLongestMs(): number {
    const longest = Math.max(this.#longestMs, performance.now() - this.#began);
    this.#longestMs = 0;
    return longest;
  }

  /** Throws if a read has failed. */
  async end(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
  }

  async #measure(): Promise<void> {
    while (!this.#stopped) {
      this.#began = performance.now();
      await this.#file.read(0, SECTOR);
      this.#longestMs = Math.max(this.#longestMs, performance.now() - this.#began);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}
