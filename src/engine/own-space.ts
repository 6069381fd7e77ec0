/**
 * Space that a pool counts on, whatever others take: that of the log, of the reserve, of the catalog, and of thick volumes.
 *
 * They are made with it, and can lose it: a pool that is moved as a sparse copy has holes, and one of which a reflink is made
 * (`cp` on XFS) shares its blocks with that, so that each overwrite needs new ones. A log that then meets a full disk fails all
 * writes that need it. So each start of an engine looks at what has no space of its own, and takes it.
 *
 *   reserve, catalog.db    before the catalog is opened (SQLite's locks end when anybody of its process closes the file)
 *   log                    the same; where host I/O waits for this engine, beside it, first
 *   thick volumes          beside host I/O: a piece at a time, each for as long as it keeps that file's I/O waiting
 *
 * O1  No content changes: a death in the midst, or a failure, leaves less to be done.
 * O2  Nothing is taken for a file for which there is too little, and a thick one leaves what thick ones always leave. That
 *     is no reason not to start: the pool warns.
 */
import fs from 'node:fs';
import path from 'node:path';
import { ENOSPC, errnoName, IoError } from '../base/errors.ts';
import { sizeText, THICK_LEAVES_BYTES } from '../base/fullness.ts';
import { log } from '../base/log.ts';
import type { VolumeRow } from '../core/rows.ts';
import { dataFile, fileSize } from '../core/volume.ts';
import { countWithoutSpace, type Range, rangesWithoutSpace } from '../sys/extents.ts';
import { fallocate, fallocateBeside } from '../sys/libc.ts';
import type { CatalogRow } from './messages.ts';
import { freeBytes } from './space.ts';

/** Shared blocks are read and written while the file is locked, and the data thread waits for that lock when it opens the file. */
const PIECE_BYTES = 1024 * 1024;
const KEEP_SIZE = 0x01;
const UNSHARE_RANGE = 0x40;
const EOPNOTSUPP = 95;
/** In one warning. */
const NAMES_MAX = 3;
/** They are small, and nothing can be deleted without them. */
const FIXED = ['catalog.db', 'reserve'];
const LOG = 'log';

type Piece = Range & { mode: number };
/** What a file has not got, and why. */
type Shortage = { bytes: number; why: string };
/** Yields what is to be allocated, goes on with 0 or the errno of that; null: one look at the map of the file was taken. */
type Steps = Generator<Piece | null, Shortage | null, number>;

export class OwnSpace {
  readonly warnings: string[] = [];
  private readonly poolDir: string;
  private readonly hostWaits: boolean;
  private thick: VolumeRow[] = [];
  private stopped = false;

  constructor(poolDir: string, hostWaits: boolean) {
    this.poolDir = poolDir;
    this.hostWaits = hostWaits;
  }

  /** Nothing of the pool is in use yet. */
  takeFixed(): this {
    for (const name of this.hostWaits ? FIXED : [...FIXED, LOG]) {
      const file = path.join(this.poolDir, name);
      try {
        if (!fs.existsSync(file)) continue;
        const fd = fs.openSync(file, 'r+');
        try {
          this.note(name, atOnce(fd, file, this.steps(fd, file, fs.fstatSync(fd).size, 0)));
        } finally {
          fs.closeSync(fd);
        }
      } catch (error) {
        this.note(name, { bytes: 0, why: (error as Error).message });
      }
    }
    return this;
  }

  /** What `takeBeside` is to look at. */
  countsOn(rows: readonly CatalogRow[]): void {
    const volumes = rows.filter(({ table }) => table === 'volume').map(({ row }) => row as VolumeRow);
    this.thick = volumes.filter(({ provisioning, retired }) => provisioning === 'thick' && !retired);
  }

  /** Beside all else; ends early when the engine stops. */
  async takeBeside(): Promise<void> {
    if (this.hostWaits) this.note(LOG, await this.takeOne(LOG, Number.POSITIVE_INFINITY, 0));
    await this.takeThick();
  }

  stop(): void {
    this.stopped = true;
  }

  private async takeThick(): Promise<void> {
    const short: (Shortage & { name: string })[] = [];
    for (const volume of this.thick) {
      const { name, file } = volume;
      const shortage = await this.takeOne(dataFile(file).path, fileSize(volume), THICK_LEAVES_BYTES);
      if (this.stopped) return;
      if (shortage !== null) short.push({ ...shortage, name });
    }
    if (short.length === 0) return;
    const names = short.slice(0, NAMES_MAX).map(({ name }) => name);
    if (short.length > NAMES_MAX) names.push(`${short.length - NAMES_MAX} more`);
    const bytes = short.reduce((sum, each) => sum + each.bytes, 0);
    this.note(`the thick volumes ${names.join(', ')}`, { bytes, why: short[0]!.why });
  }

