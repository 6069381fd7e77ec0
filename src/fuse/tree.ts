/**
 * The requests that are about names and attributes, not data: answered at once from what the host knows.
 *
 * Each answer's body is written to the slot; the result is its length, or -errno. What is not implemented answers
 * ENOSYS, which the kernel remembers and does not ask again: FLUSH above all. (FLUSH is the close of a descriptor, not a
 * flush. A server that implements it makes every close wait for the server, also in processes that merely inherited the
 * descriptor; while the engine restarts they would hang.)
 */
import type { FuseHost } from './host.ts';
import {
  IN,
  INIT_IN,
  type Inode,
  OPEN_ACCESS_MODE,
  OPEN_IN,
  Opcode,
  PROTOCOL_MINOR,
  putAttributes,
  putDirent,
  putEntry,
  putInit,
  putOpen,
  putStatfs,
  READ_WRITE,
  ROOT_NODE,
  SETATTR_IN,
  SETATTR_SIZE,
} from './protocol.ts';
import type { Slot } from './slot.ts';

const EPERM = 1;
const ENOENT = 2;
const EROFS = 30;
const ENOSYS = 38;
const BODY_BYTES_MAX = 128;
const ROOT: Inode = { node: ROOT_NODE, sizeBytes: 0, directory: true, readOnly: false };

const nodeOf = (volumeId: number): number => volumeId + 1;

export function answerTree(host: FuseHost, slot: Slot, opcode: number, requestBytes: number): number {
  switch (opcode) {
    case Opcode.INIT:
      return init(host, slot);
    case Opcode.LOOKUP: {
      const inode = inodeOf(host, slot.u64(IN.node) === ROOT_NODE ? nodeNamed(slot.text(requestBytes)) : 0);
      return inode === null ? -ENOENT : putEntry(cleared(slot), inode);
    }
    case Opcode.SETATTR:
      return setAttributes(host, slot);
    case Opcode.GETATTR:
      return attributes(host, slot);
    case Opcode.OPEN: {
      const inode = inodeOf(host, slot.u64(IN.node));
      if (inode === null) return -ENOENT;
      if (inode.readOnly && (slot.u32(OPEN_IN.flags) & OPEN_ACCESS_MODE) !== 0) return -EROFS;
      return putOpen(cleared(slot), false);
    }
    case Opcode.OPENDIR:
      return putOpen(cleared(slot), true);
    case Opcode.READDIR:
      return readdir(host, slot);
    case Opcode.STATFS:
      return putStatfs(cleared(slot));
    case Opcode.RELEASE:
    case Opcode.RELEASEDIR:
    case Opcode.FSYNCDIR:
    case Opcode.DESTROY:
      return 0;
    case Opcode.CREATE:
    case Opcode.MKNOD:
    case Opcode.MKDIR:
    case Opcode.SYMLINK:
    case Opcode.LINK:
    case Opcode.UNLINK:
    case Opcode.RMDIR:
    case Opcode.RENAME:
    case Opcode.RENAME2:
    case Opcode.TMPFILE:
      return -EPERM;
    default:
      return -ENOSYS;
  }
}

/** The body, with as many zeros as the largest fixed one is long. */
function cleared(slot: Slot): DataView {
  slot.block.bytes.fill(0, 0, BODY_BYTES_MAX);
  return slot.body;
}

function init(host: FuseHost, slot: Slot): number {
  const minor = slot.u32(INIT_IN.minor);
  if (minor < PROTOCOL_MINOR) {
    host.log('warn', 'the kernel cannot resend requests: those under way at a restart will hang', {
      needed: 'Linux 6.9',
      protocol: `7.${minor}`,
    });
  }
  const offered = {
    readahead: slot.u32(INIT_IN.readahead),
    flags: slot.u32(INIT_IN.flags),
    flags2: slot.u32(INIT_IN.flags2),
  };
  return putInit(cleared(slot), offered);
}

function inodeOf(host: FuseHost, node: number): Inode | null {
  if (node === ROOT_NODE) return ROOT;
  const volume = host.volumeById(node - 1);
  if (volume === undefined) return null;
  return { node, sizeBytes: volume.sizeBytes, directory: false, readOnly: volume.readOnly };
}

/** 0, which is no node, for a name that is not a volume's id in its one spelling. */
function nodeNamed(name: string): number {
  return /^[1-9][0-9]{0,14}$/.test(name) ? nodeOf(Number(name)) : 0;
}

/**
 * Sizes are changed through the engine; times and modes are not kept. Setting the size that a volume has is how the
 * kernel learns of it for certain: what it is told while the file is written to it takes for out of date.
 */
function setAttributes(host: FuseHost, slot: Slot): number {
  const inode = inodeOf(host, slot.u64(IN.node));
  const sized = (slot.u32(SETATTR_IN.valid) & SETATTR_SIZE) !== 0;
  if (sized && slot.u64(SETATTR_IN.size) !== inode?.sizeBytes) return -EPERM;
  return attributes(host, slot);
}

function attributes(host: FuseHost, slot: Slot): number {
  const inode = inodeOf(host, slot.u64(IN.node));
  return inode === null ? -ENOENT : putAttributes(cleared(slot), inode);
}

/** In order of ids; the offset of a request is the last id that was told. */
function readdir(host: FuseHost, slot: Slot): number {
  const after = slot.u64(READ_WRITE.offset);
  const limit = Math.min(slot.u32(READ_WRITE.size), slot.body.byteLength);
  const ids = Array.from(host.hostVolumes(), (volume) => volume.id)
    .filter((id) => id > after)
    .sort((a, b) => a - b);
  slot.block.bytes.fill(0, 0, limit);
  let at = 0;
  for (const id of ids) {
    const length = putDirent(slot.body, at, limit, { node: nodeOf(id), name: String(id), next: id });
    if (length === 0) break;
    at += length;
  }
  return at;
}
