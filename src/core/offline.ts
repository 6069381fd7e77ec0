/**
 * Volumes that go offline while they are served: a copy of them failed (B4), or a flush (B3).
 *
 * B3: after a failed flush it is not known what of the volume's file is on the disk. What was durable before is. So those
 *   that read through it are served on, except for who needs a grain that was not durable yet: that one goes offline too.
 *   Grains that the undo log still has count as being there only. Nothing flushes the volume again.
 *
 * In memory a volume is offline at once; `takeOffline` returns when it is durable. Who cannot wait leaves it to a commit
 * of its own and, should that fail, to the next checkpoint (`state.unsaved`). Each begins when no other commit of that volume
 * or of its mapping is under way: it may exchange the content that went offline, or end the mapping, or fail.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { Plan, RowChange } from './ops.ts';
import type { MappingRow } from './rows.ts';
import { put, type State } from './state.ts';
import { transition } from './states.ts';
import type { Mapping, Volume } from './volume.ts';

/** Durably, or it throws and nothing has changed by it. */
export function* takeOffline(state: State, volume: Volume, reason: string): Plan<void> {
  const { file } = volume;
  yield* state.decided(volume);
  if (volume.removed || volume.file !== file) return;
  // In memory it may be, and the catalog not have it yet.
  if (volume.row.offline !== '') return yield* saveOffline(state, volume);
  const before = volume.broken;
  volume.broken = before === '' ? reason : before;
  try {
    yield* state.commit(offlineRows(state, volume));
  } catch (error) {
    // Its flush may have failed meanwhile: then it stays offline, and the catalog has yet to say so.
    if (volume.row.offline === '') volume.broken = before;
    throw error;
  }
  adopt(state, volume);
  state.listener.log('error', 'a copy is broken', { target: volume.name, reason });
}

/** B3. The volume's flush failed with this error. */
export function flushFailed(state: State, volume: Volume, error: Error): void {
  if (volume.removed || volume.unflushed) return;
  volume.flushFailed = true;
  volume.row = { ...volume.row, unflushed: true };
  // Before the log's copies are looked at: the file may have lost what was filled from there.
  state.log.unfill(volume);
  setOffline(state, volume, `a flush of its data failed: ${error.message}`);
  loseReaders(state, volume);
  loseCuts(state, volume);
  // The log keeps nothing for it any more.
  state.log.onPressure();
}

/** Others hang on this volume by now. Beside the commit of that a flush may have failed, of it or of those that it reads through. */
export function loseNewReaders(state: State, parent: Volume | null): void {
  for (let v = parent; v !== null; v = v.parent) if (v.unflushed) loseReaders(state, v);
}

/** B3: those that need what was not durable of a volume whose flush failed. */
function loseReaders(state: State, volume: Volume): void {
  for (const reader of lostReaders(volume))
    setOffline(state, reader, `it needs grains of ${volume.name} that are lost: ${volume.offline}`);
}

/** B3: no flush of the source will make durable any more what its cuts show that are not told yet. */
export function loseCuts(state: State, source: Volume): void {
  for (const target of state.volumes.values()) {
    if (target.unflushedCut === 0 || target.row.source !== source.row.id) continue;
    target.unflushedCut = 0;
    setOffline(state, target, `what it shows could not be made durable: ${source.offline}`);
  }
}

/** At once in memory, in the catalog as soon as it takes it. */
export function setOffline(state: State, volume: Volume, reason: string): void {
  if (volume.removed || (volume.row.offline !== '' && !volume.unflushed)) return;
  if (volume.broken === '') volume.broken = reason;
  state.unsaved.add(volume);
  adopt(state, volume);
  state.listener.log('error', 'volume goes offline', { volume: volume.name, reason });
  state.runner.spawn(record(state, volume), (error) => {
    if (error === null) return;
    state.listener.log('error', 'could not record that a volume is offline', {
      volume: volume.name,
      error: String(error),
    });
  });
}

