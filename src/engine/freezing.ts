/**
 * Cuts of volumes whose filesystems are frozen: what a cut shows needs no recovery then.
 *
 *   1. a note says which filesystems are about to be frozen
 *   2. the freezer (freezer.ts, a process of its own) freezes all of them, or none
 *   3. the cut is made
 *   4. the freezer thaws them, whatever came of the cut; the note goes away
 *
 * They are thawed whatever dies: by the freezer when the engine is gone or takes too long, and after the death of both by
 * the next engine, which finds the note. A volume that no filesystem is mounted from needs no freezing.
 *
 * The mounts that count are those of kubelet and its pods, which may be in another mount namespace: a device's mount is
 * looked for in our own one first, then in those of all processes that can be seen.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { Turns } from '../base/turns.ts';
import { type Mount, mounts, parseMount } from '../sys/mount.ts';
import { sequenceOf } from './loop-devices.ts';
import { notePrefixOf } from './run-dir.ts';

/** `device`: 'major:minor'. */
export type FrozenPlace = { path: string; device: string };
export type FromFreezer =
  | { kind: 'frozen' }
  | { kind: 'thawed'; expired: boolean }
  | { kind: 'failed'; error: string };

/** How long filesystems stay frozen at most. */
const FROZEN_MS = 15_000;
/** How long freezing may take: what is dirty is written back first. */
const FREEZE_MS = 60_000;

const self = fileURLToPath(import.meta.url);
/** It has this file's ending: .ts in the sources, .js when compiled. */
const FREEZER = path.join(path.dirname(self), `freezer${path.extname(self)}`);

export type FrozenDevice = { id: number; name: string; device: string };
/** `device`: '/dev/loopN'; its sequence number tells whether it is still the one that was frozen. */
type Note = { device: string; sequence: string }[];

export class Freezing {
  private readonly runDir: string;
  private readonly prefix: string;
  private readonly turns = new Turns<number>();
  private notes = 0;

  constructor(mountDir: string) {
    this.runDir = path.dirname(mountDir);
    this.prefix = notePrefixOf(mountDir);
  }

  /** Runs the cut while the filesystems on the volumes' devices are frozen. `whole`: they were until it had ended. */
  async during<Result>(
    volumes: FrozenDevice[],
    cut: () => Promise<Result>,
  ): Promise<{ result: Result; whole: boolean }> {
    return this.turns.take(
      volumes.map(({ id }) => id),
      async () => {
        const places = await Promise.all(volumes.map(({ device }) => placeOf(device)));
        const mounted = volumes.filter((_, i) => places[i] !== undefined);
        if (mounted.length === 0) return { result: await cut(), whole: true };
        const note = this.write(mounted);
        try {
          const freezer = await Freezer.freeze(places.filter((place) => place !== undefined));
          let result: Result;
          let whole = false;
          try {
            result = await cut();
          } finally {
            whole = await freezer.thaw();
          }
          return { result, whole };
        } finally {
          rmSync(note, { force: true });
        }
      },
    );
  }

  /** What a former engine froze, and nobody thawed. Host I/O must be served already. */
  async thawLeftovers(): Promise<void> {
    for (const name of this.leftovers()) {
      const file = path.join(this.runDir, name);
      const devices = (JSON.parse(readFileSync(file, 'utf8')) as Note).filter(
        ({ device, sequence }) => sequenceOf(device) === sequence,
      );
      const found = await Promise.all(devices.map(({ device }) => placeOf(device)));
      const places = found.filter((place) => place !== undefined);
      log.warn('an engine died while filesystems were frozen: they are thawed', { places });
      await Freezer.thawAll(places);
      rmSync(file, { force: true });
    }
  }

  private leftovers(): string[] {
    return readdirSync(this.runDir).filter((name) => name.startsWith(this.prefix) && !name.endsWith('.new'));
  }

