/**
 * Every error that a user can meet, by code. A message says what was asked, what was found and what to do.
 * The edges translate the codes: the CLI to an exit code, gRPC to a status (one table each).
 *
 * An error means the world; a bug is an AssertionError from `assert`.
 */
export type ErrorCode =
  | 'InvalidArgument'
  | 'VolumeNotFound'
  | 'MappingNotFound'
  | 'AlreadyExists'
  | 'TargetInUse'
  | 'VolumeInUse'
  | 'WrongState'
  | 'OutOfSpace'
  | 'OutOfRange'
  | 'WrongNode'
  | 'BadToken'
  | 'PoolLocked'
  | 'PoolUnsuitable'
  | 'PoolTooNew'
  | 'Damaged'
  | 'Suspended'
  | 'IoError'
  | 'MissingPrivilege'
  | 'MissingKernelFeature'
  | 'Unavailable'
  | 'Internal';

export class FlashCopyError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = code;
    this.code = code;
  }
}

/** A failed system call: what was attempted, on which file and bytes of it, with which errno (positive). */
export class IoError extends FlashCopyError {
  readonly errno: number;
  readonly action: string;
  constructor(errno: number, action: string, file: string, bytes?: { offset: number; length: number }) {
    const place = bytes === undefined ? '' : ` at byte ${bytes.offset} (${bytes.length} bytes)`;
    super(
      errno === ENOSPC ? 'OutOfSpace' : 'IoError',
      `${action} of ${file}${place} failed: ${errnoName(errno)}`,
    );
    this.errno = errno;
    this.action = action;
  }
}

export const EIO = 5;
export const EINVAL = 22;
export const EFBIG = 27;
export const ENOSPC = 28;

const names: Readonly<Record<number, string>> = {
  1: 'EPERM', 2: 'ENOENT', 4: 'EINTR', 5: 'EIO', 6: 'ENXIO', 9: 'EBADF', 11: 'EAGAIN', 12: 'ENOMEM', 13: 'EACCES', 16: 'EBUSY',
  17: 'EEXIST', 19: 'ENODEV', 22: 'EINVAL', 23: 'ENFILE', 24: 'EMFILE', 27: 'EFBIG', 28: 'ENOSPC', 30: 'EROFS', 38: 'ENOSYS',
  95: 'EOPNOTSUPP', 103: 'ECONNABORTED', 107: 'ENOTCONN', 122: 'EDQUOT', 125: 'ECANCELED',
}; // biome-ignore format: a table

export function errnoName(errno: number): string {
  return names[errno] ?? `errno ${errno}`;
}

/** A bug if it does not hold. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${what}`);
}
