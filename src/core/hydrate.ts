/**
 * Hydrate: give a volume grains that it lacks, from its parent. The background copy, cleaning and the filling of the
 * undo log all come down to this.
 *
 * Under the volume's lock over the range a lacking grain's content cannot change: whoever wants to overwrite it
 * further up has to give it to this volume first, and waits for the lock. Only the place can change, so what was
 * found out about a place is checked again after every wait.
 *
 * Bits set here are not durable until the next flush of the volume (H3).
 */
import { FlashCopyError } from '../base/errors.ts';
import { checkFiles } from './bad-file.ts';
import type { Bitmap } from './bitmap.ts';
import { firstSegment, readContent, resolve, type Segment } from './content.ts';
import { flushCut, flushVolume } from './flush.ts';
import type { RangeLock } from './locks.ts';
import { notFlushedAgain } from './offline.ts';
import { type Block, op, type Plan, type PoolFile, Signal } from './ops.ts';
import type { State } from './state.ts';
import type { Volume } from './volume.ts';

/** The most that is copied at once. */
export const PIECE_BYTES = 1024 * 1024;
/** The most that is looked at for holes at once. */
const LOOK_BYTES = 64 * 1024 * 1024 * 1024;
/** The most that is emptied at once: each extent takes the filesystem its time, and hosts wait for the lock. */
const PUNCH_BYTES = 64 * 1024 * 1024;

/** Under way together: enough that scattered grains keep a disk busy. */
const PIECES_MAX = 64;
const BYTES_MAX = 4 * PIECE_BYTES;
/** Then everything else has its turn: holes may be given without any I/O that has to be waited for. */
const PIECES_IN_ONE_GO = 512;

export type Piece = { first: number; end: number };

/** What a volume got. A hole may be longer than any piece of data, costs next to nothing, and counts as PIECE_BYTES at the most. */
export type Given = { grains: number; bytes: number };

const cost = (volume: Volume, grains: number): number => Math.min(grains * volume.grain, PIECE_BYTES);

/** The next grains in [from, limit) that the volume lacks: as many as are one hole, or one piece of data. */
export function* nextPiece(volume: Volume, from: number, limit: number): Plan<Piece | null> {
  const held = volume.held;
  if (held === null || volume.parent === null) return null;
  const first = held.nextClear(from, limit);
  if (first >= limit) return null;
  const grain = volume.grain;
  const end = held.nextSet(first, Math.min(limit, first + LOOK_BYTES / grain));
  const segment = firstSegment(volume, first, end);
  const hole = yield* holeLength(segment, grain);
  const grains =
    hole > 0 ? yield* emptied(volume, first, hole) : Math.min(segment.count, PIECE_BYTES / grain);
  return { first, end: first + grains };
}

/**
 * Give the volume the pieces that `next` names, many at a time, until about `budget` bytes are done or there is no more.
 * After a failure of one, the others have ended too.
 */
export function* hydratePieces(
  state: State,
  volume: Volume,
  budget: number,
  next: () => Plan<Piece | null>,
): Plan<Given> {
  const given: Given = { grains: 0, bytes: 0 };
  let pieces = 0;
  let bytes = 0;
  let failure: unknown = null;
  const ended = new Signal();
  for (let asked = 0, n = 1; asked < budget; n++) {
    if (n % PIECES_IN_ONE_GO === 0) yield op.sleep(1);
    while (pieces > 0 && (pieces >= PIECES_MAX || bytes >= BYTES_MAX)) yield ended;
    if (failure !== null) break;
    const piece = yield* next();
    if (piece === null) break;
    const size = cost(volume, piece.end - piece.first);
    asked += size;
    bytes += size;
    pieces++;
    state.runner.spawn(hydrate(state, volume, piece.first, piece.end, given), (error) => {
      if (error !== null) failure = error;
      pieces--;
      bytes -= size;
      state.runner.fire(ended);
    });
  }
  while (pieces > 0) yield ended;
  if (failure !== null) throw failure;
  return given;
}

/** The volume gets what it lacks of these grains, durably. */
export function* giveRange(state: State, volume: Volume, bits: Bitmap): Plan<void> {
  const limit = Math.min(bits.bits, volume.grains);
  let g = 0;
  const next = function* () {
    while (g < limit) {
      const first = bits.nextSet(g, limit);
      const end = bits.nextClear(first, limit);
      const piece = yield* nextPiece(volume, first, end);
      g = piece === null ? end : piece.end;
      if (piece !== null) return piece;
    }
    return null;
  };
  const given = yield* hydratePieces(state, volume, Number.POSITIVE_INFINITY, next);
  state.counters.grainsCleaned += given.grains;
  if (volume.pending.length > 0) yield* flushVolume(state, volume);
}

