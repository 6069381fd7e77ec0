/**
 * The scrub: while the pool is in use, all of it is looked at, slowly, to find damage before somebody needs what is damaged.
 *
 *   bitmap files  whole, and what they say is in memory too. Otherwise memory is the truth: the file is written anew
 *   data          every grain that a volume holds and that is no hole can be read from the disk
 *   holes         where a volume's file is to be a hole, nothing but zeros is (a grain that it does not hold may be
 *                 given as a hole without I/O). Otherwise the file counts as dirty from here on
 *
 * Grains that a volume does not hold are its parent's, and read there. Offline volumes are passed over.
 *
 * One loop, at most so many bytes a second, a quarter of it while the host is at work. Where it is stands in the catalog,
 * so it goes on there after a restart. It holds no lock but that of grains it takes a second look at.
 */
import { IoError } from '../base/errors.ts';
import type { ScrubFinding } from '../base/model.ts';
import type { Bitmap } from './bitmap.ts';
import { readBitmap } from './bitmap-file.ts';
import { checkpointBits } from './checkpoint.ts';
import { SLOT } from './log-record.ts';
import { type Block, type DataRun, op, type Plan, type PoolFile } from './ops.ts';
import { pace } from './pace.ts';
import type { BitmapRow, ScrubRow } from './rows.ts';
import { put, type State } from './state.ts';
import type { Volume } from './volume.ts';

const PIECE_BYTES = 1024 * 1024;
/** The most that is looked at for holes at once. */
const LOOK_BYTES = 64 * 1024 * 1024 * 1024;
/** How often its place becomes durable. */
const SAVE_MS = 10_000;
/** While the host is at work, it takes so many times as long. */
const YIELD = 4;
const FINDINGS_MAX = 100;

type Place = { savedAt: number; hostIo: number };

export function startScrubLoop(state: State): void {
  if (state.scrubbing || state.scrub?.state !== 'running') return;
  state.scrubbing = true;
  state.runner.spawn(scrubLoop(state), (error) => {
    state.scrubbing = false;
    if (error === null) return;
    const text = (error as Error).message;
    state.listener.log('error', 'scrub ended with an error', { error: text });
    if (state.scrub !== null) state.scrub = { ...state.scrub, state: 'stopped', error: text };
  });
}

/** Its row as it is in memory, durably. */
export function* saveScrub(state: State): Plan<void> {
  if (state.scrub !== null) yield* state.commit([put('scrub', state.scrub)]);
}

const wanted = (state: State): boolean => !state.closing && state.scrub?.state === 'running';

function move(state: State, fields: Partial<ScrubRow>): void {
  state.scrub = { ...state.scrub!, ...fields };
}

export function noteFinding(state: State, finding: ScrubFinding): void {
  const { findings } = state.scrub!;
  state.listener.log('error', 'scrub found damage', finding);
  const known = findings.some((f) => f.file === finding.file && f.offset === finding.offset);
  if (!known && findings.length < FINDINGS_MAX) move(state, { findings: [...findings, finding] });
}

function* scrubLoop(state: State): Plan<void> {
  const place: Place = { savedAt: state.clock.micros(), hostIo: hostIo(state) };
  while (wanted(state)) {
    const { volume: from, offset } = state.scrub!;
    const volume = nextVolume(state, from);
    if (volume === undefined) {
      move(state, { state: 'done', endedAt: state.clock.now() });
      break;
    }
    if (volume.id !== from) move(state, { volume: volume.id, offset: 0 });
    if (volume.offline === '' && offset === 0) yield* scrubBitmaps(state, volume);
    while (wanted(state) && isServed(volume) && state.scrub!.offset < volume.sizeBytes)
      yield* scrubSome(state, volume, place);
    if (wanted(state)) move(state, { volume: volume.id + 1, offset: 0 });
  }
  yield* saveScrub(state);
}

const isServed = (volume: Volume): boolean => !volume.removed && volume.offline === '' && !volume.row.retired;

function nextVolume(state: State, from: number): Volume | undefined {
  let next: Volume | undefined;
  for (const v of state.volumes.values())
    if (v.id >= from && !v.row.retired && (next === undefined || v.id < next.id)) next = v;
  return next;
}

function* scrubBitmaps(state: State, volume: Volume): Plan<void> {
  const all = volume.epochs.filter((e) => e.damaged !== true).map((e) => e.bitmap);
  if (volume.held !== null) all.push(volume.held);
  for (const bitmap of all) {
    const row = state.bitmaps.get(bitmap.id);
    if (row === undefined || row.gen === 0) continue;
    const found = yield* wrongInFile(state, bitmap, row, bitmap === volume.held);
    // It may have got another file, or have gone, meanwhile.
    if (found === null || state.bitmaps.get(bitmap.id) !== row || volume.removed) continue;
    const [, at] = /at byte (\d+)/.exec(found) ?? [];
    noteFinding(state, {
      volume: volume.name,
      file: `bitmaps/${row.id}.${row.gen}`,
      offset: at === undefined ? null : Number(at),
      what: `${found}; memory has it whole, and it was written anew`,
    });
    bitmap.dirty = true;
    yield* checkpointBits(state);
  }
}

