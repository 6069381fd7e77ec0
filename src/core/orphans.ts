/**
 * Orphans: rows of epochs and bitmaps that belong to nobody. A checkpoint joins neighbouring epochs and drops the rows of
 * one with its commit; when their volume is removed before that commit, and then the engine dies, the rows are left.
 *
 * Called while a pool is opened, before anything is served.
 */
import { bitmapFile } from './bitmap-file.ts';
import type { Plan } from './ops.ts';
import type { OpenInput } from './recovery.ts';
import { drop, removeFiles, type State } from './state.ts';

export function* dropOrphans(state: State, input: OpenInput): Plan<void> {
  if (input.damaged.length > 0) return; // whose they are may stand in a damaged row
  const volumes = [...state.volumes.values()];
  const kept = volumes.flatMap((v) => v.epochs);
  const epochs = new Set(kept.map((e) => e.row.id));
  const bitmaps = new Set<number | null>([
    ...kept.map((e) => e.row.bitmap),
    ...volumes.map((v) => v.row.held),
  ]);
  const gone = state.bitmaps.all().filter((row) => !bitmaps.has(row.id));
  const rows = [
    ...input.rows.filter((r) => r.table === 'epoch' && !epochs.has(r.key)).map((r) => drop('epoch', r.key)),
    ...gone.map((row) => drop('bitmap', row.id)),
  ];
  if (rows.length === 0) return;
  yield* state.commit(rows);
  yield* removeFiles(
    state,
    gone.filter((row) => row.gen > 0).map((row) => bitmapFile(row.id, row.gen)),
  );
}
