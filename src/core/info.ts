/**
 * What the outside sees of volumes, mappings and the pool. Fields that only the main thread knows (device, allocated
 * bytes, the filesystem) are left empty here; `file` tells it where a volume's data is.
 */
import type { MappingInfo, PoolInfo, VolumeInfo } from '../base/model.ts';
import { VOLATILE_ID } from './arena.ts';
import { Bitmap } from './bitmap.ts';
import { bitmapMemory, bitmapWarnings } from './bitmap-memory.ts';
import { changedSince } from './epochs.ts';
import { SLOT } from './log-record.ts';
import { scrubWarnings } from './scrub-calls.ts';
import type { State } from './state.ts';
import type { Mapping, Volume } from './volume.ts';

export type CoreVolumeInfo = VolumeInfo & { file: string };

export function volumeInfo(state: State, volume: Volume): CoreVolumeInfo {
  const r = volume.row;
  const stopped = r.offline !== '' && state.mappingOf(volume)?.row.state === 'stopped';
  const source = volume.parent === null || r.source === null ? undefined : state.volumes.get(r.source);
  return {
    id: r.id,
    name: r.name,
    kind: r.kind,
    sizeBytes: r.size,
    grainBytes: r.grain,
    provisioning: r.provisioning,
    cowFailure: r.cowFailure,
    source: source === undefined || source.row.retired ? '' : source.name,
    createdAt: r.createdAt,
    labels: r.labels ?? {},
    device: '',
    state: volume.offline === '' ? 'online' : stopped ? 'stopped' : 'suspended',
    error: volume.offline,
    allocatedBytes: 0,
    file: volume.file.path,
  };
}

export const mappingInfo = (state: State, mapping: Mapping): MappingInfo =>
  mappingInfos(state, [mapping])[0]!;

export function mappingInfos(state: State, mappings: Mapping[]): MappingInfo[] {
  const changed = changedGrains(state, mappings);
  return mappings.map((mapping) => infoOf(state, mapping, changed.get(mapping) ?? 0));
}

function infoOf(state: State, mapping: Mapping, changed: number): MappingInfo {
  const r = mapping.row;
  const source = state.volumes.get(r.source);
  const target = state.volumes.get(r.target);
  const grain = target?.grain ?? 0;
  const total = target?.grains ?? 0;
  const started = r.cut > 0;
  const held =
    target === undefined || !started ? 0 : (target.held?.count ?? (r.state === 'stopped' ? 0 : total));
  return {
    id: r.id,
    name: r.name,
    source: source === undefined || source.row.retired ? '' : source.name,
    target: target === undefined || target.row.retired ? '' : target.name,
    state: r.state,
    copyRate: r.copyRate,
    incremental: r.incremental,
    cutAt: r.cutAt,
    totalBytes: total * grain,
    copiedBytes: held * grain,
    remainingBytes: (total - held) * grain,
    changedBytes: changed * grain,
    error: r.error,
  };
}

/** Those of one source from its newest cut back: what has changed since one has changed since all that are older. */
function changedGrains(state: State, mappings: Mapping[]): Map<Mapping, number> {
  const changed = new Map<Mapping, number>();
  const bySource = Map.groupBy(mappings, ({ row }) => state.volumes.get(row.source));
  for (const [source, all] of bySource) {
    if (source === undefined) continue;
    const bits = new Bitmap(state.arena, VOLATILE_ID, source.grains);
    let until = Number.POSITIVE_INFINITY;
    for (const mapping of all.sort((a, b) => b.row.cut - a.row.cut)) {
      const target = state.volumes.get(mapping.row.target);
      if (mapping.row.cut === 0 || target === undefined) continue;
      changedSince(source, mapping.row.cut, bits, until);
      until = mapping.row.cut;
      changed.set(mapping, bits.count + changedInTarget(state, target, bits));
    }
    bits.release();
  }
  return changed;
}

/** Beside what has changed in its source. */
function changedInTarget(state: State, target: Volume, inSource: Bitmap): number {
  if (target.epochs.length === 0) return 0;
  const bits = new Bitmap(state.arena, VOLATILE_ID, target.grains);
  changedSince(target, target.row.since, bits);
  bits.andNot(inSource);
  const { count } = bits;
  bits.release();
  return count;
}

/** What keeps the pool from doing its work, though it serves. */
function warningsOf({ log }: State): string[] {
  const failed = log.failure;
  if (failed !== null)
    return [
      `${failed}. Writes to volumes with copies fail until the engine is started again: look at the pool's disk first.`,
    ];
  if (log.stalled === null) return [];
  return [`The undo log cannot be emptied: ${log.stalled.message}. Look at the pool's disk.`];
}

export function poolInfo(state: State): PoolInfo {
  const all = [...state.volumes.values()];
  const live = all.filter((v) => !v.row.retired);
  return {
    id: '',
    path: '',
    totalBytes: 0,
    freeBytes: 0,
    provisionedBytes: live.reduce((sum, v) => sum + v.row.size, 0),
    volumes: live.filter((v) => v.row.kind === 'volume').length,
    snapshots: live.filter((v) => v.row.kind === 'snapshot').length,
    mappings: state.mappings.size,
    retired: all.length - live.length + Number(state.givingBack),
    logBytes: state.log.slots * SLOT,
    logUsedBytes: state.log.usedSlots * SLOT,
    ...bitmapMemory(state),
    warnings: [...warningsOf(state), ...bitmapWarnings(state), ...scrubWarnings(state)],
  };
}
