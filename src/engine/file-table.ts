/**
 * The pool's open files: opened O_DIRECT when they are first used, closed again, the one unused for longest first, when
 * there are too many. A file with I/O under way is never closed.
 *
 * Closing needs no flush before: fdatasync through a later descriptor reaches what was written through an earlier one.
 *
 * After the death of a former engine the kernel may still be carrying out the last writes it had accepted. The first
 * opening of each file waits for those, so that none of them can land on top of a newer write: see fence.ts.
 */
import { closeSync, constants, openSync } from 'node:fs';
import path from 'node:path';
import { assert, IoError } from '../base/errors.ts';
import type { PoolFile } from '../core/ops.ts';
import { Fence } from './fence.ts';

const { O_RDWR, O_DIRECT, O_CREAT, O_EXCL, O_DIRECTORY, O_RDONLY } = constants;
const OPEN_MAX = 4096;
const EMFILE = 24;

export class FileTable {
  readonly poolDir: string;
  private readonly openMax: number;
  private readonly fence = new Fence();
  /** By descriptor: who has it, and when it was used last, in uses of any file. */
  private readonly owners: (PoolFile | undefined)[] = [];
  private readonly usedAt: number[] = [];
  private uses = 0;
  private count = 0;
  /** What is open, by path: the core may have several objects of one file. */
  private readonly named = new Map<string, Set<PoolFile>>();
  /** Who waits, for each path, until nothing of it is open. */
  private readonly awaited = new Map<string, (() => void)[]>();
  private readonly directories = new Map<string, number>();

  constructor(poolDir: string, openMax = OPEN_MAX) {
    this.poolDir = poolDir;
    this.openMax = openMax;
  }

  pathOf(file: PoolFile): string {
    return path.join(this.poolDir, file.path);
  }

  /** The file's descriptor; opens it when it is not open. Throws IoError. */
  open(file: PoolFile): number {
    if (file.fd < 0) {
      const fd = this.openAs(file, O_RDWR | O_DIRECT);
      try {
        this.fence.pass(fd, file.path);
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      this.keep(file, fd);
    }
    this.usedAt[file.fd] = ++this.uses;
    return file.fd;
  }

  create(file: PoolFile): number {
    assert(file.fd < 0, `${file.path} is created anew with no I/O under way on the old one`);
    const fd = this.openAs(file, O_RDWR | O_DIRECT | O_CREAT | O_EXCL);
    this.fence.created(file.path);
    this.keep(file, fd);
    this.usedAt[fd] = ++this.uses;
    return fd;
  }

  /** An I/O of the file has ended. */
  leave(file: PoolFile): void {
    file.busy--;
    if (file.busy > 0) return;
    const waiting = this.awaited.get(file.path);
    // A burst over many files may have opened more than there may be: they were all busy.
    if (waiting !== undefined || this.count > this.openMax) this.close(file);
    if (waiting === undefined || this.named.has(file.path)) return;
    this.awaited.delete(file.path);
    for (const closed of waiting) closed();
  }

  /**
   * The file is about to be removed: closes it, whichever object has it open. Whether that could be done at once; else
   * `closed` is called when the I/O under way has ended. Who removes a file that is open here leaves it to this thread
   * to free its space, and host I/O waits for that.
   */
  forget(path: string, closed: () => void): boolean {
    this.fence.removed(path);
    for (const file of this.named.get(path) ?? []) if (file.busy === 0) this.close(file);
    if (!this.named.has(path)) return true;
    const waiting = this.awaited.get(path);
    if (waiting === undefined) this.awaited.set(path, [closed]);
    else waiting.push(closed);
    return false;
  }

  private close(file: PoolFile): void {
    closeSync(file.fd);
    this.owners[file.fd] = undefined;
    const same = this.named.get(file.path)!;
    same.delete(file);
    if (same.size === 0) this.named.delete(file.path);
    file.fd = -1;
    this.count--;
  }

  closeAll(): void {
    for (const file of this.owners) if (file !== undefined) this.close(file);
    for (const fd of this.directories.values()) closeSync(fd);
    this.directories.clear();
  }

  /** A descriptor of the directory that holds the file, to make its name durable. */
  directoryOf(file: PoolFile): number {
    const dir = path.dirname(this.pathOf(file));
    let fd = this.directories.get(dir);
    if (fd === undefined) {
      fd = openSync(dir, O_RDONLY | O_DIRECTORY);
      this.directories.set(dir, fd);
    }
    return fd;
  }

  private keep(file: PoolFile, fd: number): void {
    file.fd = fd;
    this.owners[fd] = file;
    const same = this.named.get(file.path);
    if (same === undefined) this.named.set(file.path, new Set([file]));
    else same.add(file);
    this.count++;
    if (this.count > this.openMax) this.closeOldest(file);
  }

  private openAs(file: PoolFile, flags: number): number {
    try {
      return openSync(this.pathOf(file), flags, 0o600);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== EMFILE || this.count === 0) throw new IoError(errno, 'open', file.path);
      // The process has a lower limit than ours.
      this.closeOldest(file);
      return openSync(this.pathOf(file), flags, 0o600);
    }
  }

  /** An eighth of them at once, so that the search for them is rare. */
  private closeOldest(except: PoolFile): void {
    const idle = this.owners.filter((file) => file !== undefined && file !== except && file.busy === 0);
    idle.sort((a, b) => this.usedAt[a!.fd]! - this.usedAt[b!.fd]!);
    for (const file of idle.slice(0, Math.max(1, this.openMax >> 3))) this.close(file!);
  }
}

/** The positive errno of an error that a function of node:fs threw. */
export function errnoOf(error: unknown): number {
  if (error instanceof IoError) return error.errno;
  const errno = (error as NodeJS.ErrnoException).errno;
  if (errno === undefined) throw error;
  return -errno;
}
