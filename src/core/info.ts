/**
 * What the outside sees of volumes, mappings and the pool. Fields that only the main thread knows (device, allocated
 * bytes, the filesystem) are left empty here; `file` tells it where a volume's data is.
 */
import type { MappingInfo, PoolInfo, VolumeInfo } from '../base/model.ts';
import { VOLATILE_ID } from './arena.ts';
import { Bitmap } from './bitmap.ts';
import { bitmapMemory, bitmapWarnings } from './bitmap-memory.ts';
import { epochsSince, orPages, PAGES_AT_ONCE, windows } from './epochs.ts';
import { SLOT } from './log-record.ts';
import { op, type Plan } from './ops.ts';
import { scrubWarnings } from './scrub-calls.ts';
import type { State } from './state.ts';
import type { Epoch, Mapping, Volume } from './volume.ts';

export type CoreVolumeInfo = VolumeInfo & { file: string };

export function volumeInfo(state: State, volume: Volume): CoreVolumeInfo {
  const { row: r, offline } = volume;
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
    state: offline === '' ? 'online' : stopped ? 'stopped' : 'suspended',
    error: offline,
    allocatedBytes: 0,
    file: volume.file.path,
  };
}

export function* mappingInfo(state: State, mapping: Mapping): Plan<MappingInfo> {
  const [info] = yield* mappingInfos(state, [mapping]);
  return info!;
}

export function* mappingInfos(state: State, mappings: Mapping[]): Plan<MappingInfo[]> {
  const changed = yield* changedGrains(state, mappings);
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

function* changedGrains(state: State, mappings: Mapping[]): Plan<Map<Mapping, number>> {
  const changed = new Map<Mapping, number>();
  let looked = 0;
  for (const [source, all] of Map.groupBy(mappings, ({ row }) => state.volumes.get(row.source))) {
    if (source === undefined) continue;
    const targets = all.flatMap(({ row }) => state.volumes.get(row.target) ?? []);
    const grains = Math.max(source.grains, ...targets.map((target) => target.grains));
    let records = recordsOf(state, source, all);
    for (const { pages } of windows(0, grains)) {
      looked += addChanged(state, source, records, pages, changed);
      if (looked < PAGES_AT_ONCE) continue;
      yield op.sleep(1);
      looked = 0;
      records = recordsOf(state, source, all);
    }
  }
  return changed;
}

/** Who records what has changed since the cut of a mapping: epochs of its source, up to the cut of the one before, and of its target. */
type Records = { mapping: Mapping; inSource: Epoch[]; target: Volume; inTarget: Epoch[] };

/** From the newest cut of the source back: what has changed since one has changed since all that are older. */
function recordsOf(state: State, source: Volume, mappings: Mapping[]): Records[] {
  let until = Number.POSITIVE_INFINITY;
  return mappings
    .toSorted((a, b) => b.row.cut - a.row.cut)
    .flatMap((mapping) => {
      const { cut } = mapping.row;
      const target = state.volumes.get(mapping.row.target);
      if (cut === 0 || target === undefined) return [];
      const inSource = epochsSince(source, cut, until);
      until = cut;
      return [{ mapping, inSource, target, inTarget: epochsSince(target, target.row.since) }];
    });
}

/** How many looks at pages that took. */
function addChanged(
  state: State,
  source: Volume,
  records: Records[],
  pages: number[],
  changed: Map<Mapping, number>,
): number {
  let looked = 0;
  const bits = new Bitmap(state.arena, VOLATILE_ID, source.grains);
  for (const { mapping, inSource, target, inTarget } of records) {
    looked += orPages(inSource, pages, bits);
    let count = (changed.get(mapping) ?? 0) + bits.count;
    if (inTarget.length > 0) {
      const own = new Bitmap(state.arena, VOLATILE_ID, target.grains);
      looked += orPages(inTarget, pages, own);
      own.andNot(bits);
      count += own.count;
      own.release();
    }
    changed.set(mapping, count);
  }
  bits.release();
  return looked;
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
