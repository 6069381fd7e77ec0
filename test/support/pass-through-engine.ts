/**
 * An engine process with the pass-through core, as a supervisor would start it: 3 is /dev/fuse, 4 the shared memory.
 * Arguments: the pool directory, and whether the shared memory survived. Calls come by process messages.
 */
import process from 'node:process';
import { Worker } from 'node:worker_threads';
import type { DataThreadStart, ToData, ToMain } from '../../src/engine/messages.ts';
import { createEventFd, ring } from '../../src/sys/bell.ts';

const [, , poolDir = '', survived] = process.argv;
const eventFd = createEventFd();
const start: DataThreadStart = {
  poolDir,
  fuseFd: 3,
  shmFd: 4,
  shmSurvived: survived === 'true',
  eventFd,
  rows: [],
  damaged: [],
  badFiles: [],
  strays: [],
  migrates: false,
  logBytes: 0,
  pool: '',
  memoryId: 1,
};
const worker = new Worker(new URL('./pass-through-thread.ts', import.meta.url), { workerData: start });

const tell = (message: ToData): void => {
  worker.postMessage(message);
  ring(eventFd);
};

worker.on('message', (message: ToMain) => {
  if (message.kind === 'commit') tell({ kind: 'committed', id: message.id, errno: 0 });
  process.send?.(message);
  if (message.kind === 'stopped') process.disconnect?.();
});
worker.on('error', (error) => {
  console.error(error);
  process.kill(process.pid, 'SIGKILL');
});
process.on('message', tell);
// Whoever started this is gone: nobody will say stop.
process.on('disconnect', () => worker.threadId > 0 && process.kill(process.pid, 'SIGKILL'));
