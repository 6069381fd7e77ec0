/**
 * A supervisor's way to the keeper: gets back what a former supervisor left there, and keeps a copy of its own there.
 *
 * The link is made again whenever the keeper was started again. `kept` says that the keeper has said that it holds the copy,
 * and lived when it was last looked at; whoever is about to rely on it asks `confirm`. Nothing here blocks, and nothing here
 * fails: without a keeper an engine runs as it would without the option.
 *
 * What is held is named after the pool's lock file. Should somebody remove that, the next one has another name: so the run directory
 * says which one it was. What is found under that one is taken if it is of this pool's mount, and else left alone.
 */
import fs from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { Turns } from '../base/turns.ts';
import { bootId, isLiveFuse, isMemfd, mountServedBy } from '../sys/descriptors.ts';
import { closeDescriptor } from '../sys/libc.ts';
import { mountAt } from '../sys/mount.ts';
import { connectPackets, type Packet, peerUser, receivePacket, sendPacket } from '../sys/unix-socket.ts';
import { type FromKeeper, type Held, packed, type ToKeeper, unpacked } from './keeper-messages.ts';
import type { Pool } from './pool.ts';
import type { RunDir } from './run-dir.ts';

const ANSWER_MS = 3000;
/** One that listens lives, and what it holds is worth a wait: without, all host I/O fails. */
const ASK_MS = 60_000;
const ANSWER_LOOK_MS = 2;
const LOOK_MS = 500;

export type Descriptors = { fuseFd: number; shmFd: number };
type Answer = { message: FromKeeper; fds: number[] };

export class KeeperLink {
  private readonly socketPath: string;
  private readonly pool: Pool;
  private readonly key: string;
  private readonly turns = new Turns<string>();
  private fd: number | undefined;
  /** The keeper's word, over this connection, that it holds the copy. */
  private said = false;
  private copy: { held: Held; descriptors: Descriptors; keyFile: string } | undefined;
  /** The name under which what was adopted is held too, until it is held under ours. */
  private formerKey: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private complained = '';
  private onChange: (kept: boolean) => void = () => undefined;

  constructor(socketPath: string, pool: Pool) {
    this.socketPath = socketPath;
    this.pool = pool;
    const { dev, ino } = fs.fstatSync(pool.lock.fds[0]);
    this.key = `${dev}:${ino}`;
  }

  get kept(): boolean {
    return this.said;
  }

  /** What a former supervisor of this pool left, if its connection lives and its mount is where it was. */
  async adopt(run: RunDir): Promise<Descriptors | undefined> {
    const adopted = await this.adoptAs(this.key, run);
    const former = adopted ? undefined : readNote(run.keyFile);
    if (former === undefined || former === this.key) return adopted;
    const found = await this.adoptAs(former, run);
    if (found !== undefined) this.formerKey = former;
    return found;
  }

  private async adoptAs(key: string, { mountDir }: RunDir): Promise<Descriptors | undefined> {
    const answer = await this.once({ kind: 'ask', pool: key }, ASK_MS);
    if (answer?.message.kind !== 'held') return undefined;
    const [fuseFd, shmFd] = answer.fds as [number, number];
    if (key !== this.key && answer.message.held.mountDir !== mountDir) {
      for (const fd of answer.fds) closeDescriptor(fd);
      return undefined;
    }
    const objection = objectionTo(answer.message.held, answer.fds, mountDir);
    if (objection === undefined) {
      log.info('going on with the descriptors that the keeper holds', {
        pool: this.pool.dir,
        mount: mountDir,
      });
      return { fuseFd, shmFd };
    }
    log.warn('what the keeper holds cannot be used: host I/O that waits for it fails', { reason: objection });
    for (const fd of answer.fds) closeDescriptor(fd);
    await this.once({ kind: 'drop', pool: key });
    return undefined;
  }

  /** From now on the keeper has a copy of these, whenever there is one. */
  async keep(
    descriptors: Descriptors,
    { mountDir, keyFile }: RunDir,
    onChange: (kept: boolean) => void,
  ): Promise<void> {
    const { dir: poolDir } = this.pool;
    const mountDevice = mountAt(mountDir)?.device ?? '';
    const held = { pool: this.key, poolDir, mountDir, mountDevice, bootId: bootId(), pid: process.pid };
    this.copy = { held, descriptors, keyFile };
    this.onChange = onChange;
    await this.look();
  }

  /** Whether the keeper holds the copy now. */
  async confirm(): Promise<boolean> {
    await this.turns.take(['link'], () => this.handOver());
    return this.kept;
  }

  /** The engine has ended for good: nobody is to hold its descriptors any more. */
  async drop(): Promise<void> {
    this.copy = undefined;
    const answer = await this.once({ kind: 'drop', pool: this.key });
    if (answer?.message.kind !== 'done' && this.kept)
      log.warn('the keeper could not be told that the engine has ended', { socket: this.socketPath });
    this.stop();
  }

