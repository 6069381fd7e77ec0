/**
 * The FUSE connection and its mount.
 *
 * Whoever mounts must not be who serves: system calls about the mount wait for the server's answers, and one that waits
 * for itself waits for ever. Nothing here looks into the mount. What is mounted is read from mountinfo, which asks no
 * filesystem.
 */
import { openSync, readFileSync } from 'node:fs';
import { FlashCopyError, IoError } from '../base/errors.ts';
import { mountFilesystem } from './libc.ts';

const EPERM = 1;
const ENODEV = 19;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const FILESYSTEM = 'fuse.flashcopy';
/** Filesystems that a device's node can be bound from. */
const NODE_FILESYSTEMS = new Set(['devtmpfs', 'tmpfs']);
/** fuse/protocol.ts has the reason, as DATA_BYTES_MAX. */
const READ_BYTES_MAX = 512 * 1024;

export type Mount = {
  /** 'major:minor', as stat of anything on it would tell. */
  device: string;
  directory: string;
  /** What of the filesystem is there: '/' is all of it, anything else was bound from inside it. */
  root: string;
  /** Of this mount alone: 'ro', 'nosuid' ... */
  options: string[];
  type: string;
  source: string;
  /** Of the filesystem, wherever it is mounted. */
  superOptions: string[];
};

/** A new connection; it lives until every descriptor of it is closed. */
export function openFuseDevice(): number {
  try {
    return openSync('/dev/fuse', 'r+');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') throw missingPrivilege('open /dev/fuse');
    throw new FlashCopyError(
      'MissingKernelFeature',
      `The engine needs FUSE and cannot open /dev/fuse (${code}): load the kernel module with "modprobe fuse", ` +
        'and in a container pass the device /dev/fuse in.',
    );
  }
}

/** `directory` must exist. Returns at once: the first request, INIT, waits for the server. */
export function mountFuse(fuseFd: number, directory: string, source = 'flashcopy'): void {
  // The size of WRITEs is agreed upon with the server, that of READs only here; they are to be the same.
  const data = `fd=${fuseFd},rootmode=40000,user_id=0,group_id=0,allow_other,max_read=${READ_BYTES_MAX}`;
  try {
    mountFilesystem(source, directory, FILESYSTEM, MS_NOSUID | MS_NODEV | MS_NOEXEC, data);
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    if (error.errno === EPERM) throw missingPrivilege(`mount ${directory}`);
    if (error.errno === ENODEV) {
      const message = 'The engine needs FUSE and the kernel has none: load the module with "modprobe fuse".';
      throw new FlashCopyError('MissingKernelFeature', message);
    }
    throw error;
  }
}

/** All mounts that the calling thread sees, in the order in which they were made. */
export function mounts(): Mount[] {
  return readFileSync('/proc/thread-self/mountinfo', 'utf8').trimEnd().split('\n').map(parseMount);
}

/** What is mounted at the directory, the topmost if several are. */
export function mountAt(directory: string): Mount | undefined {
  return mounts().findLast((mount) => mount.directory === directory);
}

/** The loop device whose node is bound there: 'loopN'. */
export function boundDevice(mount: Mount): string | undefined {
  if (!NODE_FILESYSTEMS.has(mount.type)) return undefined;
  return /\/(loop\d+)(?:\/\/deleted)?$/.exec(mount.root)?.[1];
}

/** "36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw": the fields before " - " vary in number. */
export function parseMount(line: string): Mount {
  const [before = '', after = ''] = line.split(' - ');
  const head = before.split(' ');
  const [type = '', source = '', superOptions = ''] = after.split(' ');
  const [, , device = '', root = '', directory = '', options = ''] = head;
  return {
    device,
    directory: unescaped(directory),
    root: unescaped(root),
    options: options.split(','),
    type,
    source: unescaped(source),
    superOptions: superOptions.split(','),
  };
}

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

function missingPrivilege(action: string): FlashCopyError {
  return new FlashCopyError(
    'MissingPrivilege',
    `The engine may not ${action}: run it as root (CAP_SYS_ADMIN), in a container as privileged.`,
  );
}
