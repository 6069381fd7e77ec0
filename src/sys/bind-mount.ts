/**
 * Bind mounts that appear in one step, with all their flags, and never somewhere else.
 *
 * The mount is made apart from the tree, gets its flags there and is then moved to its place: at no instant can anybody
 * write through a mount that is to be read-only. The place is opened without following a symbolic link and then named
 * by descriptor, so that nothing put there meanwhile leads the mount to another directory. What is bound is looked at
 * before: a path may show something else than the mount table says, if another mount hides it.
 */
import fs from 'node:fs';
import koffi from 'koffi';
import { FlashCopyError, IoError } from '../base/errors.ts';
import { closeDescriptor } from './libc.ts';

const lib = koffi.load('libc.so.6');
const openTree = lib.func('long syscall(long number, int directory, const char *path, uint flags)');
const mountSetattr = lib.func(
  'long syscall(long number, int directory, const char *path, uint flags, void *attributes, size_t size)',
);
const moveMount = lib.func(
  'long syscall(long number, int fromDir, const char *from, int toDir, const char *to, uint flags)',
);

const SYS_OPEN_TREE = 428;
const SYS_MOVE_MOUNT = 429;
const SYS_MOUNT_SETATTR = 442;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const MOUNT_ATTR_RDONLY = 1n;
const O_PATH = 0o10000000;

/**
 * `source` and `target` are both directories or both not; the target exists. `device`: 'major:minor' of the device that
 * the source is, or that its filesystem is on.
 */
export function bindMount(
  source: string,
  target: string,
  { readOnly, device }: { readOnly: boolean; device: string },
): void {
  const place = fs.openSync(target, O_PATH | fs.constants.O_NOFOLLOW);
  try {
    const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW;
    const tree = Number(openTree(SYS_OPEN_TREE, AT_FDCWD, source, flags));
    if (tree < 0) throw failure('open_tree', source);
    try {
      checkDevice(tree, source, device);
      if (readOnly) setReadOnly(tree, source);
      const empty = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
      if (Number(moveMount(SYS_MOVE_MOUNT, tree, '', place, '', empty)) < 0)
        throw failure('move_mount', target);
    } finally {
      closeDescriptor(tree);
    }
  } finally {
    fs.closeSync(place);
  }
}

function checkDevice(tree: number, source: string, device: string): void {
  const stats = fs.fstatSync(tree);
  const found = numberOf(stats.isBlockDevice() ? stats.rdev : stats.dev);
  if (found === device) return;
  throw new FlashCopyError(
    'WrongState',
    `Device ${device} was to be bound from ${source}, and what is there is of device ${found}: something hides it. Look ` +
      `with "findmnt --target ${source}" and unmount that first.`,
  );
}

/** A device number as the kernel packs it for programs. */
function numberOf(dev: number): string {
  const packed = BigInt(dev);
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & ~0xfffn);
  const minor = (packed & 0xffn) | ((packed >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/** struct mount_attr: what to set, what to clear, propagation, user namespace. */
function setReadOnly(tree: number, source: string): void {
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(MOUNT_ATTR_RDONLY, 0);
  const result = mountSetattr(SYS_MOUNT_SETATTR, tree, '', AT_EMPTY_PATH, attributes, attributes.length);
  if (Number(result) < 0) throw failure('mount_setattr', source);
}

const failure = (action: string, file: string): IoError => new IoError(koffi.errno(), action, file);
