/**
 * Who has a pool: an flock on engine.lock, which the kernel lets go when the last process that inherited it is gone.
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
  /** To be inherited by the engine process, which must go on holding the lock if its supervisor dies. */
  readonly fd: number;
  /** Names the processes that now hold it, the first of them being the one to speak to. */
  name(pids: number[]): void;
  release(): void;
};

export function lockPool(dir: string): PoolLock {
  const file = path.join(dir, 'engine.lock');
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  if (!tryFlock(fd, file)) {
    const holder = holderOf(file);
    fs.closeSync(fd);
    throw new FlashCopyError(
      'PoolLocked',
      `The pool ${dir} is in use by ${holder}. A pool has one engine at a time: stop that one, or use another pool.`,
    );
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
  return { fd, name, release: () => fs.closeSync(fd) };
}

/** The named processes that still live: a supervisor may be gone while its engine goes on. */
function holderOf(file: string): string {
  const pids = fs.readFileSync(file, 'utf8').split(/\s+/).filter(Boolean);
  const alive = pids.filter((pid) => fs.existsSync(`/proc/${pid}`));
  if (alive.length === 0) return 'another process, which has not said its pid';
  return `the engine with pid ${alive[0]}`;
}