  private write(devices: FrozenDevice[]): string {
    this.notes += 1;
    const file = path.join(this.runDir, `${this.prefix}${process.pid}-${this.notes}`);
    const note: Note = devices.map(({ device }) => ({ device, sequence: sequenceOf(device) }));
    // It is there whole or not at all.
    writeFileSync(`${file}.new`, JSON.stringify(note), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    return file;
  }
}

class Freezer {
  private readonly process;
  private readonly lines: AsyncIterator<string>;

  private constructor(mode: 'freeze' | 'thaw', places: FrozenPlace[]) {
    const args = [...process.execArgv, FREEZER, mode, JSON.stringify(places), String(FROZEN_MS + FREEZE_MS)];
    this.process = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    // It may have ended by itself, and then has told why.
    this.process.stdin.on('error', (error) => log.debug('freezer has ended', { error: error.message }));
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** All of them or none. */
  static async freeze(places: FrozenPlace[]): Promise<Freezer> {
    const freezer = new Freezer('freeze', places);
    const message = await freezer.next(FREEZE_MS);
    if (message?.kind === 'frozen') {
      freezer.limit();
      return freezer;
    }
    freezer.process.stdin.end();
    const why =
      message === undefined ? 'it took too long' : message.kind === 'failed' ? message.error : 'it ended';
    throw new FlashCopyError(
      'WrongState',
      `The filesystem could not be frozen: ${why}. Nothing was cut. Ask again, or without freezing.`,
    );
  }

  static async thawAll(places: FrozenPlace[]): Promise<void> {
    const message = await new Freezer('thaw', places).next(FREEZE_MS);
    if (message?.kind !== 'thawed') log.error('could not thaw', { places, message });
  }

  private timer: NodeJS.Timeout | undefined;
  private late = false;

  private limit(): void {
    this.timer = setTimeout(() => {
      this.late = true;
      log.warn('filesystems were frozen for too long and are thawed', { limitMs: FROZEN_MS });
      this.process.stdin.end();
    }, FROZEN_MS);
  }

  /** Whether they were frozen until now. */
  async thaw(): Promise<boolean> {
    clearTimeout(this.timer);
    this.process.stdin.end();
    const message = await this.next(FREEZE_MS);
    if (message?.kind !== 'thawed') log.error('thawing did not end well', { message });
    return message?.kind === 'thawed' && !message.expired && !this.late;
  }

  /** Undefined: it says nothing in time, or has ended. */
  private async next(timeoutMs: number): Promise<FromFreezer | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), timeoutMs);
    });
    const line = await Promise.race([this.lines.next(), late]);
    clearTimeout(timer);
    return line === undefined || line.done ? undefined : (JSON.parse(line.value) as FromFreezer);
  }
}

/** A directory of the filesystem on the device; undefined when none is mounted from it. */
async function placeOf(device: string): Promise<FrozenPlace | undefined> {
  const number = (await readFile(`/sys/block/${path.basename(device)}/dev`, 'utf8')).trim();
  const own = directoryOf(mounts(), number);
  if (own !== undefined) return { path: own, device: number };
  const seen = new Set<string>();
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    try {
      const namespace = await readlink(`/proc/${pid}/ns/mnt`);
      if (seen.has(namespace)) continue;
      seen.add(namespace);
      const text = await readFile(`/proc/${pid}/mountinfo`, 'utf8');
      const directory = directoryOf(text.trimEnd().split('\n').map(parseMount), number);
      if (directory !== undefined) return { path: `/proc/${pid}/root${directory}`, device: number };
    } catch (error) {
      // The process has ended meanwhile, or is not ours to look at.
      if (
        !['ENOENT', 'ESRCH', 'EINVAL', 'EACCES', 'EPERM'].includes(
          (error as NodeJS.ErrnoException).code ?? '',
        )
      )
        throw error;
    }
  }
  return undefined;
}

const directoryOf = (all: readonly Mount[], number: string): string | undefined =>
  all.find((mount) => mount.device === number)?.directory;
