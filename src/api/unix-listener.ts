/**
 * A gRPC server on a unix socket.
 *
 * Who may open the socket may do everything, so only its owner can: mode 0600 from the instant it exists, in a
 * directory of mode 0700 if that had to be made. A socket that a dead server left is replaced; one that is answered
 * is not.
 */
import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { FlashCopyError } from '../base/errors.ts';
import { socketPathOf } from './endpoint.ts';

/** How long calls under way may take to end when a server stops. */
const STOP_MS = 5000;

export type Listening = {
  /** No new calls; those under way may end; then the socket is gone. */
  stop(): Promise<void>;
};

export async function listenOnUnix(server: Server, endpoint: string): Promise<Listening> {
  const socketPath = socketPathOf(endpoint);
  mkdirSync(path.dirname(socketPath), { recursive: true, mode: 0o700 });
  if (await isAnswered(socketPath)) {
    throw new FlashCopyError(
      'Unavailable',
      `The endpoint ${endpoint} is served by another process. Stop it, or choose another endpoint.`,
    );
  }
  // Made beside its place and then moved there: somebody who looks during a restart finds the old socket or the new.
  // Who watches the directory for sockets, as kubelet does, takes no notice of a name with a dot before it.
  const fresh = path.join(path.dirname(socketPath), `.${path.basename(socketPath)}.new`);
  rmSync(fresh, { force: true });

  await bind(server, fresh);
  const { ino } = lstatSync(fresh);
  renameSync(fresh, socketPath);
  const stop = async () => {
    await shutDown(server);
    // While calls under way came to their end, the next server may have taken the place.
    if (lstatSync(socketPath, { throwIfNoEntry: false })?.ino === ino) rmSync(socketPath, { force: true });
  };
  return { stop };
}

/** Calls under way may end, but not take for ever. */
export async function shutDown(server: Server): Promise<void> {
  const ended = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  const timer = setTimeout(() => server.forceShutdown(), STOP_MS);
  await ended;
  clearTimeout(timer);
}

function bind(server: Server, socketPath: string): Promise<void> {
  // The mask holds while the socket is made, which happens before bindAsync returns or in the next turns of the loop.
  const mask = process.umask(0o177);
  return new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) => {
      process.umask(mask);
      if (error) {
        reject(
          new FlashCopyError('Unavailable', `The socket ${socketPath} could not be made: ${error.message}.`),
        );
        return;
      }
      chmodSync(socketPath, 0o600);
      resolve();
    });
  });
}

function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // ENOENT: none; ECONNREFUSED: left behind. Anything else shows when the socket is made.
    socket.once('error', () => resolve(false));
  });
}
