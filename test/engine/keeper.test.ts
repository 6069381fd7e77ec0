/** The keeper and a supervisor's link to it, when one of them dies or is paused in the midst of what they say to each other. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { type FromKeeperThread, Keeper } from '../../src/engine/keeper.ts';
import { type Descriptors, KeeperLink } from '../../src/engine/keeper-link.ts';
import { KeeperLoop } from '../../src/engine/keeper-loop.ts';
import { type FromKeeper, packed, type ToKeeper, unpacked } from '../../src/engine/keeper-messages.ts';
import { lockPool } from '../../src/engine/pool-lock.ts';
import { makeRunDir, runDirOf, unmountLazily } from '../../src/engine/run-dir.ts';
import { closeDescriptor } from '../../src/sys/libc.ts';
import { mountFuse, openFuseDevice } from '../../src/sys/mount.ts';
import { createSharedMemory } from '../../src/sys/shm.ts';
import {
  acceptPackets,
  connectPackets,
  listenPackets,
  receivePacket,
  sendPacket,
} from '../../src/sys/unix-socket.ts';
import { Cleanup } from '../support/cleanup.ts';
import { until } from '../support/commands.ts';

describe('the keeper of descriptors', () => {
  let dir: string;
  let socket: string;
  let cleanup: Cleanup;

  before(function () {
    if (process.geteuid?.() !== 0) this.skip();
  });
  beforeEach(() => {
    cleanup = new Cleanup();
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-keeper-'));
    cleanup.defer('remove the directory', () => fs.rmSync(dir, { recursive: true }));
    socket = path.join(dir, 'keeper.sock');
  });
  afterEach(() => cleanup.all());

  /** A live connection and shared memory, as a supervisor of that pool has them. */
  const descriptorsOf = (pool: string): number[] => {
    const mountDir = path.join(dir, pool);
    fs.mkdirSync(mountDir);
    const fds = [openFuseDevice(), createSharedMemory(pool)];
    mountFuse(fds[0]!, mountDir);
    cleanup.defer(`unmount ${mountDir}`, async () => {
      for (const fd of fds) closeDescriptor(fd);
      await unmountLazily(mountDir);
    });
    return fds;
  };
  const send = (message: ToKeeper, fds: number[] = []): number => {
    const connection = connectPackets(socket);
    sendPacket(connection, { text: packed(message), fds });
    return connection;
  };
  const hold = (pool: string): number => {
    const held = { pool, poolDir: pool, mountDir: '', mountDevice: '', bootId: '', pid: process.pid };
    return send({ kind: 'hold', held }, descriptorsOf(pool));
  };
  /** Undefined: not yet. */
  const answerOf = (connection: number): string | undefined => {
    const packet = receivePacket(connection);
    if (packet === 'nothing') return undefined;
    closeDescriptor(connection);
    if (packet === 'closed') return packet;
    for (const fd of packet.fds) closeDescriptor(fd);
    return unpacked<FromKeeper>(packet.text).kind;
  };

  it('holds what it was handed by a supervisor that did not live to hear so, and what it held before', () => {
    const keeper = new KeeperLoop(socket, { changed: () => undefined, log: () => undefined });
    const answers: Record<string, string | undefined> = {};
    const asked: [pool: string, connection: number][] = [];
    let round = 0;
    // Between any two of the keeper's rounds.
    keeper.run(() => {
      round += 1;
      if (round === 1) asked.push(['first', hold('first')]);
      if (round === 5) closeDescriptor(hold('second'));
      if (round === 10)
        for (const pool of ['first', 'second']) asked.push([pool, send({ kind: 'ask', pool })]);
      for (const [pool, connection] of asked.splice(0)) {
        const answer = answerOf(connection);
        if (answer === undefined) asked.push([pool, connection]);
        else answers[`${pool} ${round < 10 ? 'held' : 'asked for'}`] = answer;
      }
      return round === 16;
    });
    assert.deepEqual(answers, {
      'first held': 'done',
      'first asked for': 'held',
      'second asked for': 'held',
    });
  });

  it('is not healthy any more when its thread has ended by itself, and holds nothing', async () => {
    const said: FromKeeperThread[] = [
      { kind: 'listening' },
      { kind: 'state', state: [{ poolDir: 'first', attended: false }] },
      { kind: 'failed', code: 'IoError', message: 'what nobody expects' },
    ];
    const thread = `import { parentPort } from 'node:worker_threads';
      for (const message of ${JSON.stringify(said)}) parentPort.postMessage(message);`;
    const keeper = await Keeper.start(socket, new URL(`data:text/javascript,${encodeURIComponent(thread)}`));
    await keeper.stop();
    assert.throws(() => keeper.check(), /The keeper has failed: what nobody expects/);
    assert.deepEqual(keeper.held, []);
  });

  it('gives them back to the next engine when somebody has removed the lock file that they were named after', async () => {
    const keeper = await Keeper.start(socket);
    cleanup.defer('end the keeper', () => keeper.stop());
    const poolDir = path.join(dir, 'pool');
    fs.mkdirSync(poolDir);
    const run = runDirOf(poolDir, dir);
    makeRunDir(run);
    const fds = [openFuseDevice(), createSharedMemory('first')] as const;
    mountFuse(fds[0], run.mountDir);
    cleanup.defer('unmount', () => unmountLazily(run.mountDir));
    let descriptors: Descriptors | undefined = { fuseFd: fds[0], shmFd: fds[1] };
    // Held open, so that no other file gets its number.
    const removed: number[] = [];
    for (let engines = 0; engines < 3; engines++) {
      const lock = lockPool(poolDir);
      const link = new KeeperLink(socket, { dir: poolDir, logBytes: 0, lock });
      descriptors = engines === 0 ? descriptors : await link.adopt(run);
      assert.ok(descriptors, `engine ${engines}`);
      await link.keep(descriptors, run, () => undefined);
      assert.ok(link.kept);
      // All of them are killed.
      link.stop();
      for (const fd of [descriptors.fuseFd, descriptors.shmFd]) closeDescriptor(fd);
      removed.push(fs.openSync(path.join(poolDir, 'engine.lock'), 'r'));
      lock.release();
      fs.rmSync(path.join(poolDir, 'engine.lock'));
    }
    await until('what they have is held once', () => keeper.held.length === 1);
    // Another pool's supervisor that finds that note takes nothing, and has nothing dropped.
    const other = path.join(dir, 'other');
    fs.mkdirSync(other);
    const otherRun = runDirOf(other, dir);
    makeRunDir(otherRun);
    fs.copyFileSync(run.keyFile, otherRun.keyFile);
    const lock = lockPool(other);
    assert.equal(await new KeeperLink(socket, { dir: other, logBytes: 0, lock }).adopt(otherRun), undefined);
    assert.equal(keeper.held.length, 1);
    lock.release();
    for (const fd of removed) fs.closeSync(fd);
  });

  it('is believed to hold a copy when it has said so, not while it has yet to answer', async () => {
    const poolDir = path.join(dir, 'pool');
    fs.mkdirSync(poolDir);
    const lock = lockPool(poolDir);
    const listening = listenPackets(socket);
    const link = new KeeperLink(socket, { dir: poolDir, logBytes: 0, lock });
    const [fuseFd, shmFd] = descriptorsOf('first');
    const changes: boolean[] = [];
    const keeping = link.keep({ fuseFd: fuseFd!, shmFd: shmFd! }, runDirOf(poolDir, dir), (kept) =>
      changes.push(kept),
    );
    const connection = await until('it connects', () => acceptPackets(listening));
    sendPacket(connection, { text: packed({ kind: 'done' }), fds: [] });
    await keeping;
    assert.deepEqual([link.kept, changes], [true, [true]]);
    // From here on it is paused: who connects is not refused, and nobody answers.
    assert.equal(await link.confirm(), false);
    assert.deepEqual([link.kept, changes], [false, [true, false]]);
    link.stop();
    for (const fd of [connection, listening]) closeDescriptor(fd);
    lock.release();
  });
});
