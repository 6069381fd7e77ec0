/** The entry of the keeper's thread: keeper-loop.ts until the main thread says stop. */
import path from 'node:path';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { assert, FlashCopyError } from '../base/errors.ts';
import { standApart } from '../sys/apart.ts';
import type { FromKeeperThread } from './keeper.ts';
import { KeeperLoop } from './keeper-loop.ts';

assert(parentPort !== null, 'the keeper is a worker');
const port = parentPort;
const tell = (message: FromKeeperThread): void => port.postMessage(message);
try {
  const { socketPath } = workerData as { socketPath: string };
  standApart(path.dirname(socketPath));
  const loop = new KeeperLoop(socketPath, {
    changed: (state) => tell({ kind: 'state', state }),
    log: (level, message, fields) => tell({ kind: 'log', level, message, fields }),
  });
  tell({ kind: 'listening' });
  // The event loop of this thread does not turn meanwhile.
  loop.run(() => receiveMessageOnPort(port) !== undefined);
} catch (error) {
  if (!(error instanceof FlashCopyError)) throw error;
  tell({ kind: 'failed', code: error.code, message: error.message });
}
