/**
 * Orphans: rows of epochs and bitmaps that belong to nobody. A checkpoint joins neighbouring epochs and drops the rows of
 * one with its commit; when their volume is removed before that commit, and then the engine dies, the rows are left. And
 * strays: files that no row names.
 *
 * Called while a pool is opened in which nothing was found damaged, before anything is served: where something is, they may be
 * those of a row that was lost.
 */
import { bitmapFile } from './bitmap-file.ts';
import { type Plan, PoolFile } from './ops.ts';
import type { OpenInput } from './recovery.ts';
import { drop, removeFiles, type State } from './state.ts';

export function* removeStrays(state: State, { strays = [] }: OpenInput): Plan<void> {
  for (const file of strays)
    state.listener.log('info', 'a file that a former engine has left, and nobody needs, is removed', {
      file,
    });
  yield* removeFiles(
    state,
    strays.map((file) => new PoolFile(file)),
  );
}

export function* dropOrphans(state: State, input: OpenInput): Plan<void> {
  const volumes = [...state.volumes.values()];
  // A volume's row is missing.
  if ([...state.mappings.values()].some(({ row }) => !state.volumes.has(row.target))) return;
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
