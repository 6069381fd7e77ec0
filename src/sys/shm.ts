/**
 * Memory that outlives the process: a memfd, mapped by the engine and held by the supervisor (B6).
 *
 * Its size is virtual and fixed for its life: pages nobody has touched cost nothing, and are zero.
 */
import { fstatSync, ftruncateSync, readSync } from 'node:fs';
import { mapShared, memfdCreate } from './libc.ts';

/** Virtual, and more than a machine will back: what bounds it is said in core/bitmap-memory.ts. */
export const SHARED_MEMORY_BYTES = 64 * 2 ** 30;

/** The descriptor is closed on exec; pass it on by the `stdio` of spawn. */
export function createSharedMemory(name: string, bytes = SHARED_MEMORY_BYTES): number {
  const fd = memfdCreate(name);
  ftruncateSync(fd, bytes);
  return fd;
}

export function mapSharedMemory(fd: number): Uint32Array {
  return new Uint32Array(mapShared(fd, fstatSync(fd).size, 'the shared memory').buffer);
}

/** Its first bytes, without a map of it. */
export function readSharedMemory(fd: number, bytes: number): Uint32Array {
  const words = new Uint32Array(bytes / 4);
  readSync(fd, words, 0, bytes, 0);
  return words;
}
