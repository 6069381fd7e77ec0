/**
 * Who has a pool: an flock on its directory and one on engine.lock, which the kernel lets go when the last process that
 * inherited them is gone.
 *
 * The directory's is the one that counts: whoever takes the file for a leftover and removes it gives nobody the pool. The
 * file's is what former releases look at.
 *
 * The file names its holder, so that a second engine can say who it is. A name counts only while the lock is held. A disk
 * that is full or broken keeps nobody from holding it.
 */
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { tryFlock } from '../sys/libc.ts';

/** Longer than any two pids. */
const LINE_BYTES = 32;

export type PoolLock = {
  /** To be inherited by the engine process, which must go on holding the lock if its supervisor dies: file and directory. */
  readonly fds: readonly [file: number, directory: number];
  /** Names the processes that now hold it, the first of them being the one to speak to. */
  name(pids: number[]): void;
  release(): void;
};

export function lockPool(dir: string): PoolLock {
  const { O_RDONLY, O_DIRECTORY, O_RDWR, O_CREAT } = fs.constants;
  const file = path.join(dir, 'engine.lock');
  // The directory first: no file comes into a pool of another engine.
  const directoryFd = locked(dir, file, fs.openSync(dir, O_RDONLY | O_DIRECTORY));
  let fd: number;
  try {
    fd = locked(dir, file, fs.openSync(file, O_RDWR | O_CREAT, 0o600));
  } catch (error) {
    fs.closeSync(directoryFd);
    throw (error as NodeJS.ErrnoException).code === 'EROFS' ? readOnly(dir) : error;
  }
  // Over what was there, never cut short before: that would give back its block, and on a full disk somebody has it then.
  const name = (pids: number[]) => {
    try {
      fs.writeSync(fd, `${pids.join(' ').padEnd(LINE_BYTES - 1)}\n`, 0);
    } catch (error) {
      const message = 'the pool is locked, and by whom could not be written';
      log.warn(message, { file, error: (error as Error).message });
    }
  };
  name([process.pid]);
  const release = () => {
    fs.closeSync(fd);
    fs.closeSync(directoryFd);
  };
  return { fds: [fd, directoryFd], name, release };
}

function readOnly(dir: string): FlashCopyError {
  return new FlashCopyError(
    'PoolUnsuitable',
    `The pool ${dir} is on a filesystem that is mounted read-only, and neither an engine nor a check can use it there: both lock ` +
      `it, and the catalog is not read without files beside it. Check a copy of it (cp -a --reflink=never ${dir} ...), or mount it read-write.`,
  );
}

/** It, with the lock on it; closed where another process has that. */
function locked(dir: string, file: string, fd: number): number {
  try {
    if (tryFlock(fd, dir)) return fd;
    throw new FlashCopyError(
      'PoolLocked',
      `The pool ${dir} is in use by ${holderOf(file)}. A pool has one engine at a time: stop that one, or use another pool.`,
    );
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/** The named processes that still live: a supervisor may be gone while its engine goes on. */
function holderOf(file: string): string {
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  const pids = text.split(/\s+/).filter(Boolean);
  const alive = pids.filter((pid) => fs.existsSync(`/proc/${pid}`));
  if (alive.length === 0) return 'another process, which has not said its pid';
  return `the engine with pid ${alive[0]}`;
}
