/**
 * The place of a unix socket, when one server ends and the next one begins.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Server } from '@grpc/grpc-js';
import { listenOnUnix } from '../../src/api/unix-listener.ts';

describe('A server on a unix socket', () => {
  let directory: string;
  let socket: string;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'flashcopy-socket-'));
    socket = path.join(directory, 'below/engine.sock');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('lets only its owner in, and leaves nothing', async () => {
    const listening = await listenOnUnix(new Server(), `unix://${socket}`);
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    assert.equal(statSync(path.dirname(socket)).mode & 0o777, 0o700);
    await assert.rejects(listenOnUnix(new Server(), `unix://${socket}`), /served by another process/);
    await listening.stop();
    assert.ok(!existsSync(socket));
  });

  it('leaves the place to the next one that has taken it while it was ending', async () => {
    const listening = await listenOnUnix(new Server(), `unix://${socket}`);
    const next = net.createServer().listen(`${socket}.next`);
    await once(next, 'listening');
    renameSync(`${socket}.next`, socket);
    await listening.stop();
    assert.ok(existsSync(socket), 'the socket of the next one is there');
    next.close();
    await once(next, 'close');
  });
});
