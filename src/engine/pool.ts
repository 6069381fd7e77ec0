/**
 * A pool directory: what it must offer, what is in it, and who holds it.
 *
 *   engine.lock   locked (flock), as the directory is, by the engine that has the pool, with its pid
 *   catalog.db    the catalog (catalog.ts)
 *   reserve       space for the catalog's commits when there is no other (reserve.ts)
 *   log           the undo log: preallocated, and written once, so that no flush of it has to write metadata
 *   volumes/      <n>.data, one sparse file a volume
 *   bitmaps/      <id>.<generation>
 *
 * Every requirement is tried before anything is made, and a pool that cannot be made leaves nothing behind. What is
 * made is durable before it has its name, so a crash on the way is a pool not yet begun.
 */
import fs from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { LOG_BYTES_MIN } from '../core/undo-log.ts';
import { refuseLoneWal } from './catalog-file.ts';
import { lockPool, type PoolLock } from './pool-lock.ts';
import { checkFilesystem, checkMachine } from './requirements.ts';
import { freeBytes } from './space.ts';

const LOG_BYTES_DEFAULT = 256 * 1024 * 1024;
const LOG_CHUNK_BYTES = 4 * 1024 * 1024;
/** What may be in a directory that becomes a pool: a filesystem's own, and what an interrupted making left. */
const STRANGERS_ALLOWED = new Set([
  'lost+found',
  'engine.lock',
  'log',
  'log.new',
  'volumes',
  'bitmaps',
  'reserve',
]);

export type Pool = {
  /** The directory's real path. */
  readonly dir: string;
  readonly logBytes: number;
  readonly lock: PoolLock;
};

/** Checks, makes what is missing, and locks. The caller releases the lock. */
export function openPool(asked: string, logBytes?: number): Pool {
  checkMachine();
  const made = makeDirectory(path.resolve(asked));
  try {
    const dir = fs.realpathSync(asked);
    checkOurs(dir);
    tryFilesystem(dir);
    const lock = lockPool(dir);
    try {
      return { dir, logBytes: prepare(dir, logBytes), lock };
    } catch (error) {
      lock.release();
      if (made !== undefined) fs.rmSync(dir, { recursive: true });
      throw error;
    }
  } catch (error) {
    if (made !== undefined) removeEmpty(path.resolve(asked), made);
    throw error;
  }
}

/** The topmost directory that had to be made, if any. */
function makeDirectory(dir: string): string | undefined {
  try {
    return fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unsuitable(dir, `it cannot be made (${(error as Error).message})`, 'Choose another directory.');
  }
}

function removeEmpty(dir: string, top: string): void {
  for (let at = dir; at.length >= top.length; at = path.dirname(at)) {
    if (fs.existsSync(at)) fs.rmdirSync(at);
  }
}

/** A directory with files of others is most likely a mistyped one. */
function checkOurs(dir: string): void {
  if (!fs.statSync(dir).isDirectory()) throw unsuitable(dir, 'it is not a directory', 'Choose a directory.');
  refuseLoneWal(path.join(dir, 'catalog.db'));
  const names = fs.readdirSync(dir);
  if (names.includes('catalog.db')) return;
  const strangers = names.filter((name) => !STRANGERS_ALLOWED.has(name) && !name.startsWith('.check.'));
  if (strangers.length === 0) return;
  throw unsuitable(
    dir,
    `it holds files that are no pool's (${strangers.slice(0, 3).join(', ')})`,
    'Choose an empty directory, or one that does not exist.',
  );
}

/** A pool that was made was tried then, and on a full disk it lives on its reserve. */
function tryFilesystem(dir: string): void {
  try {
    checkFilesystem(dir);
  } catch (error) {
    const isFull = error instanceof FlashCopyError && error.code === 'OutOfSpace';
    if (!isFull || !fs.existsSync(path.join(dir, 'catalog.db'))) throw error;
    log.warn('the disk is full: what the pool needs of it is not tried', { pool: dir });
  }
}

/** Makes what a pool consists of, where it is missing. The catalog comes last, by whoever opens it. */
function prepare(dir: string, askedBytes: number | undefined): number {
  const exists = fs.existsSync(path.join(dir, 'catalog.db'));
  const logFile = path.join(dir, 'log');
  const found = fs.statSync(logFile, { throwIfNoEntry: false })?.size;
  for (const name of ['volumes', 'bitmaps'])
    fs.mkdirSync(path.join(dir, name), { recursive: true, mode: 0o700 });
  if (found === undefined) {
    if (exists) throw lostLog(logFile);
    const bytes = checkedLogBytes(dir, askedBytes ?? LOG_BYTES_DEFAULT);
    writeLog(dir, bytes);
    syncDirectory(path.dirname(dir));
    log.info('pool made', { pool: dir, logBytes: bytes });
    return bytes;
  }
  if (askedBytes !== undefined && askedBytes !== found) {
    throw new FlashCopyError(
      'InvalidArgument',
      `A log of ${askedBytes} bytes was asked for, and the pool ${dir} was made with one of ${found}. ` +
        'Its size is fixed when the pool is made: leave --log-size out.',
    );
  }
  return found;
}

function checkedLogBytes(dir: string, bytes: number): number {
  if (bytes < LOG_BYTES_MIN || bytes % 4096 !== 0) {
    throw new FlashCopyError(
      'InvalidArgument',
      `A log of ${bytes} bytes was asked for. It must be a multiple of 4096, at least ${LOG_BYTES_MIN}.`,
    );
  }
  const free = freeBytes(dir);
  if (free > bytes) return bytes;
  throw new FlashCopyError(
    'OutOfSpace',
    `The pool ${dir} needs ${bytes} bytes for its log, and ${free} are free. Free some, or give --log-size.`,
  );
}

/** Takes its name when it is whole. Zeros, really written: an extent that is allocated but unwritten costs a metadata write at its first flush. */
export function writeLog(dir: string, bytes: number): void {
  const fresh = path.join(dir, 'log.new');
  const zeros = Buffer.alloc(LOG_CHUNK_BYTES);
  const fd = fs.openSync(fresh, 'w', 0o600);
  try {
    for (let at = 0; at < bytes; )
      at += fs.writeSync(fd, zeros, 0, Math.min(LOG_CHUNK_BYTES, bytes - at), at);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(fresh, path.join(dir, 'log'));
  syncDirectory(dir);
}

export function lostLog(file: string): FlashCopyError {
  return new FlashCopyError(
    'Damaged',
    `The undo log ${file} is missing. It may hold the only copy of snapshots' data, so the pool is not used without it. ` +
      'Put it back from where it went. If it is gone for good, stop here and see what "flashcopy check" says of it.',
  );
}

function unsuitable(dir: string, found: string, what: string): FlashCopyError {
  return new FlashCopyError('PoolUnsuitable', `${dir} cannot be a pool: ${found}. ${what}`);
}

function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
