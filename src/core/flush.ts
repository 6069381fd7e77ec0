/**
 * FLUSH: what the host was told is written becomes durable (B2), and so do the FC bits that speak of it, in this order:
 *
 *   1. take the bits that are pending now (their data writes have ended)
 *   2. flush the data file
 *   3. the bits go to the undo log as SET entries, flushed
 *
 * B3: after a failed flush nothing of the file can be trusted: the volume goes offline.
 */
import type { Bitmap } from './bitmap.ts';
import { ENTRIES_MAX } from './log-record.ts';
import { op, type Plan } from './ops.ts';
import type { State } from './state.ts';
import type { LogEntry } from './undo-log.ts';
import type { Volume } from './volume.ts';

/** Entries of one append: leaves room for others in the same record. */
const RUNS_PER_APPEND = Math.floor(ENTRIES_MAX / 4);

export function* flushVolume(state: State, volume: Volume): Plan<void> {
  const held = volume.held;
  const sealed = volume.seal();
  try {
    yield op.flush(volume.file);
  } catch (error) {
    if (!volume.removed) setOffline(state, volume, `a flush of its data failed: ${(error as Error).message}`);
    throw error;
  }
  if (sealed.length === 0 || held === null) return;
  yield* logBits(state, volume, held, sealed);
  volume.unpend(sealed);
}

function* logBits(state: State, volume: Volume, held: Bitmap, sealed: Bitmap[]): Plan<void> {
  let entries: LogEntry[] = [];
  for (const bits of sealed) {
    for (const run of [...bits.runs()]) {
      entries.push({
        volume,
        bitmap: held,
        first: run.first,
        count: run.count,
        block: null,
        start: 0,
        markOnly: false,
      });
      if (entries.length < RUNS_PER_APPEND) continue;
      yield* state.log.append(entries);
      entries = [];
    }
  }
  if (entries.length > 0) yield* state.log.append(entries);
}

/** No host I/O from here on; in memory at once, in the catalog as soon as it takes it. */
export function setOffline(state: State, volume: Volume, reason: string): void {
  if (volume.row.offline !== '') return;
  volume.row = { ...volume.row, offline: reason };
  state.listener.log('error', 'volume goes offline', { volume: volume.name, reason });
  state.runner.spawn(state.commit([{ table: 'volume', key: volume.id, row: volume.row }]), (error) => {
    if (error !== null)
      state.listener.log('error', 'could not record that a volume is offline', {
        volume: volume.name,
        error: String(error),
      });
  });
}
