/**
 * The keeper: holds a second copy of the descriptors that must outlive an engine and its supervisor (B5, B6), so that
 * either pod of a node can be killed or upgraded while host I/O waits.
 *
 *   supervisor --hold--> keeper      copies of /dev/fuse and of the shared memory
 *   supervisor --ask---> keeper      the next supervisor gets them back
 *
 * K1  Only root may speak to it: the socket's mode is 0600, and who connects is asked the kernel for.
 * K2  What it is handed is what it should be: a live FUSE connection and a memfd. Anything else is closed at once.
 * K3  It holds what it was handed last for a pool until that is dropped, replaced, or the connection is dead.
 * K4  It does no I/O but on its socket, so nothing that an engine has to answer can hold it up.
 *
 * It runs in a thread of its own, asleep in poll: the rest of its process may wait for a volume that waits for an engine,
 * also while all of it is being killed (sys/apart.ts).
 */
import { chmodSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../base/errors.ts';
import { isLiveFuse, isMemfd } from '../sys/descriptors.ts';
import { closeDescriptor } from '../sys/libc.ts';
import {
  acceptPackets,
  connectPackets,
  isFuseConnected,
  listenPackets,
  type Packet,
  peerUser,
  receivePacket,
  sendPacket,
  waitReadable,
} from '../sys/unix-socket.ts';
import { type FromKeeper, type Held, packed, type ToKeeper, unpacked } from './keeper-messages.ts';

const LOOK_MS = 250;

type Kept = { held: Held; fuseFd: number; shmFd: number };

/** For each pool: whether a supervisor attends to it now. */
export type KeeperState = { poolDir: string; attended: boolean }[];

export type KeeperEvents = {
  changed(state: KeeperState): void;
  log(level: 'info' | 'warn', message: string, fields: Record<string, unknown>): void;
};

export class KeeperLoop {
  private readonly socketPath: string;
  private readonly listenFd: number;
  private readonly events: KeeperEvents;
  private readonly kept = new Map<string, Kept>();
  /** Each connection, and the pool that whoever is there attends to. */
  private readonly connections = new Map<number, string | undefined>();

  constructor(socketPath: string, events: KeeperEvents) {
    this.socketPath = socketPath;
    this.events = events;
    this.listenFd = listen(socketPath);
  }

  /** Until `stopped` says so. */
  run(stopped: () => boolean): void {
    while (!stopped()) {
      const readable = waitReadable([this.listenFd, ...this.connections.keys()], LOOK_MS);
      for (const fd of readable) {
        if (fd === this.listenFd) this.accept();
        else this.receive(fd);
      }
      this.forgetDead();
    }
    for (const fd of this.connections.keys()) closeDescriptor(fd);
    for (const pool of [...this.kept.keys()]) this.close(pool);
    closeDescriptor(this.listenFd);
    rmSync(this.socketPath, { force: true });
  }

  private accept(): void {
    const fd = acceptPackets(this.listenFd);
    if (fd === undefined) return;
    if (peerUser(fd) === 0) this.connections.set(fd, undefined);
    else {
      this.events.log('warn', 'a user other than root was refused by the keeper', { uid: peerUser(fd) });
      closeDescriptor(fd);
    }
  }

  private receive(fd: number): void {
    let fds: number[] = [];
    try {
      const packet = receivePacket(fd);
      if (packet === 'nothing') return;
      if (packet === 'closed') this.hangUp(fd);
      else {
        fds = packet.fds;
        const answer = this.answer(fd, packet);
        fds = []; // held from here on, also when who sent them cannot be told any more
        sendPacket(fd, answer);
      }
    } catch (error) {
      for (const each of fds) closeDescriptor(each);
      const reason = (error as Error).message;
      this.events.log('warn', 'keeper could not do what it was asked', { reason });
      try {
        sendPacket(fd, { text: packed({ kind: 'refused', reason }), fds: [] });
      } catch {
        this.hangUp(fd); // who asked is gone
      }
    }
  }

  private answer(fd: number, { text, fds }: Packet): Packet {
    const message = unpacked<ToKeeper>(text);
    const answer = (what: FromKeeper, more: number[] = []): Packet => ({ text: packed(what), fds: more });
    if (message.kind === 'hold') {
      this.hold(message.held, fds);
      this.connections.set(fd, message.held.pool);
      this.changed();
      return answer({ kind: 'done' });
    }
    if (fds.length > 0) throw refusal('descriptors came with a message that has none');
    if (message.kind === 'ask') {
      const kept = this.kept.get(message.pool);
      if (kept === undefined) return answer({ kind: 'nothing' });
      return answer({ kind: 'held', held: kept.held }, [kept.fuseFd, kept.shmFd]);
    }
    this.close(message.pool);
    this.changed();
    return answer({ kind: 'done' });
  }

  private hold(held: Held, fds: number[]): void {
    const [fuseFd, shmFd] = fds;
    if (fds.length !== 2 || !isLiveFuse(fuseFd!) || !isMemfd(shmFd!))
      throw refusal('what came is not a live FUSE connection and a memfd');
    this.close(held.pool);
    this.kept.set(held.pool, { held, fuseFd: fuseFd!, shmFd: shmFd! });
    const { poolDir, pid } = held;
    this.events.log('info', 'holding the descriptors of an engine', { pool: poolDir, supervisorPid: pid });
  }

  private hangUp(fd: number): void {
    const pool = this.connections.get(fd);
    this.connections.delete(fd);
    closeDescriptor(fd);
    if (pool === undefined) return;
    const kept = this.kept.get(pool);
    if (kept !== undefined) {
      const message = 'an engine is gone: host I/O waits for the next one';
      this.events.log('warn', message, { pool: kept.held.poolDir });
    }
    this.changed();
  }

  /** Unmounted, or aborted: nobody can need it any more. */
  private forgetDead(): void {
    for (const [pool, { fuseFd, held }] of this.kept) {
      if (isFuseConnected(fuseFd)) continue;
      this.events.log('info', 'an engine has ended: its descriptors are closed', { pool: held.poolDir });
      this.close(pool);
      this.changed();
    }
  }

  private close(pool: string): void {
    const kept = this.kept.get(pool);
    this.kept.delete(pool);
    if (kept === undefined) return;
    closeDescriptor(kept.fuseFd);
    closeDescriptor(kept.shmFd);
  }

  private changed(): void {
    const attended = new Set(this.connections.values());
    this.events.changed(
      [...this.kept].map(([pool, { held }]) => ({ poolDir: held.poolDir, attended: attended.has(pool) })),
    );
  }
}

const refusal = (why: string): FlashCopyError => new FlashCopyError('InvalidArgument', `Refused: ${why}.`);

/** A socket that a dead keeper left is replaced; one that is answered is not. */
function listen(socketPath: string): number {
  const dir = path.dirname(socketPath);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(dir);
  if (uid !== 0 || (mode & 0o022) !== 0)
    throw new FlashCopyError(
      'InvalidArgument',
      `The keeper's socket cannot be in ${dir}: others than root can write there. Make it root's, with mode 0700.`,
    );
  if (lstatSync(socketPath, { throwIfNoEntry: false })?.isSocket()) {
    if (isAnswered(socketPath))
      throw new FlashCopyError(
        'Unavailable',
        `Another keeper answers at ${socketPath}. Stop it, or choose another --keeper-endpoint.`,
      );
    rmSync(socketPath);
  }
  const fd = listenPackets(socketPath);
  chmodSync(socketPath, 0o600);
  return fd;
}

function isAnswered(socketPath: string): boolean {
  try {
    closeDescriptor(connectPackets(socketPath));
    return true;
  } catch {
    return false; // nobody listens
  }
}
