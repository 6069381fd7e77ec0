/**
 * All of the undo log's ring, whatever it holds: the parts that are in use, older rounds, and, where something else was
 * put in its place, that. Places that cannot be read may be far from all that is in use, and keep no pool from being opened.
 */
import { type HeaderPlace, type LogFile, readableHeadersIn, readHeader } from './log-header.ts';
import type { PoolKey } from './log-record.ts';
import type { Plan } from './ops.ts';

/** `ours`: what looks like a record of this pool, by number. `foreign`: another pool's, if none is ours. */
export type Ring = { ours: HeaderPlace[]; foreign: PoolKey | null };

export function* lookThrough(log: LogFile & { pool: PoolKey }): Plan<Ring> {
  const found = yield* readableHeadersIn(log, 0, log.slots);
  const ours = found.filter(({ pool }) => pool === log.pool).sort((a, b) => a.seq - b.seq);
  for (const { slot, seq } of ours)
    if ((yield* readHeader(log, slot, seq)) !== null) return { ours, foreign: null };
  for (const { slot, seq, pool } of found) {
    if (pool === null || pool === log.pool) continue;
    if ((yield* readHeader(log, slot, seq)) !== null) return { ours: [], foreign: pool };
  }
  return { ours: [], foreign: null };
}

/** The first record of this pool with a higher number. */
export function* laterRecord(
  log: LogFile,
  { ours }: Pick<Ring, 'ours'>,
  seq: number,
): Plan<HeaderPlace | null> {
  for (const place of ours)
    if (place.seq > seq && (yield* readHeader(log, place.slot, place.seq)) !== null) return place;
  return null;
}