/** Whole grains from the segment's start on that are a hole in its owner's file. */
function* holeLength(segment: Segment, grain: number): Plan<number> {
  if (segment.slot >= 0) return 0;
  return yield* holeIn(segment.owner.file, segment.first, segment.count, grain);
}

function* holeIn(file: PoolFile, first: number, count: number, grain: number): Plan<number> {
  const look = op.extents(file, first * grain, count * grain);
  try {
    yield look;
  } catch {
    return 0; // The owner went away; whoever copies looks for the content again.
  }
  const run = look.runs![0]!;
  return run.hole ? Math.floor(Math.min(run.length, count * grain) / grain) : 0;
}

/** Of grains that are to be a hole of the volume's: as many as are one in its file, or as can be made one at once. */
function* emptied(volume: Volume, first: number, count: number): Plan<number> {
  if (volume.sparse) return count;
  const empty = yield* holeIn(volume.file, first, count, volume.grain);
  return Math.max(empty, Math.min(count, PUNCH_BYTES / volume.grain));
}

/** Give the volume what it lacks of grains [first, end). */
function* hydrate(state: State, volume: Volume, first: number, end: number, given: Given): Plan<void> {
  const lock = yield* lockSettled(state, volume, first, end);
  try {
    for (let g = first; ; ) {
      const held = volume.held;
      if (held === null || volume.parent === null || volume.removed) return;
      g = held.nextClear(g, end);
      if (g >= end) return;
      const stop = held.nextSet(g, end);
      const segment = firstSegment(volume, g, stop);
      checkFiles(volume, segment.owner);
      const hole = yield* holeLength(segment, volume.grain);
      const now = firstSegment(volume, g, stop);
      if (now.owner !== segment.owner || now.slot !== segment.slot || now.count !== segment.count) continue;
      const count = hole > 0 ? hole : Math.min(segment.count, PIECE_BYTES / volume.grain);
      // One that is lost counts as having it.
      if (volume.badFile !== '') checkFiles(volume, volume);
      else if (hole > 0) yield* makeHole(volume, g, count);
      else yield* copyGrains(state, volume, g, count);
      // B3: such a bit would never become durable.
      if (volume.unflushed) throw notFlushedAgain(volume);
      held.setRange(g, count);
      volume.addPending(g, count);
      given.grains += count;
      given.bytes += cost(volume, count);
      g += count;
    }
  } finally {
    volume.locks.give(lock);
  }
}

/**
 * The lock, when what the volume shows of its source is durable, or what it lacks is in the undo log, and so is durable anyhow: a
 * full log may have to get rid of that. A flush may take long, which is no place for locks.
 */
function* lockSettled(state: State, volume: Volume, first: number, end: number): Plan<RangeLock> {
  for (;;) {
    const lacksRoom = yield* flushCut(state, volume);
    const lock = yield* volume.locks.take(first, end - first);
    if (volume.unflushedCut === 0 || isInLog(volume, first, end)) return lock;
    volume.locks.give(lock);
    if (lacksRoom) throw takesLater(volume);
  }
}

/** All of it that the volume lacks, in one piece as `nextPiece` found it. Under the lock: from there grains can come to a file only. */
function isInLog(volume: Volume, first: number, end: number): boolean {
  if (volume.parent === null) return true;
  if ((end - first) * volume.grain > PIECE_BYTES) return false;
  return resolve(volume, first, end).every((s) => s.slot >= 0 || s.owner === volume);
}

const takesLater = (volume: Volume): FlashCopyError =>
  new FlashCopyError('Unavailable', `${volume.name} takes nothing of its source until the undo log has room`);

/** Nothing is wrong with a volume that could not be given something: it takes it when the undo log has room. */
export const isForLater = (error: unknown): boolean =>
  error instanceof FlashCopyError && error.code === 'Unavailable';

function* makeHole(volume: Volume, first: number, count: number): Plan<void> {
  const { file, grain, sparse } = volume;
  if (sparse || (yield* holeIn(file, first, count, grain)) === count) return;
  yield volume.zero(first * grain, count * grain);
}

function* copyGrains(state: State, volume: Volume, first: number, count: number): Plan<void> {
  const length = count * volume.grain;
  const block = state.memory.take(length);
  try {
    yield* readContent(state, volume, first * volume.grain, length, block, 0);
    yield* writeCopy(volume, first * volume.grain, length, block);
  } finally {
    state.memory.give(block);
  }
}

function* writeCopy(volume: Volume, offset: number, length: number, block: Block): Plan<void> {
  try {
    yield op.write(volume.file, offset, length, block, 0);
  } catch (error) {
    // As where a host's write fails: some of it may be in the file.
    volume.sparse = false;
    throw error;
  }
}
