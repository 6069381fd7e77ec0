/** What a descriptor that somebody else handed over really is. */
import { fstatSync, readFileSync, readlinkSync } from 'node:fs';
import { isFuseConnected } from './unix-socket.ts';

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
/** Major 10, minor 229, as stat tells it. */
const FUSE_DEVICE = (10 << 8) | 229;

/** Of /dev/fuse, and its connection lives. */
export function isLiveFuse(fd: number): boolean {
  const { mode, rdev } = fstatSync(fd);
  return (mode & S_IFMT) === S_IFCHR && rdev === FUSE_DEVICE && isFuseConnected(fd);
}

/** Memory that has no name in any filesystem. */
export function isMemfd(fd: number): boolean {
  return readlinkSync(`/proc/thread-self/fd/${fd}`).startsWith('/memfd:');
}

/** 'major:minor' of the mount that a descriptor of /dev/fuse serves; undefined where the kernel does not tell. */
export function mountServedBy(fuseFd: number): string | undefined {
  const info = readFileSync(`/proc/thread-self/fdinfo/${fuseFd}`, 'utf8');
  const [, minor] = /^fuse_connection:\s*(\d+)$/m.exec(info) ?? [];
  return minor === undefined ? undefined : `0:${minor}`;
}

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
