/**
 * Unix sockets that carry descriptors (SCM_RIGHTS), in whole packets: one that arrives arrives with all of its
 * descriptors or is refused as a whole. Nothing here waits but `waitReadable`.
 *
 * Received descriptors are closed on exec. One thread uses this at a time: all calls share one piece of memory.
 */
import koffi from 'koffi';
import { assert, IoError } from '../base/errors.ts';
import { closeDescriptor, mapPrivate } from './libc.ts';

const lib = koffi.load('libc.so.6');
const c = {
  socket: lib.func('int socket(int domain, int type, int protocol)'),
  bind: lib.func('int bind(int fd, void *address, uint length)'),
  listen: lib.func('int listen(int fd, int backlog)'),
  accept4: lib.func('int accept4(int fd, void *address, void *length, int flags)'),
  connect: lib.func('int connect(int fd, void *address, uint length)'),
  sendmsg: lib.func('int64_t sendmsg(int fd, uintptr_t message, int flags)'),
  recvmsg: lib.func('int64_t recvmsg(int fd, uintptr_t message, int flags)'),
  getsockopt: lib.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
  poll: lib.func('int poll(void *fds, ulong count, int timeoutMs)'),
};

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const MSG_CTRUNC = 8;
const MSG_TRUNC = 0x20;
const POLLIN = 1;
const POLLERR = 8;
const POLLNVAL = 0x20;
const EAGAIN = 11;
const EINTR = 4;
const ECONNRESET = 104;
const BACKLOG = 8;

const PACKET_BYTES_MAX = 4096;
const FDS_MAX = 8;

// struct sockaddr_un; struct msghdr with one struct iovec, on 64-bit machines; struct cmsghdr.
const ADDRESS_BYTES = 110;
const MSGHDR_BYTES = 56;
const CMSG_HEADER = 16;
const CONTROL_BYTES = CMSG_HEADER + 4 * FDS_MAX;
const AT = { message: 0, vector: 64, control: 128, data: 512 } as const;

/** What the kernel reads and writes has a fixed address: memory of JavaScript could be given back meanwhile. */
const memory = mapPrivate(AT.data + PACKET_BYTES_MAX);
const view = new DataView(memory.buffer);
const bytes = new Uint8Array(memory.buffer);

const failure = (action: string, what: string): IoError => new IoError(koffi.errno(), action, what);

function addressOf(path: string): Buffer {
  const address = Buffer.alloc(ADDRESS_BYTES);
  address.writeUInt16LE(AF_UNIX, 0);
  const length = address.write(path, 2);
  assert(length === Buffer.byteLength(path) && 2 + length < ADDRESS_BYTES, `the path ${path} fits`);
  return address;
}

function newSocket(path: string): number {
  const fd: number = c.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw failure('socket', path);
  return fd;
}

/** Made at the path, which must be free. */
export function listenPackets(path: string): number {
  const fd = newSocket(path);
  if (c.bind(fd, addressOf(path), ADDRESS_BYTES) === 0 && c.listen(fd, BACKLOG) === 0) return fd;
  const error = failure('bind', path);
  closeDescriptor(fd);
  throw error;
}

export function connectPackets(path: string): number {
  const fd = newSocket(path);
  if (c.connect(fd, addressOf(path), ADDRESS_BYTES) === 0) return fd;
  const error = failure('connect', path);
  closeDescriptor(fd);
  throw error;
}

/** Undefined when nobody is waiting. */
export function acceptPackets(fd: number): number | undefined {
  const accepted: number = c.accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return accepted < 0 ? undefined : accepted;
}

/** The user on the other end, as it was when it connected. */
export function peerUser(fd: number): number {
  const credentials = Buffer.alloc(12); // pid, uid, gid
  const length = Buffer.from(Uint32Array.of(credentials.length).buffer);
  if (c.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) < 0)
    throw failure('getsockopt', 'a unix socket');
  return credentials.readUInt32LE(4);
}

export type Packet = { text: string; fds: number[] };

