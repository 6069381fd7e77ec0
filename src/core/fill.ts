/**
 * Fill: grains that live in the undo log only come into their volume's file. Under the volume's lock, so that nothing
 * the host writes there meanwhile can be overwritten with what is older.
 */
import { checkFile } from './bad-file.ts';
import { PIECE_BYTES } from './hydrate.ts';
import { SLOT } from './log-record.ts';
import { notFlushedAgain } from './offline.ts';
import { op, type Plan } from './ops.ts';
import { type State, together } from './state.ts';
import type { Volume } from './volume.ts';

/** Fills under way together. */
const FILLERS = 32;

/** All grains of one volume that live in the log only. Throws if its file does not take one; the rest stays in the log. */
export function* fillVolume(state: State, volume: Volume): Plan<void> {
  if (volume.unfilled === 0) return;
  const grains: number[] = [];
  for (const [g, at] of volume.logged) if ((at & 1) === 0) grains.push(g);
  grains.sort((a, b) => a - b);
  const runs: { first: number; end: number }[] = [];
  for (const g of grains) {
    const run = runs.at(-1);
    if (run !== undefined && run.end === g && (g - run.first) * volume.grain < PIECE_BYTES) run.end = g + 1;
    else runs.push({ first: g, end: g + 1 });
  }
  let next = 0;
  let failure: unknown = null;
  const filler = function* (): Plan<void> {
    while (next < runs.length && failure === null && !volume.removed) {
      const run = runs[next++]!;
      try {
        yield* fill(state, volume, run.first, run.end);
      } catch (error) {
        failure = error;
      }
    }
  };
  yield* together(
    state,
    Array.from({ length: FILLERS }, () => filler()),
  );
  if (failure !== null) throw failure;
}

/** Grains [first, end), which lie one after the other. */
function* fill(state: State, volume: Volume, first: number, end: number): Plan<void> {
  const lock = yield* volume.locks.take(first, end - first);
  try {
    const grain = volume.grain;
    for (let g = first; g < end; ) {
      if (volume.removed) return;
      if (!inLogOnly(volume, g)) {
        g++;
        continue;
      }
      let stop = g + 1;
      while (stop < end && inLogOnly(volume, stop)) stop++;
      const block = state.memory.take((stop - g) * grain);
      try {
        const reads = [];
        for (let i = g; i < stop; i++)
          reads.push(
            op.read(state.log.file, (volume.logged.get(i)! >> 1) * SLOT, grain, block, (i - g) * grain),
          );
        yield reads;
        checkFile(volume);
        yield op.write(volume.file, g * grain, (stop - g) * grain, block, 0);
      } finally {
        state.memory.give(block);
      }
      // B3: its flush has failed meanwhile. The log's copies go on counting.
      if (volume.unflushed) throw notFlushedAgain(volume);
      state.log.noteFilled(volume, g, stop - g);
      g = stop;
    }
  } finally {
    volume.locks.give(lock);
  }
}

function inLogOnly(volume: Volume, g: number): boolean {
  const at = volume.logged.get(g);
  return at !== undefined && (at & 1) === 0;
}
