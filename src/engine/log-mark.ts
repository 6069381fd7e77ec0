/**
 * What a new pool's log begins with: a record of the pool without content, in the ring's last slot, where the others come
 * last. So the catalog can say from the first day on what must be in the log, and a log that was lost, or exchanged for
 * another one, is told from one in which nothing is yet.
 *
 * Durable before the catalog speaks of it; repeated if that does not come about.
 */
import fs from 'node:fs';
import path from 'node:path';
import { encodeHeader, poolKey, SLOT } from '../core/log-record.ts';
import type { LogMark } from '../core/rows.ts';

export function markLog(poolDir: string, poolId: string): LogMark {
  const fd = fs.openSync(path.join(poolDir, 'log'), 'r+');
  try {
    const mark = { seq: 0, slot: Math.floor(fs.fstatSync(fd).size / SLOT) - 1 };
    const block = new Uint8Array(SLOT);
    encodeHeader({ seq: mark.seq, headerBlocks: 1, payloadSlots: 0, entries: [] }, poolKey(poolId), block);
    fs.writeSync(fd, block, 0, SLOT, mark.slot * SLOT);
    fs.fdatasyncSync(fd);
    return mark;
  } finally {
    fs.closeSync(fd);
  }
}