  private takeOne(name: string, bytes: number, leavesBytes: number): Promise<Shortage | null> {
    return this.takeOf(path.join(this.poolDir, name), bytes, leavesBytes).catch((error: Error) => ({
      bytes: 0,
      why: error.message,
    }));
  }

  /** Of the first `bytes` of the file. */
  private async takeOf(file: string, bytes: number, leavesBytes: number): Promise<Shortage | null> {
    if (this.stopped || !fs.existsSync(file)) return null;
    // Closed outside this thread: who is the last to close a file that was removed frees its space.
    const handle = await fs.promises.open(file, 'r+');
    try {
      const size = Math.min(bytes, (await handle.stat()).size);
      const steps = this.steps(handle.fd, file, size, leavesBytes);
      let step = steps.next(0);
      while (!step.done) {
        // Each look ends with this one, in which others have their turn: a file may have a million extents.
        if (this.stopped || (await handle.stat()).nlink === 0) return null;
        const piece = step.value;
        const errno =
          piece === null ? 0 : await fallocateBeside(handle.fd, piece.mode, piece.offset, piece.length);
        step = steps.next(errno);
      }
      return step.value;
    } finally {
      await handle.close();
    }
  }

  private *steps(fd: number, file: string, size: number, leavesBytes: number): Steps {
    const missing = yield* countWithoutSpace(fd, size, file);
    if (missing === 0) return null;
    const fits = (bytes: number): boolean => bytes + leavesBytes <= freeBytes(this.poolDir);
    if (!fits(missing)) return { bytes: missing, why: errnoName(ENOSPC) };
    log.info('space is taken that a file has not got of its own', { file, bytes: missing });
    const errno = yield* this.take(piecesOf(rangesWithoutSpace(fd, size, file)), (bytes) =>
      fits(Math.min(bytes, missing)),
    );
    const left = yield* countWithoutSpace(fd, size, file);
    return errno === 0 && left === 0 ? null : { bytes: left, why: errnoName(errno || EOPNOTSUPP) };
  }

  /** 0, or the errno of what was not to be had. */
  private *take(
    pieces: Iterable<Range | null>,
    fits: (bytes: number) => boolean,
  ): Generator<Piece | null, number, number> {
    let mode = UNSHARE_RANGE | KEEP_SIZE;
    for (const range of pieces) {
      if (range === null) {
        yield null;
        continue;
      }
      if (!fits(range.length)) return ENOSPC;
      let errno = yield { ...range, mode };
      if (errno === EOPNOTSUPP && mode !== KEEP_SIZE) {
        // Where there are no reflinks, there are holes at most.
        mode = KEEP_SIZE;
        errno = yield { ...range, mode };
      }
      if (errno !== 0) return errno;
    }
    return 0;
  }

  private note(what: string, shortage: Shortage | null): void {
    if (shortage === null) return;
    const { bytes, why } = shortage;
    log.warn('space that the pool counts on is not there', { file: what, bytes, error: why });
    this.warnings.push(
      `Of ${what} ${sizeText(bytes)} have no space of their own, and none could be taken (${why}): on a full disk writes to ` +
        'that fail. It comes of a sparse copy, or of one that shares its blocks. Free space, then start the engine again.',
    );
  }
}

function atOnce(fd: number, file: string, steps: Steps): Shortage | null {
  let step = steps.next(0);
  while (!step.done) step = steps.next(step.value === null ? 0 : errnoOfAllocation(fd, step.value, file));
  return step.value;
}

function errnoOfAllocation(fd: number, { mode, offset, length }: Piece, file: string): number {
  try {
    fallocate(fd, mode, offset, length, file);
    return 0;
  } catch (error) {
    if (error instanceof IoError) return error.errno;
    throw error;
  }
}

function* piecesOf(ranges: Iterable<Range | null>): Generator<Range | null> {
  for (const range of ranges) {
    if (range === null) yield null;
    else
      for (let at = 0; at < range.length; at += PIECE_BYTES)
        yield { offset: range.offset + at, length: Math.min(PIECE_BYTES, range.length - at) };
  }
}