/** Its content is another one: what was said of the old one does not hold. */
export function setMended(state: State, volume: Volume): void {
  volume.broken = '';
  volume.flushFailed = false;
  state.unsaved.delete(volume);
}

/** Returns when the catalog says that the volume is offline. */
export function* saveOffline(state: State, volume: Volume): Plan<void> {
  if (state.unsaved.has(volume)) yield* record(state, volume);
}

function* record(state: State, volume: Volume): Plan<void> {
  yield* state.decided(volume);
  if (volume.removed || volume.broken === '') return;
  yield* state.commit(offlineRows(state, volume));
  setSaved(state, volume);
}

/** The catalog says it now, and of its mapping too. */
export function setSaved(state: State, volume: Volume): void {
  adopt(state, volume);
  state.unsaved.delete(volume);
}

/** Volumes that are offline and not yet in the catalog. */
const unsaved = (state: State): Volume[] =>
  state.unsaved.all().filter((volume) => state.volumes.get(volume.id) === volume && !volume.removed);

/** When it returns, `unsavedRows` may be committed, at once. */
export function* unsavedDecided(state: State): Plan<void> {
  for (;;) {
    const waits = unsaved(state).find((volume) => state.isBeingChanged(volume));
    if (waits === undefined) return;
    yield* state.decided(waits);
  }
}

export const unsavedRows = (state: State): { volume: Volume; rows: RowChange[] }[] =>
  unsaved(state).map((volume) => ({ volume, rows: offlineRows(state, volume) }));

/** With the mapping that it is the target of. */
function offlineRows(state: State, volume: Volume): RowChange[] {
  const offline = volume.broken || volume.row.offline;
  const row = { ...volume.row, offline, ...(volume.unflushed && { unflushed: true }) };
  const mapping = state.mappingOf(volume);
  return [
    put('volume', row),
    ...(mapping === undefined ? [] : [put('mapping', suspended(mapping, offline))]),
  ];
}

function suspended({ row }: Mapping, error: string): MappingRow {
  const to = row.state === 'suspended' ? row.state : transition(row.name, row.state, 'suspended');
  return { ...row, state: to, error };
}

function adopt(state: State, volume: Volume): void {
  const offline = volume.broken || volume.row.offline;
  // Its content was exchanged just after.
  if (offline === '') return;
  volume.row = { ...volume.row, offline };
  const mapping = state.mappingOf(volume);
  if (mapping === undefined) return;
  mapping.row = suspended(mapping, offline);
  state.runner.fire(mapping.wake);
  state.listener.mappingChanged(mapping.row.id);
}

/** Those who need a grain that only the volume's file has, and not durably. `way`: from its child down to the one whose readers they are. */
function lostReaders(volume: Volume, way: Volume[] = []): Volume[] {
  return (way.at(-1) ?? volume).children.flatMap((child) => {
    const longer = [...way, child];
    return needsLost(volume, longer) ? [child, ...lostReaders(volume, longer)] : [];
  });
}

/** H2: what one on the way has in memory only, the power would have it need again. */
function needsLost(volume: Volume, way: Volume[]): boolean {
  const end = Math.min(...[volume, ...way].map((v) => v.grains));
  for (let g = 0; g < end; ) {
    const next = Math.max(volume.nextUnsure(g, end), ...way.map((v) => v.nextNeeded(g, end)));
    if (next === g) return true;
    g = next;
  }
  return false;
}

/** A broken copy that nobody reads through: it needs nothing any more. */
export const isDead = (state: State, copy: Volume): boolean =>
  copy.row.offline !== '' && copy.children.length === 0 && !state.unsaved.has(copy);

/** What is told of a volume that is asked to be flushed again. */
export function notFlushedAgain(volume: Volume): FlashCopyError {
  return new FlashCopyError('IoError', `${volume.name} is not flushed any more: ${volume.offline}`);
}
