/**
 * Cuts of volumes whose filesystems are frozen: what a cut shows needs no recovery then.
 *
 *   1. a note says which filesystems are about to be frozen
 *   2. the freezer (freezer.ts, a process of its own) freezes all of them, or none
 *   3. the cut is made
 *   4. the freezer thaws them, whatever came of the cut; the note goes away when they are thawed
 *
 * They are thawed whatever dies: by the freezer when the engine is gone or takes too long, by another one when the freezer
 * is gone, and after the death of both by the next engine, which finds the note. A volume that no filesystem is mounted
 * from needs no freezing. One that somebody has for himself all the same (a filesystem on LVM or LUKS on top of it, btrfs) cannot be
 * frozen from here: nothing is cut, for what that shows would need recovery.
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
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { Turns } from '../base/turns.ts';
import { type Mount, mounts, parseMount } from '../sys/mount.ts';
import { claimOn } from './device-users.ts';
import { sequenceOf } from './loop-devices.ts';
import { notePrefixOf } from './run-dir.ts';

/** `device`: 'major:minor'. */
export type FrozenPlace = { path: string; device: string };
/** `failed`: nothing is frozen. `stuck`: something may be. */
export type FromFreezer =
  | { kind: 'frozen' }
  | { kind: 'thawed'; expired: boolean }
  | { kind: 'failed' | 'stuck'; error: string };

/** How long filesystems stay frozen at most. */
const FROZEN_MS = 15_000;
/** How long freezing may take: what is dirty is written back first. */
const FREEZE_MS = 60_000;
/** How often, and after which pauses, it is tried to thaw what a freezer left. Then the next engine does it. */
const THAW_TRIES = 3;
const THAW_PAUSE_MS = 1000;

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
        for (const { name, device } of volumes) {
          const claim = mounted.some((each) => each.device === device) ? undefined : await claimOn(device);
          if (claim !== undefined) throw notFrozen(`volume ${name}: ${claim}`);
        }
        if (mounted.length === 0) return { result: await cut(), whole: true };
        const note = this.write(mounted);
        const frozen = places.filter((place) => place !== undefined);
        return this.whileFrozen(await this.freeze(frozen, note), note, cut);
      },
    );
  }

  /** All of them or none. */
  private async freeze(places: FrozenPlace[], note: string): Promise<Freezer> {
    const freezer = new Freezer('freeze', places);
    const message = await freezer.next(FREEZE_MS);
    if (message?.kind === 'frozen') return freezer;
    if (message?.kind === 'failed') rmSync(note, { force: true });
    else await this.thaw(freezer, note);
    const why = message?.kind === 'failed' ? message.error : 'the freezer ended, or took too long';
    throw notFrozen(why);
  }

  private async whileFrozen<Result>(
    freezer: Freezer,
    note: string,
    cut: () => Promise<Result>,
  ): Promise<{ result: Result; whole: boolean }> {
    let late = false;
    let thawed: Promise<boolean> | undefined;
    const thaw = () => {
      thawed ??= this.thaw(freezer, note);
      return thawed;
    };
    const limit = setTimeout(() => {
      late = true;
      log.warn('filesystems were frozen for too long and are thawed', { limitMs: FROZEN_MS });
      void thaw();
    }, FROZEN_MS);
    let result: Result;
    let whole = false;
    try {
      result = await cut();
    } finally {
      clearTimeout(limit);
      whole = (await thaw()) && !late;
    }
    return { result, whole };
  }

  /** By another process if that one does not. Whether they were frozen until now. */
  private async thaw(freezer: Freezer, note: string): Promise<boolean> {
    const message = await freezer.end();
    if (message?.kind !== 'thawed') {
      log.error('the freezer did not thaw', { message });
      await this.thawNoted(note);
      return false;
    }
    rmSync(note, { force: true });
    return !message.expired;
  }

  /** What a former engine froze, and nobody thawed. Host I/O must be served already. */
  async thawLeftovers(): Promise<void> {
    for (const name of this.leftovers()) await this.thawNoted(path.join(this.runDir, name));
  }

  /** The note stays until that is done. Never fails. */
  private async thawNoted(note: string): Promise<void> {
    for (let tries = 1; tries <= THAW_TRIES; tries++) {
      if (tries > 1) await sleep(THAW_PAUSE_MS);
      try {
        const devices = (JSON.parse(readFileSync(note, 'utf8')) as Note).filter(
          ({ device, sequence }) => sequenceOf(device) === sequence,
        );
        const found = await Promise.all(devices.map(({ device }) => placeOf(device)));
        const places = found.filter((place) => place !== undefined);
        log.warn('nobody thawed filesystems that were frozen: they are thawed', { places });
        if (await Freezer.thawAll(places)) {
          rmSync(note, { force: true });
          return;
        }
      } catch (error) {
        log.error('could not thaw', { note, error: (error as Error).stack });
      }
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

const notFrozen = (why: string): FlashCopyError =>
  new FlashCopyError(
    'WrongState',
    `The filesystem could not be frozen: ${why}. Nothing was cut. Ask again, or without freezing.`,
  );

class Freezer {
  private readonly process;
  private readonly lines: AsyncIterator<string>;

  constructor(mode: 'freeze' | 'thaw', places: FrozenPlace[]) {
    const args = [...process.execArgv, FREEZER, mode, JSON.stringify(places), String(FROZEN_MS + FREEZE_MS)];
    this.process = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    this.process.on('error', (error) => log.error('no freezer could be started', { error: error.message }));
    // It may have ended by itself, and then has told why.
    this.process.stdin.on('error', (error) => log.debug('freezer has ended', { error: error.message }));
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  static async thawAll(places: FrozenPlace[]): Promise<boolean> {
    const message = await new Freezer('thaw', places).next(FREEZE_MS);
    if (message?.kind !== 'thawed') log.error('could not thaw', { places, message });
    return message?.kind === 'thawed';
  }

  /** It thaws, if it can. */
  end(): Promise<FromFreezer | undefined> {
    this.process.stdin.end();
    return this.next(FREEZE_MS);
  }

  /** Undefined: it says nothing in time, or has ended. */
  async next(timeoutMs: number): Promise<FromFreezer | undefined> {
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
