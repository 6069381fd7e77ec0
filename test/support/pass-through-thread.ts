/** The data thread's entry with the pass-through core. */
import { parentPort, workerData } from 'node:worker_threads';
import { DataLoop } from '../../src/engine/data-loop.ts';
import type { DataThreadStart } from '../../src/engine/messages.ts';
import { PassThroughCore } from './pass-through-core.ts';

const start = workerData as DataThreadStart;
new DataLoop(start, parentPort!, (parts) => new PassThroughCore(parts, start.poolDir)).run();