function prepare(dataBytes: number, controlBytes: number): void {
  bytes.fill(0, 0, AT.data);
  view.setBigUint64(AT.vector, BigInt(memory.address + AT.data), true);
  view.setBigUint64(AT.vector + 8, BigInt(dataBytes), true);
  view.setBigUint64(AT.message + 16, BigInt(memory.address + AT.vector), true);
  view.setBigUint64(AT.message + 24, 1n, true);
  if (controlBytes === 0) return;
  view.setBigUint64(AT.message + 32, BigInt(memory.address + AT.control), true);
  view.setBigUint64(AT.message + 40, BigInt(controlBytes), true);
}

/** The other end gets descriptors of its own of the same open files. */
export function sendPacket(fd: number, { text, fds }: Packet): void {
  const data = Buffer.from(text);
  assert(data.length <= PACKET_BYTES_MAX && fds.length <= FDS_MAX, 'a packet is small');
  prepare(data.length, fds.length === 0 ? 0 : CMSG_HEADER + 4 * fds.length + (fds.length % 2) * 4);
  bytes.set(data, AT.data);
  if (fds.length > 0) {
    view.setBigUint64(AT.control, BigInt(CMSG_HEADER + 4 * fds.length), true);
    view.setInt32(AT.control + 8, SOL_SOCKET, true);
    view.setInt32(AT.control + 12, SCM_RIGHTS, true);
    for (const [i, each] of fds.entries()) view.setInt32(AT.control + CMSG_HEADER + 4 * i, each, true);
  }
  if (c.sendmsg(fd, memory.address + AT.message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    throw failure('sendmsg', 'a unix socket');
}

/** 'nothing' has come yet; 'closed' by the other end. */
export function receivePacket(fd: number): Packet | 'nothing' | 'closed' {
  prepare(PACKET_BYTES_MAX, CONTROL_BYTES);
  const length = Number(c.recvmsg(fd, memory.address + AT.message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (length < 0) {
    const error = failure('recvmsg', 'a unix socket');
    if (error.errno === EAGAIN || error.errno === EINTR) return 'nothing';
    if (error.errno === ECONNRESET) return 'closed';
    throw error;
  }
  const fds = receivedFds();
  const flags = view.getInt32(AT.message + MSGHDR_BYTES - 8, true);
  if (flags & (MSG_CTRUNC | MSG_TRUNC)) {
    for (const each of fds) closeDescriptor(each);
    throw new IoError(EAGAIN, 'recvmsg', 'a packet that is too large');
  }
  if (length === 0) return 'closed';
  return { text: Buffer.from(bytes.subarray(AT.data, AT.data + length)).toString(), fds };
}

function receivedFds(): number[] {
  const controlBytes = Number(view.getBigUint64(AT.message + 40, true));
  if (controlBytes < CMSG_HEADER || view.getInt32(AT.control + 12, true) !== SCM_RIGHTS) return [];
  const length = Number(view.getBigUint64(AT.control, true));
  return Array.from({ length: (length - CMSG_HEADER) / 4 }, (_, i) =>
    view.getInt32(AT.control + CMSG_HEADER + 4 * i, true),
  );
}

/** Those of the descriptors that have something to read, or whose other end is gone. Waits so long for the first. */
export function waitReadable(fds: readonly number[], timeoutMs: number): number[] {
  const polled = pollFds(fds, timeoutMs);
  return fds.filter((_, i) => polled.readInt16LE(8 * i + 6) !== 0);
}

/** Whether the kernel still has the connection that this descriptor of /dev/fuse is of. */
export function isFuseConnected(fuseFd: number): boolean {
  return (pollFds([fuseFd], 0).readInt16LE(6) & (POLLERR | POLLNVAL)) === 0;
}

function pollFds(fds: readonly number[], timeoutMs: number): Buffer {
  const polled = Buffer.alloc(8 * fds.length);
  for (const [i, fd] of fds.entries()) {
    polled.writeInt32LE(fd, 8 * i);
    polled.writeInt16LE(POLLIN, 8 * i + 4);
  }
  if (c.poll(polled, fds.length, timeoutMs) < 0) polled.fill(0); // a signal: nothing is known
  return polled;
}
