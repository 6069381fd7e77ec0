/**
 * The system calls that Node.js does not offer, by their C names and with C's arguments.
 *
 * A call that fails throws an IoError with the errno, what was attempted and on what. Nothing here keeps state, and
 * nothing here may be called by a thread that must not block: each function blocks as long as its system call does.
 * Numbers of system calls and of constants are those of Linux's generic table (x86-64 and arm64 agree on all of them).
 */
import koffi from 'koffi';
import { IoError } from '../base/errors.ts';

const lib = koffi.load('libc.so.6');

const c = {
  mmap: lib.func('void *mmap(uintptr_t addr, size_t length, int prot, int flags, int fd, int64_t offset)'),
  madvise: lib.func('int madvise(uintptr_t addr, size_t length, int advice)'),
  memfdCreate: lib.func('int memfd_create(const char *name, uint flags)'),
  eventfd: lib.func('int eventfd(uint initial, int flags)'),
  close: lib.func('int close(int fd)'),
  lseek: lib.func('int64_t lseek(int fd, int64_t offset, int whence)'),
  fallocate: lib.func('int fallocate(int fd, int mode, int64_t offset, int64_t len)'),
  setxattr: lib.func('int fsetxattr(int fd, const char *name, const char *value, size_t size, int flags)'),
  getxattr: lib.func('int64_t lgetxattr(const char *path, const char *name, _Out_ char *value, size_t size)'),
  flock: lib.func('int flock(int fd, int operation)'),
  prctl: lib.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)'),
  mount: lib.func(
    'int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)',
  ),
  mknod: lib.func('int mknod(const char *path, uint mode, uint64_t device)'),
  fcntl: lib.func('int fcntl(int fd, int command, int argument)'),
  ioctl: lib.func('int ioctl(int fd, ulong request, void *argument)'),
};

