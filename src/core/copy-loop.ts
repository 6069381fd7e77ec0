/**
 * The background copy: gives a mapping's target every grain that it lacks, at the mapping's copy rate, and resumes
 * where it was after a restart (the FC bitmap is its memory). At 100 % an incremental mapping is `copied`; a plain one
 * ends, and its target depends on nobody.
 *
 * One loop a mapping, started by whoever makes the mapping `copying` and ended by itself.
 */
import { FlashCopyError } from '../base/errors.ts';
import { bitmapFile } from './bitmap-file.ts';
import { pruneEpochs } from './epochs.ts';
import { fillVolume } from './fill.ts';
import { flushVolume } from './flush.ts';
import { type Given, hydratePieces, nextPiece, type Piece } from './hydrate.ts';
import { holdEverything } from './leave.ts';
import { op, type Plan, type PoolFile, type RowChange } from './ops.ts';
import { NAP_MS, pace } from './pace.ts';
import { bytesPerSecond } from './rate.ts';
import type { MappingRow } from './rows.ts';
import { drop, put, removeFiles, type State } from './state.ts';
import { transition } from './states.ts';
import type { Mapping, Volume } from './volume.ts';

/** Copied between two flushes: what a crash can cost. */
const FLUSH_BYTES = 64 * 1024 * 1024;
/** Copied in one go, in seconds of the copy rate. */
const MOMENT_S = 0.05;
/** After an error: its cause may pass. */
const RETRY_MS = 5000;

export function startCopyLoop(state: State, mapping: Mapping): void {
  if (mapping.running) return;
  mapping.running = true;
  state.runner.spawn(copyLoop(state, mapping), (error) => {
    mapping.running = false;
    if (error === null) return;
    const text = error instanceof Error ? error.message : String(error);
    state.listener.log('error', 'background copy ended with an error', {
      mapping: mapping.row.name,
      error: text,
    });
    mapping.row = { ...mapping.row, error: text };
    state.listener.mappingChanged(mapping.row.id);
  });
}

const wanted = (state: State, mapping: Mapping): boolean =>
  !state.closing && mapping.row.state === 'copying' && state.mappings.get(mapping.row.id) === mapping;

function* copyLoop(state: State, mapping: Mapping): Plan<void> {
  const target = state.volumes.get(mapping.row.target);
  let unflushed = 0;
  while (target !== undefined && wanted(state, mapping)) {
    try {
      unflushed = yield* copyOnce(state, mapping, target, unflushed);
      if (mapping.row.error !== '' && wanted(state, mapping)) noteError(state, mapping, '');
    } catch (error) {
      if (!(error instanceof FlashCopyError)) throw error;
      if (!wanted(state, mapping)) return;
      noteError(state, mapping, error.message);
      yield* pause(state, mapping, RETRY_MS);
    }
  }
}

/** What was copied before and has not been flushed, and what is now: bytes. */
function* copyOnce(state: State, mapping: Mapping, target: Volume, unflushed: number): Plan<number> {
  if (target.held === null || target.held.count >= target.grains) {
    yield* state.structure.run(finish(state, mapping, target));
    return unflushed;
  }
  // A deleted target is not wanted whole, and one that has left the tree has nothing to copy from.
  if (mapping.row.copyRate === 0 || target.row.retired || target.parent === null) {
    yield mapping.wake;
    return unflushed;
  }
  const given = yield* copySome(state, mapping, target);
  let bytes = unflushed + given.bytes;
  if (bytes >= FLUSH_BYTES) {
    yield* flushVolume(state, target);
    bytes = 0;
  }
  if (given.grains > 0) state.listener.mappingChanged(mapping.row.id);
  const goesOn = () => mapping.row.copyRate !== 0 && wanted(state, mapping);
  yield* pace(state, given.bytes, () => bytesPerSecond(mapping.row.copyRate), goesOn);
  return bytes;
}

/** What keeps it from going on; it is tried again. */
function noteError(state: State, mapping: Mapping, text: string): void {
  if (mapping.row.error === text) return;
  mapping.row = { ...mapping.row, error: text };
  state.listener.mappingChanged(mapping.row.id);
  const mappingName = mapping.row.name;
  if (text === '') state.listener.log('info', 'background copy goes on', { mapping: mappingName });
  else
    state.listener.log('error', 'background copy met an error and is tried again', {
      mapping: mappingName,
      error: text,
    });
}

/** As much as the rate allows for a moment. */
function* copySome(state: State, mapping: Mapping, target: Volume): Plan<Given> {
  const budget = Math.min(FLUSH_BYTES, bytesPerSecond(mapping.row.copyRate) * MOMENT_S);
  const given = yield* hydratePieces(state, target, budget, function* () {
    return wanted(state, mapping) ? yield* pieceAtCursor(mapping, target) : null;
  });
  state.counters.grainsCopiedInBackground += given.grains;
  return given;
}

function* pieceAtCursor(mapping: Mapping, target: Volume): Plan<Piece | null> {
  const limit = target.grains;
  let piece = yield* nextPiece(target, Math.min(mapping.cursor, limit), limit);
  if (piece === null && mapping.cursor > 0) {
    mapping.cursor = 0;
    piece = yield* nextPiece(target, 0, limit);
  }
  if (piece !== null) mapping.cursor = piece.end;
  return piece;
}

function* pause(state: State, mapping: Mapping, ms: number): Plan<void> {
  const until = state.clock.micros() + ms * 1000;
  while (wanted(state, mapping) && state.clock.micros() < until) yield op.sleep(NAP_MS);
}

/** All grains are there. */
function* finish(state: State, mapping: Mapping, target: Volume): Plan<void> {
  if (!wanted(state, mapping)) return;
  if (target.held !== null) {
    if (target.held.count < target.grains) return;
    yield* fillVolume(state, target);
    yield* flushVolume(state, target);
  }
  // Without a bitmap its source is gone: there is nothing to sync from.
  if (mapping.row.incremental && target.held !== null) {
    const row = { ...mapping.row, state: transition(mapping.row.name, mapping.row.state, 'copied') };
    yield* state.commit([put('mapping', row)]);
    mapping.row = row;
  } else yield* endMapping(state, mapping, target, null);
  state.listener.mappingChanged(mapping.row.id);
}

/**
 * The target stands alone: it holds everything, durably in its file (or is offline). Those that read through it go on
 * doing so. The mapping is gone, or goes on as `keep`.
 */
export function* endMapping(
  state: State,
  mapping: Mapping,
  target: Volume,
  keep: MappingRow | null,
): Plan<void> {
  const source = state.volumes.get(mapping.row.source);
  const rows: RowChange[] = [keep === null ? drop('mapping', mapping.row.id) : put('mapping', keep)];
  const files: PoolFile[] = [];
  const heldRow = target.held === null ? undefined : state.bitmaps.get(target.held.id);
  if (heldRow !== undefined && heldRow.gen > 0) files.push(bitmapFile(heldRow.id, heldRow.gen));
  if (target.held !== null) rows.push(drop('bitmap', target.held.id));
  const row = { ...target.row, held: null, parent: null };
  rows.push(put('volume', row));
  yield* state.commit(rows);
  const parent = target.parent;
  if (parent !== null) parent.children = parent.children.filter((c) => c !== target);
  target.row = row;
  target.parent = null;
  holdEverything(state, target);
  if (keep === null) state.mappings.delete(mapping.row.id);
  else mapping.row = keep;
  for (const volume of [source, target]) if (volume !== undefined) yield* pruneEpochs(state, volume);
  yield* removeFiles(state, files);
}
