/**
 * What the engine needs of the machine and of the filesystem under a pool. Each thing is tried rather than looked up,
 * on a file that is gone again whatever comes out, and each that is missing has an error of its own that says so.
 */
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { ENOSPC, errnoName, FlashCopyError } from '../base/errors.ts';
import { mapPrivate } from '../sys/libc.ts';
import { type Mount, mounts } from '../sys/mount.ts';
import { Ring } from '../sys/ring.ts';

/** The type of an engine's mount. */
const FUSE_TYPE = 'fuse.flashcopy';

const PAGE = 4096;
const PUNCH_HOLE_KEEP_SIZE = 3;

export function checkMachine(): void {
  if (process.geteuid?.() !== 0) {
    throw new FlashCopyError(
      'MissingPrivilege',
      `The engine mounts and attaches devices and must run as root; it runs as uid ${process.geteuid?.()}. Use sudo.`,
    );
  }
  checkDevice('/dev/fuse', 'fuse');
  checkDevice('/dev/loop-control', 'loop');
  const setting = '/proc/sys/kernel/io_uring_disabled';
  // 2 is for everybody, 1 for all but root and one group. Before Linux 6.6 there is no such setting.
  if (fs.existsSync(setting) && fs.readFileSync(setting, 'utf8').trim() === '2') {
    throw new FlashCopyError(
      'MissingKernelFeature',
      'The engine needs io_uring, and it is disabled here. Allow it: sysctl kernel.io_uring_disabled=0.',
    );
  }
  new Ring().close(); // tells what is missing
}

function checkDevice(file: string, module: string): void {
  try {
    fs.closeSync(fs.openSync(file, fs.constants.O_RDWR));
  } catch (error) {
    throw new FlashCopyError(
      'MissingKernelFeature',
      `The engine needs ${file} and cannot open it (${(error as NodeJS.ErrnoException).code}). ` +
        `Load the kernel module (modprobe ${module}); in a container, pass the device in.`,
    );
  }
}

/**
 * What is written to a file must reach the disk from our memory, and a part of a file must be given back. A full disk is
 * OutOfSpace: nothing can be tried on it.
 */
export function checkFilesystem(dir: string): void {
  const type = mountOf(dir)?.type ?? 'unknown';
  if (type === FUSE_TYPE) {
    throw unsuitable(dir, "it is inside an engine's own mount", 'Choose a directory on a disk.');
  }
  const file = path.join(dir, `.check.${process.pid}`);
  let fd: number;
  try {
    fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_DIRECT, 0o600);
  } catch (error) {
    fs.rmSync(file, { force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EINVAL') throw noDirectIo(dir, type);
    if (code === 'ENOSPC') throw full(dir);
    throw unsuitable(
      dir,
      `no file can be made in it (${message})`,
      'Choose a directory that can be written.',
    );
  }
  try {
    tryFile(dir, type, fd);
  } finally {
    fs.closeSync(fd);
    fs.rmSync(file);
  }
}

/** The mount that a directory is in: of those whose directory is above it the nearest, of several there the topmost. */
function mountOf(dir: string): Mount | undefined {
  const above = mounts().filter(
    ({ directory }) => dir === directory || dir.startsWith(`${directory.replace(/\/$/, '')}/`),
  );
  const nearest = Math.max(...above.map(({ directory }) => directory.length));
  return above.findLast(({ directory }) => directory.length === nearest);
}

function tryFile(dir: string, type: string, fd: number): void {
  const page = mapPrivate(PAGE);
  new Uint8Array(page.buffer).fill(0xa5);
  const io = new Trial();
  try {
    // The second page, so that alignment to more than 4096 bytes shows as well.
    const written = io.write(fd, page.address, PAGE);
    if (written === -ENOSPC) throw full(dir);
    if (written !== PAGE) throw noDirectIo(dir, type);
    const punched = io.punch(fd, PAGE);
    if (punched === -ENOSPC) throw full(dir);
    const blank = punched === 0 && io.read(fd, page.address, PAGE) === PAGE && isZero(page.buffer);
    if (blank) return;
    throw unsuitable(
      dir,
      `its filesystem (${type}) cannot punch holes into files` +
        (punched < 0 ? ` (${errnoName(-punched)})` : ''),
      'Use ext4 or XFS.',
    );
  } finally {
    io.close();
  }
}

const isZero = (buffer: ArrayBuffer): boolean => new Uint8Array(buffer).every((byte) => byte === 0);

/** One I/O at a time, in the way that the engine does its own. */
class Trial {
  private readonly ring = new Ring();
  private result: number | undefined;
  private readonly token = this.ring.adopt({
    complete: (result) => {
      this.result = result;
    },
  });

  write(fd: number, address: number, offset: number): number {
    this.ring.write(fd, address, PAGE, offset, this.token);
    return this.wait();
  }

  read(fd: number, address: number, offset: number): number {
    this.ring.read(fd, address, PAGE, offset, this.token);
    return this.wait();
  }

  punch(fd: number, offset: number): number {
    this.ring.fallocate(fd, PUNCH_HOLE_KEEP_SIZE, offset, PAGE, this.token);
    return this.wait();
  }

  close(): void {
    this.ring.close();
  }

  private wait(): number {
    this.result = undefined;
    for (;;) {
      this.ring.enter();
      this.ring.dispatch();
      if (this.result !== undefined) return this.result;
    }
  }
}

function noDirectIo(dir: string, type: string): FlashCopyError {
  return unsuitable(
    dir,
    `its filesystem (${type}) has no direct I/O (O_DIRECT) at 4096 bytes`,
    'Use ext4 or XFS on a disk whose sectors are at most 4096 bytes.',
  );
}

function full(dir: string): FlashCopyError {
  return new FlashCopyError('OutOfSpace', `The filesystem of ${dir} is full. Free some space.`);
}

function unsuitable(dir: string, found: string, what: string): FlashCopyError {
  return new FlashCopyError('PoolUnsuitable', `${dir} cannot be a pool: ${found}. ${what}`);
}