/** The errno of the call that just failed, as an error. */
function failure(action: string, file: string): IoError {
  return new IoError(koffi.errno(), action, file);
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
const MADV_DONTNEED = 4;
const MADV_DONTFORK = 10;

/** Memory of the kernel's choice of address, as JavaScript sees it and as system calls name it. */
export type Mapped = { readonly buffer: ArrayBuffer; readonly address: number };

function map(length: number, flags: number, fd: number, offset: number, what: string): Mapped {
  const pointer: unknown = c.mmap(0, length, PROT_READ_WRITE, flags, fd, offset);
  const address = Number(koffi.address(pointer));
  // MAP_FAILED is (void *) -1.
  if (address > Number.MAX_SAFE_INTEGER) throw failure('mmap', what);
  return { buffer: koffi.view(pointer, length), address };
}

/** Memory of this process alone: zeros, and none of it taken before it is touched. Never unmapped. */
export function mapPrivate(length: number): Mapped {
  return map(length, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, `${length} bytes of memory`);
}

/**
 * Memory that the kernel can always reach without a page fault: all there from the start, and never shared with a child
 * that is being started. A thread that is being killed cannot fault, and what the kernel then fails to copy is lost.
 */
export function mapResident(length: number): Mapped {
  const mapped = map(length, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0, `${length} bytes of memory`);
  if (c.madvise(mapped.address, length, MADV_DONTFORK) < 0)
    throw failure('madvise', `${length} bytes of memory`);
  return mapped;
}

/** A file's content, shared with everybody who maps it; pages are taken when they are touched. */
export function mapShared(fd: number, length: number, what: string): Mapped {
  return map(length, MAP_SHARED | MAP_NORESERVE, fd, 0, what);
}

/** The same, all pages at once: for memory that the kernel writes to. */
export function mapKernel(fd: number, length: number, offset: number, what: string): Mapped {
  return map(length, MAP_SHARED | MAP_POPULATE, fd, offset, what);
}

/** Give the pages back to the kernel; the range reads as zeros and can be used again. */
export function dropPages(address: number, length: number): void {
  if (c.madvise(address, length, MADV_DONTNEED) < 0) throw failure('madvise', `${length} bytes of memory`);
}

const MFD_CLOEXEC = 1;
export function memfdCreate(name: string): number {
  const fd: number = c.memfdCreate(name, MFD_CLOEXEC);
  if (fd < 0) throw failure('memfd_create', name);
  return fd;
}

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
/** A counter that a write of 8 bytes adds to and a read empties; closed on exec. */
export function eventfd(): number {
  const fd: number = c.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw failure('eventfd', 'a new counter');
  return fd;
}

/** For descriptors that came from here: Node.js warns of closing one that it has not opened. */
export function closeDescriptor(fd: number): void {
  if (c.close(fd) < 0) throw failure('close', `descriptor ${fd}`);
}

export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
const ENXIO = 6;
/** Where the next data (or hole) begins at or after `offset`; -1 when the file has none from there on. */
export function seek(fd: number, offset: number, whence: number, file: string): number {
  const at = Number(c.lseek(fd, offset, whence));
  if (at >= 0) return at;
  const error = failure('lseek', file);
  if (error.errno === ENXIO) return -1;
  throw error;
}

export function fallocate(fd: number, mode: number, offset: number, length: number, file: string): void {
  if (c.fallocate(fd, mode, offset, length) < 0) throw failure('allocate', file);
}

/** The same, in a thread of its own: this one goes on. 0, or the errno. */
export function fallocateBeside(fd: number, mode: number, offset: number, length: number): Promise<number> {
  return new Promise((resolve, reject) => {
    c.fallocate.async(fd, mode, offset, length, (error: Error | null, result: number) => {
      if (error !== null) reject(error);
      else resolve(result < 0 ? koffi.errno() : 0);
    });
  });
}

const ENOTSUP = 95;
const ENODATA = 61;
const ENOENT = 2;
const ATTRIBUTE_MAX = 256;
/** Attaches a word to a file. False: the filesystem has no such things. */
export function setAttribute(fd: number, name: string, value: string, file: string): boolean {
  if (c.setxattr(fd, name, value, Buffer.byteLength(value), 0) === 0) return true;
  const error = failure('setxattr', file);
  if (error.errno === ENOTSUP) return false;
  throw error;
}

/** The word that was attached to a file; null: none. */
export function attributeOf(path: string, name: string): string | null {
  const value = Buffer.alloc(ATTRIBUTE_MAX);
  const length = Number(c.getxattr(path, name, value, ATTRIBUTE_MAX));
  if (length >= 0) return value.toString('utf8', 0, length);
  const error = failure('getxattr', path);
  if ([ENOTSUP, ENODATA, ENOENT].includes(error.errno)) return null;
  throw error;
}

const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
/** From now on, and for everybody who shares the open file, a read that would wait fails with EAGAIN. */
export function setNonBlocking(fd: number, file: string): void {
  const flags: number = c.fcntl(fd, F_GETFL, 0);
  if (flags < 0 || c.fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) throw failure('fcntl', file);
}

const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;
/** False when somebody else holds the lock. */
export function tryFlock(fd: number, file: string): boolean {
  if (c.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const error = failure('flock', file);
  if (error.errno === EWOULDBLOCK) return false;
  throw error;
}

const PR_SET_IO_FLUSHER = 57;
/**
 * Says that this thread serves writeback, so that its own allocations never wait for writeback. False without
 * CAP_SYS_RESOURCE: then things work, but under memory pressure the wait can become a circle.
 */
export function becomeIoFlusher(): boolean {
  return c.prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) === 0;
}

export function mountFilesystem(
  source: string,
  dir: string,
  type: string,
  flags: number,
  data: string,
): void {
  if (c.mount(source, dir, type, flags, data) < 0) throw failure('mount', dir);
}

const S_IFBLK = 0o060000;
/** A block device node; the numbers must be below 256 and 2^20, as those of loop devices are. */
export function makeBlockDevice(path: string, major: number, minor: number): void {
  const device = (minor & 0xff) + major * 0x100 + Math.floor(minor / 0x100) * 0x100000;
  if (c.mknod(path, S_IFBLK | 0o660, device) < 0) throw failure('mknod', path);
}

/** `argument` is read, written, or both, as the request says. */
export function ioctl(fd: number, request: number, argument: Buffer | null, what: string): number {
  const result: number = c.ioctl(fd, request, argument);
  if (result < 0) throw failure('ioctl', what);
  return result;
}
