/**
 * What a supervisor and a keeper say to each other over the keeper's socket: one packet of JSON each way, some with
 * descriptors: first that of /dev/fuse, then that of the shared memory.
 *
 * The two may be of different versions of this program, each upgraded at its own time. So this is a format: a later one
 * has another number, and one that is not known is refused.
 */
import { FlashCopyError } from '../base/errors.ts';

const VERSION = 1;

/** What the descriptors are of. */
export type Held = {
  /** 'device:inode' of the pool's lock file: the pool itself, whatever its path is. */
  pool: string;
  poolDir: string;
  mountDir: string;
  /** 'major:minor' of the mount. */
  mountDevice: string;
  bootId: string;
  /** Pid of the supervisor, for people. */
  pid: number;
};

/** supervisor -> keeper */
export type ToKeeper =
  /** With descriptors. From now on whoever connected attends to them, as long as the connection lasts. */
  | { kind: 'hold'; held: Held }
  | { kind: 'ask'; pool: string }
  /** The pool's engine has ended for good. */
  | { kind: 'drop'; pool: string };

/** keeper -> supervisor */
export type FromKeeper =
  | { kind: 'done' }
  /** The answer to ask, with descriptors. */
  | { kind: 'held'; held: Held }
  | { kind: 'nothing' }
  | { kind: 'refused'; reason: string };

export const packed = (message: ToKeeper | FromKeeper): string =>
  JSON.stringify({ version: VERSION, ...message });

export function unpacked<Message extends ToKeeper | FromKeeper>(text: string): Message {
  const { version, ...message } = JSON.parse(text) as { version: number } & Message;
  if (version === VERSION) return message as unknown as Message;
  throw new FlashCopyError(
    'WrongState',
    `Supervisor and keeper speak different formats (${version} and ${VERSION}). Upgrade the engine and the node service ` +
      'to the same version.',
  );
}
