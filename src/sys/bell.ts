/**
 * Wakes the data thread, which sleeps in io_uring_enter, from another thread: it has a read of the counter under way.
 */
import { writeSync } from 'node:fs';
import { eventfd } from './libc.ts';

export const createEventFd = eventfd;

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** May be called from any thread, as often as one likes. */
export function ring(eventFd: number): void {
  writeSync(eventFd, ONE);
}
