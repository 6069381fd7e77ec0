/**
 * Volumes that go offline while they are served: a copy of them failed (B4), or a flush (B3).
 *
 * B3: after a failed flush it is not known what of the volume's file is on the disk. What was durable before is. So those
 *   that read through it are served on, except for who needs a grain that was not durable yet: that one goes offline too.
 *   Grains that the undo log still has count as being there only. Nothing flushes the volume again.
 *
 * In memory a volume is offline at once; `takeOffline` returns when it is durable. Who cannot wait leaves it to a commit
 * of its own and, should that fail, to the next checkpoint (`state.unsaved`).
 */
import { FlashCopyError } from '../base/errors.ts';
import type { Plan, RowChange } from './ops.ts';
import { put, type State } from './state.ts';
import { transition } from './states.ts';
import type { Volume } from './volume.ts';

/** Durably, or it throws and nothing has changed. */
export function* takeOffline(state: State, volume: Volume, reason: string): Plan<void> {
  if (volume.removed) return;
  // In memory it may be, and the catalog not have it yet.
  if (volume.row.offline !== '') return yield* saveOffline(state, volume);
  const before = volume.broken;
  volume.broken = before === '' ? reason : before;
  try {
    yield* state.commit(offlineRows(state, volume));
  } catch (error) {
    volume.broken = before;
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
  const lost = lostReaders(volume);
  setOffline(state, volume, `a flush of its data failed: ${error.message}`);
  for (const reader of lost)
    setOffline(state, reader, `it needs grains of ${volume.name}, whose flush failed: ${error.message}`);
  // Its readers leave it, and the log keeps nothing for it any more.
  state.log.onPressure();
}

/** At once in memory, in the catalog as soon as it takes it. */
export function setOffline(state: State, volume: Volume, reason: string): void {
  if (volume.removed || (volume.row.offline !== '' && !volume.unflushed)) return;
  if (volume.broken === '') volume.broken = reason;
  state.unsaved.add(volume);
  const changes = offlineRows(state, volume);
  adopt(state, volume);
  state.listener.log('error', 'volume goes offline', { volume: volume.name, reason });
  state.runner.spawn(state.commit(changes), (error) => {
    if (error === null) state.unsaved.delete(volume);
    else
      state.listener.log('error', 'could not record that a volume is offline', {
        volume: volume.name,
        error: String(error),
      });
  });
}

/** Returns when the catalog says that the volume is offline. */
export function* saveOffline(state: State, volume: Volume): Plan<void> {
  if (volume.removed || !state.unsaved.has(volume)) return;
  yield* state.commit(offlineRows(state, volume));
  state.unsaved.delete(volume);
}

/** Rows of volumes that are offline and not yet in the catalog. */
export const unsavedRows = (state: State): { volume: Volume; row: RowChange }[] =>
  state.unsaved
    .all()
    .filter((volume) => state.volumes.get(volume.id) === volume && !volume.removed)
    .map((volume) => ({ volume, row: put('volume', { ...state.newestRow(volume) }) }));

/** With the mapping that it is the target of. */
function offlineRows(state: State, volume: Volume): RowChange[] {
  const offline = volume.broken || volume.row.offline;
  const row = { ...state.newestRow(volume), offline, ...(volume.unflushed && { unflushed: true }) };
  const changes: RowChange[] = [put('volume', row)];
  const mapping = state.mappingOf(volume);
  if (mapping !== undefined && mapping.row.state !== 'suspended')
    changes.push(
      put('mapping', {
        ...mapping.row,
        state: transition(mapping.row.name, mapping.row.state, 'suspended'),
        error: offline,
      } as never),
    );
  return changes;
}

function adopt(state: State, volume: Volume): void {
  const offline = volume.broken || volume.row.offline;
  volume.row = { ...volume.row, offline };
  const mapping = state.mappingOf(volume);
  if (mapping === undefined) return;
  mapping.row = { ...mapping.row, state: 'suspended', error: offline };
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

/** What is told of a volume that is asked to be flushed again. */
export function notFlushedAgain(volume: Volume): FlashCopyError {
  return new FlashCopyError('IoError', `${volume.name} is not flushed any more: ${volume.offline}`);
}
