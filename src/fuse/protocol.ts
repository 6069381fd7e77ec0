/**
 * The FUSE kernel protocol, as far as a flat directory of block volumes needs it: opcodes, offsets, and the bodies of
 * the rarer answers. Source: the kernel's include/uapi/linux/fuse.h, version 7.40 and later, little-endian machines.
 *
 * A request begins with struct fuse_in_header (40 bytes); its arguments follow at byte 40. An answer begins with struct
 * fuse_out_header (16 bytes); its body follows. Offsets of requests here count from the header, those of bodies from
 * the body.
 */

const PROTOCOL_MAJOR = 7;
/** The first with RESEND, by which requests survive the death of their server (Linux 6.9). */
export const PROTOCOL_MINOR = 40;

/**
 * The largest READ or WRITE that we let the kernel send. A request has at most 256 pages, and memory that does not begin
 * on a page takes one more, each block of it two at worst: with 512 KiB it is never the pages that end a request, which
 * would then not end on a block.
 */
export const DATA_BYTES_MAX = 512 * 1024;
const PAGE = 4096;
const PAGES_MAX = 256;
/** Requests under way for readahead, asynchronous I/O: the kernel's default of 12 stalls deep queues. */
const BACKGROUND_MAX = 256;
const BACKGROUND_CONGESTED = 192;

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  RENAME2: 45,
  TMPFILE: 51,
} as const;

/** struct fuse_in_header: len@0 opcode@4 unique@8 (64 bits, bit 63 set after a resend) nodeid@16. */
export const IN = { length: 0, opcode: 4, uniqueLow: 8, uniqueHigh: 12, node: 16, arguments: 40 } as const;
export const IN_HEADER_BYTES = 40;
/** struct fuse_read_in and fuse_write_in begin alike. A WRITE's data follows at 80. */
export const READ_WRITE = { offset: 48, size: 56, data: 80 } as const;
export const INIT_IN = { minor: 44, readahead: 48, flags: 52, flags2: 56 } as const;
export const FALLOCATE_IN = { offset: 48, length: 56, mode: 64 } as const;
export const SETATTR_IN = { valid: 40, size: 56 } as const;
export const OPEN_IN = { flags: 40 } as const;

/** struct fuse_out_header: len@0 error@4 (0 or -errno) unique@8. */
export const OUT_HEADER_BYTES = 16;
/** An answer with unique 0 is a notification, and its `error` says which. */
export const NOTIFY_RESEND = 7;

export const ROOT_NODE = 1;
export const SETATTR_SIZE = 1 << 3;
export const OPEN_ACCESS_MODE = 3;

/** FALLOCATE modes that make a hole: punch hole + keep size (discard), zero range + keep size (write zeroes). */
export const PUNCH_HOLE = 0x03;
export const ZERO_RANGE = 0x11;

const flag = (bit: number): number => (1 << bit) >>> 0;
const WANTED =
  flag(0) | // ASYNC_READ
  flag(5) | // BIG_WRITES
  flag(15) | // ASYNC_DIO: the kernel sends an I/O larger than max_write as several at once
  flag(18) | // PARALLEL_DIROPS
  flag(22) | // MAX_PAGES: more than 32 pages a request
  flag(30); // INIT_EXT: flags2 counts
/** HAS_RESEND, bit 39 of both words together. */
const RESEND_FLAG2 = flag(7);

const OPEN_DIRECT_IO = 1;
const OPEN_PARALLEL_DIRECT_WRITES = 1 << 6;

/** Names never change their meaning (ids are not used twice), so the kernel may keep what it looked up. */
const ENTRY_VALID_SECONDS = 3600;
/** Sizes change when volumes grow, and whoever asks for one has to get the current one. No I/O asks. */
const ATTRIBUTES_VALID_SECONDS = 0;

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** What an inode of the tree is. The root is a directory, everything else a volume. */
export type Inode = { node: number; sizeBytes: number; directory: boolean; readOnly: boolean };

// struct fuse_attr, 88 bytes.
const ATTR_BYTES = 88;
function putAttr(body: DataView, at: number, inode: Inode): void {
  const access = inode.directory ? S_IFDIR | 0o700 : S_IFREG | (inode.readOnly ? 0o400 : 0o600);
  body.setBigUint64(at, BigInt(inode.node), true);
  body.setBigUint64(at + 8, BigInt(inode.sizeBytes), true);
  body.setBigUint64(at + 16, BigInt(Math.ceil(inode.sizeBytes / 512)), true);
  body.setUint32(at + 60, access, true);
  body.setUint32(at + 64, inode.directory ? 2 : 1, true);
  body.setUint32(at + 80, PAGE, true);
}

// Each of these writes a body to a zeroed view and returns its length.

/** struct fuse_entry_out */
export function putEntry(body: DataView, inode: Inode): number {
  body.setBigUint64(0, BigInt(inode.node), true);
  body.setBigUint64(16, BigInt(ENTRY_VALID_SECONDS), true);
  body.setBigUint64(24, BigInt(ATTRIBUTES_VALID_SECONDS), true);
  putAttr(body, 40, inode);
  return 40 + ATTR_BYTES;
}

/** struct fuse_attr_out */
export function putAttributes(body: DataView, inode: Inode): number {
  body.setBigUint64(0, BigInt(ATTRIBUTES_VALID_SECONDS), true);
  putAttr(body, 16, inode);
  return 16 + ATTR_BYTES;
}

/** struct fuse_open_out */
export function putOpen(body: DataView, directory: boolean): number {
  body.setUint32(8, directory ? 0 : OPEN_DIRECT_IO | OPEN_PARALLEL_DIRECT_WRITES, true);
  return 16;
}

/** struct fuse_init_out */
export function putInit(
  body: DataView,
  offered: { readahead: number; flags: number; flags2: number },
): number {
  body.setUint32(0, PROTOCOL_MAJOR, true);
  body.setUint32(4, PROTOCOL_MINOR, true);
  body.setUint32(8, offered.readahead, true);
  body.setUint32(12, (WANTED & offered.flags) >>> 0, true);
  body.setUint16(16, BACKGROUND_MAX, true);
  body.setUint16(18, BACKGROUND_CONGESTED, true);
  body.setUint32(20, DATA_BYTES_MAX, true);
  body.setUint32(24, 1, true);
  body.setUint16(28, PAGES_MAX, true);
  body.setUint32(32, (RESEND_FLAG2 & offered.flags2) >>> 0, true);
  return 64;
}

/** struct fuse_statfs_out: only what is the same for every pool. */
export function putStatfs(body: DataView): number {
  body.setUint32(40, PAGE, true);
  body.setUint32(44, 255, true);
  body.setUint32(48, PAGE, true);
  return 80;
}

const DT_REG = 8;
/** struct fuse_dirent; 0 when it does not fit any more. `next` is where a later READDIR goes on after this entry. */
export function putDirent(
  body: DataView,
  at: number,
  limit: number,
  entry: { node: number; name: string; next: number },
): number {
  const length = (24 + entry.name.length + 7) & ~7;
  if (at + length > limit) return 0;
  body.setBigUint64(at, BigInt(entry.node), true);
  body.setBigUint64(at + 8, BigInt(entry.next), true);
  body.setUint32(at + 16, entry.name.length, true);
  body.setUint32(at + 20, DT_REG, true);
  for (let i = 0; i < entry.name.length; i++) body.setUint8(at + 24 + i, entry.name.charCodeAt(i));
  return length;
}
