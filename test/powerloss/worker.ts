/** A thread of many.ts: explores the histories whose seeds it is sent. */
import { parentPort } from 'node:worker_threads';
import { explore } from './explore.ts';
import type { FromWorker } from './many.ts';

parentPort!.on('message', (options: { seed: number; operations?: number }) => {
  const { seed } = options;
  let message: FromWorker;
  try {
    message = { seed, report: explore(options), error: '' };
  } catch (error) {
    message = { seed, report: null, error: (error as Error).message };
  }
  parentPort!.postMessage(message);
});