/** What is wrong with a bitmap's file, or null. That of an epoch may say too much (C2). */
function* wrongInFile(state: State, bitmap: Bitmap, row: BitmapRow, isHeld: boolean): Plan<string | null> {
  let more = -1;
  const visit = (index: number, words: Uint32Array | null) => {
    if (!isHeld) return;
    for (const bit of bitmap.lacking(index, words)) {
      if (row.patch.some(([first, count]) => bit >= first && bit < first + count)) continue;
      more = bit;
      break;
    }
  };
  try {
    yield* readBitmap(state.memory, row, visit);
  } catch (error) {
    return (error as Error).message;
  }
  return more < 0 ? null : `it says grain ${more}, and memory does not`;
}

/** From the scrub's place on: a hole, or some data. */
function* scrubSome(state: State, volume: Volume, place: Place): Plan<void> {
  const { offset } = state.scrub!;
  const { file } = volume;
  const look = op.extents(file, offset, Math.min(LOOK_BYTES, volume.grains * volume.grain - offset));
  try {
    yield look;
  } catch (error) {
    if (!isServed(volume) || volume.file !== file) return;
    noteFinding(state, { volume: volume.name, file: file.path, offset, what: (error as Error).message });
    move(state, { offset: volume.sizeBytes });
    return;
  }
  for (const run of look.runs!) yield* scrubRun(state, volume, file, run, place);
}

function* scrubRun(state: State, volume: Volume, file: PoolFile, run: DataRun, place: Place): Plan<void> {
  const end = run.offset + run.length;
  if (run.hole) move(state, { offset: end });
  const step = Math.max(PIECE_BYTES, volume.grain);
  for (let at = run.offset; !run.hole && at < end; ) {
    if (!wanted(state) || !isServed(volume) || volume.file !== file) return;
    const to = Math.min(end, Math.floor(at / step + 1) * step);
    yield* scrubPiece(state, volume, file, at, to);
    move(state, { offset: to });
    yield* throttle(state, to - at, place);
    at = to;
  }
}

/** Data from byte `from` to `to` of the file, at most a piece. */
function* scrubPiece(state: State, volume: Volume, file: PoolFile, from: number, to: number): Plan<void> {
  const { grain } = volume;
  const end = Math.min(volume.grains, Math.ceil(to / grain));
  for (let g = Math.floor(from / grain); g < end; ) {
    const held = volume.held;
    const holds = held === null || held.get(g);
    const stop = held === null ? end : holds ? held.nextClear(g, end) : held.nextSet(g, end);
    if (holds) yield* readThrough(state, volume, file, Math.max(from, g * grain), Math.min(to, stop * grain));
    else if (volume.sparse) yield* lookForStray(state, volume, g, stop);
    g = stop;
  }
}

function* readThrough(state: State, volume: Volume, file: PoolFile, from: number, to: number): Plan<void> {
  const block = state.memory.take(to - from);
  let failure: IoError | null = null;
  let bad = 0;
  let first = from;
  try {
    yield op.read(file, from, to - from, block);
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    failure = error;
    // Which of it?
    for (let at = from; at < to; at += SLOT) {
      if (yield* canRead(file, at, Math.min(SLOT, to - at), block)) continue;
      if (bad++ === 0) first = at;
    }
  } finally {
    state.memory.give(block);
  }
  if (failure === null || bad === 0 || !isServed(volume) || volume.file !== file) return;
  noteFinding(state, {
    volume: volume.name,
    file: file.path,
    offset: first,
    what: `${bad} blocks of ${SLOT} bytes from there on cannot be read: ${failure.message}`,
  });
}

function* canRead(file: PoolFile, at: number, length: number, block: Block): Plan<boolean> {
  try {
    yield op.read(file, at, length, block);
    return true;
  } catch (error) {
    if (error instanceof IoError) return false;
    throw error;
  }
}

/** Under their lock nobody gives the volume the grains, so what is there is no copy on its way. */
function* lookForStray(state: State, volume: Volume, first: number, end: number): Plan<void> {
  const { grain } = volume;
  const lock = yield* volume.locks.take(first, end - first);
  const block = state.memory.take(grain);
  try {
    for (let g = first; g < end; g++) {
      if (volume.held === null || !volume.sparse || !isServed(volume)) return;
      if (volume.held.get(g)) continue;
      yield op.read(volume.file, g * grain, grain, block);
      if (block.bytes.subarray(0, grain).every((byte) => byte === 0)) continue;
      volume.sparse = false;
      noteFinding(state, {
        volume: volume.name,
        file: volume.file.path,
        offset: g * grain,
        what: `there is data at grain ${g}, which the volume does not hold; it is wiped before the grain is used`,
      });
      return;
    }
  } finally {
    state.memory.give(block);
    volume.locks.give(lock);
  }
}

const hostIo = (state: State): number => state.counters.hostReads + state.counters.hostWrites;

function* throttle(state: State, bytes: number, place: Place): Plan<void> {
  const now = hostIo(state);
  const factor = now === place.hostIo ? 1 : YIELD;
  place.hostIo = now;
  yield* pace(
    state,
    bytes * factor,
    () => state.scrub!.bytesPerSecond,
    () => wanted(state),
  );
  if (state.clock.micros() - place.savedAt < SAVE_MS * 1000) return;
  place.savedAt = state.clock.micros();
  yield* saveScrub(state);
}