  stop(): void {
    this.copy = undefined;
    clearTimeout(this.timer);
    if (this.fd !== undefined) closeDescriptor(this.fd);
    this.fd = undefined;
    this.said = false;
  }

  private async look(): Promise<void> {
    await this.turns.take(['link'], async () => {
      if (this.fd !== undefined && !this.isOpen(this.fd)) this.lose('it has ended');
      if (this.fd === undefined) await this.handOver();
    });
    if (this.copy === undefined) return;
    this.timer = setTimeout(() => void this.look(), LOOK_MS);
    this.timer.unref();
  }

  private isOpen(fd: number): boolean {
    try {
      return receivePacket(fd) === 'nothing';
    } catch {
      return false; // what else may be wrong with it shows when it is made again
    }
  }

  private async handOver(): Promise<void> {
    if (this.copy === undefined) return;
    const { held, descriptors, keyFile } = this.copy;
    const known = this.kept;
    try {
      this.fd ??= this.connect();
      const fds = [descriptors.fuseFd, descriptors.shmFd];
      const { message } = await exchange(this.fd, { kind: 'hold', held }, fds);
      if (message.kind === 'refused') throw new FlashCopyError('WrongState', message.reason);
      this.complained = '';
      this.said = true;
      if (known) return;
      if (this.formerKey !== undefined) await exchange(this.fd, { kind: 'drop', pool: this.formerKey });
      this.formerKey = undefined;
      writeNote(keyFile, this.key);
      log.info('the keeper holds a copy of the descriptors', { keeper: this.socketPath });
      this.onChange(true);
    } catch (error) {
      this.lose((error as Error).message);
    }
  }

  private lose(reason: string): void {
    const known = this.kept;
    if (this.fd !== undefined) closeDescriptor(this.fd);
    this.fd = undefined;
    this.said = false;
    if (known) this.onChange(false);
    if (this.complained === reason) return;
    this.complained = reason;
    const message = 'no keeper holds a copy of the descriptors: host I/O fails if this supervisor ends';
    log.warn(message, { keeper: this.socketPath, reason });
  }

  /** Over a connection of its own. Undefined: there is no keeper that answers. */
  private async once(message: ToKeeper, answerMs = ANSWER_MS): Promise<Answer | undefined> {
    let fd: number | undefined;
    try {
      fd = this.connect();
      return await exchange(fd, message, [], answerMs);
    } catch (error) {
      log.info('no keeper answers', { keeper: this.socketPath, reason: (error as Error).message });
      return undefined;
    } finally {
      if (fd !== undefined) closeDescriptor(fd);
    }
  }

  private connect(): number {
    const fd = connectPackets(this.socketPath);
    const uid = peerUser(fd);
    if (uid === 0) return fd;
    closeDescriptor(fd);
    const message = `The keeper at ${this.socketPath} is of user ${uid}, and must be root's.`;
    throw new FlashCopyError('MissingPrivilege', message);
  }
}

function readNote(keyFile: string): string | undefined {
  return fs.existsSync(keyFile) ? fs.readFileSync(keyFile, 'utf8') : undefined;
}

/** Only needed should the lock file be removed: an engine that lives without is as good. */
function writeNote(keyFile: string, key: string): void {
  try {
    fs.writeFileSync(keyFile, key, { mode: 0o600 });
  } catch (error) {
    const reason = (error as Error).message;
    log.warn('the name of what the keeper holds could not be written', { file: keyFile, reason });
  }
}

async function exchange(
  fd: number,
  message: ToKeeper,
  fds: number[] = [],
  answerMs = ANSWER_MS,
): Promise<Answer> {
  sendPacket(fd, { text: packed(message), fds });
  for (const until = Date.now() + answerMs; Date.now() < until; await sleep(ANSWER_LOOK_MS)) {
    const packet: Packet | 'nothing' | 'closed' = receivePacket(fd);
    if (packet === 'closed') throw new FlashCopyError('Unavailable', 'it has ended');
    if (packet !== 'nothing') return { message: unpacked<FromKeeper>(packet.text), fds: packet.fds };
  }
  throw new FlashCopyError('Unavailable', `no answer within ${answerMs / 1000} s`);
}

/** Why they cannot be used. */
function objectionTo(held: Held, fds: number[], mountDir: string): string | undefined {
  const [fuseFd, shmFd] = fds;
  if (fds.length !== 2 || !isMemfd(shmFd!)) return 'they are not a FUSE connection and a memfd';
  if (held.bootId !== bootId()) return 'they are of another boot';
  if (!isLiveFuse(fuseFd!)) return 'the FUSE connection is dead';
  const mount = mountAt(mountDir);
  if (held.mountDir !== mountDir || mount?.device !== held.mountDevice)
    return `the mount ${held.mountDir} (${held.mountDevice}) is not to be seen at ${mountDir}; in a pod it needs the run directory with Bidirectional propagation`;
  const served = mountServedBy(fuseFd!);
  if (served !== undefined && served !== mount.device)
    return `they serve mount ${served}, not ${mount.device}`;
  return undefined;
}
