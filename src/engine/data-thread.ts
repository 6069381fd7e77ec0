/**
 * The entry of the data thread (a worker thread of the engine process): runs the core until it is told to stop.
 *
 * The thread sleeps in system calls, so `worker.terminate()` and `process.exit()` of the main thread would wait for it
 * for ever: the main thread sends `stop` and waits for `stopped`, or ends the process by a signal.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../base/errors.ts';
import { Core } from '../core/core.ts';
import { DataLoop } from './data-loop.ts';
import type { DataThreadStart } from './messages.ts';

assert(parentPort !== null, 'the data thread is a worker');
new DataLoop(workerData as DataThreadStart, parentPort, (parts) => new Core(parts)).run();
