/**
 * Mutants that nothing notices, each with the reason: what they leave out is for speed or space, or is waited for once
 * more behind it, or comes after something that the simulated disk does not do. Nobody looks for
 * what notices them.
 */
export const UNNOTICED: Readonly<Record<string, string>> = {
  'core.ts: yield* flushVolume(state, source) is left out':
    'a volume without a target of its own has no cut that was not reported',
  'copy-loop.ts: yield* flushVolume(state, target) is left out':
    'bounds what a crash costs (H3): what is not flushed is copied again, and the end of the copy flushes all',
  "core.ts: yield* state.commit(lost.map((row) => put('volume', row))) is not waited for":
    'open waits for a later commit before anything is served, and commits become durable in their order',
  "core.ts: yield* state.commit(rows.map((v) => ({ table: 'volume', key: v.id, row: { ...v.row, sparse: false } }))) is not waited for":
    'the same transaction says that the end was clean: without it the next start takes no file for sparse',
  'flush.ts: yield* state.log.append(entriesOf(volume, held, runs)) is not waited for':
    'comes where the undo log is full or a copy has very many grains to say, as in none of these histories (test/core/full-log.test.ts)',
  'flush.ts: yield* flushVolume(state, volume, null, RUNS_MAX + volume.logged.size) is left out':
    'comes where a flush has very many grains to say, which it has in none of these histories (test/core/flushes.test.ts)',
  'leave.ts: yield* flushVolume(state, child) is left out':
    'comes after a full disk, and makes room: only grains that are held durably are punched out, so none is without it',
  'leave.ts: yield* flushVolume(state, child) (2) is left out':
    'makes room early: only grains that are held durably are punched out, and the last flush is for all',
  'mappings.ts: yield* flushVolume(state, source) is left out':
    'shortens the flush of the start that follows, which is made in any case',
  'orphans.ts: yield* state.commit(rows) is not waited for':
    'rows that belong to nobody: what is still there is dropped at the next start, and nobody reads its file',
  "scrub.ts: yield* state.commit([put('scrub', state.scrub)]) is not waited for":
    'where a scrub is: an older place costs a second look',
  'scrub.ts: yield* checkpointBits(state) is left out':
    'comes after damage to a file, which these histories do not have; the next checkpoint writes the bitmap as well',
  'volumes.ts: yield* volume.gate.drain() is left out':
    'a write that is inside ends before the old end, and all that growing changes lies behind it',
};
