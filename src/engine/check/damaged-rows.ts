/**
 * Rows that do not have their checksum: whom that concerns, and what of them other rows still tell.
 *
 *   volume    it is offline, with those that read through it; nothing else tells what it was
 *   bitmap    of an epoch: all changed. FC bitmap: the volume is lost, nothing else tells what it holds
 *   epoch     all changed, everywhere: whose it was is not known
 *   mapping   the target still says of what it is a copy; it becomes a plain copy. Not if it may be one of several
 *   engine    the pool cannot be opened
 */
import type { BitmapId, EpochSeq, MappingId } from '../../base/brands.ts';
import { COPY_RATE_DEFAULT } from '../../core/rate.ts';
import type { MappingRow, VolumeRow } from '../../core/rows.ts';
import { everythingChanged, replaceEpoch } from './change-records.ts';
import { type Finding, finding, RESTORE } from './findings.ts';
import type { PoolImage } from './pool-image.ts';

const CATALOG = 'catalog.db';
type DamagedRow = PoolImage['stored']['damaged'][number];

export const LOST = `${RESTORE} Or delete the volume, and restore what it held from a snapshot or a backup.`;

export function damagedRowFindings(image: PoolImage): Finding[] {
  return image.stored.damaged.map((d) => finding(CATALOG, d.error, concernOf(image, d)));
}

function concernOf(image: PoolImage, d: DamagedRow): Partial<Finding> {
  if (d.table === 'volume') return { volumes: [`#${d.key}`, ...image.readersOfMissing(d.key)], remedy: LOST };
  if (d.table === 'bitmap') return bitmapConcern(image, d.key as BitmapId);
  if (d.table === 'epoch') {
    const asked = [...image.volumes.values()].filter((v) => v.epoch > 0);
    return { volumes: asked.map((v) => v.name), ...replaceEpoch(image, d.key) };
  }
  if (d.table === 'mapping') return mappingConcern(image, d.key as MappingId);
  if (d.table === 'scrub')
    return {
      remedy: 'It is dropped: what the last scrub found is forgotten. Start another.',
      repair: ({ rows }) => void rows.push({ table: 'scrub', key: d.key, row: null }),
    };
  return { volumes: [...image.volumes.values()].map((v) => v.name) };
}

function bitmapConcern(image: PoolImage, id: BitmapId): Partial<Finding> {
  const holder = image.holderOf(id);
  if (holder !== undefined) return { volumes: image.withReaders(holder), remedy: LOST };
  const epoch = image.epochWith(id);
  if (epoch === undefined) return {};
  const volume = image.volumes.get(epoch.volume)?.name;
  return { volumes: volume === undefined ? [] : [volume], ...everythingChanged(image, epoch) };
}

function mappingConcern(image: PoolImage, id: MappingId): Partial<Finding> {
  const targets = [...image.volumes.values()].filter(
    (v) => v.held !== null && !v.retired && image.mappingTo(v) === undefined,
  );
  const volumes = targets.map((v) => v.name);
  const [target] = targets;
  const damaged = image.stored.damaged;
  const sure =
    damaged.every((d) => d.table !== 'volume') && damaged.filter((d) => d.table === 'mapping').length === 1;
  if (!sure || targets.length > 1) return { volumes };
  if (target === undefined)
    return {
      volumes,
      remedy: 'The row is dropped: no volume is its target any more, or not yet. Create the mapping again.',
      repair: ({ rows }) => void rows.push({ table: 'mapping', key: id, row: null }),
    };
  if (target.source === null || target.cut === undefined) return { volumes };
  const row = copyOf(target, id);
  return {
    volumes,
    remedy: `${target.name} becomes the target of a plain mapping ${row.name}: its content is whole, its rate and that it was incremental are forgotten.`,
    repair: ({ rows }) => void rows.push({ table: 'mapping', key: id, row }),
  };
}

/** What a target's own row says of its mapping. */
function copyOf(target: VolumeRow, id: MappingId): MappingRow {
  return {
    id,
    name: target.name,
    source: target.source!,
    target: target.id,
    state: target.offline === '' ? 'copying' : 'suspended',
    copyRate: target.kind === 'snapshot' ? 0 : COPY_RATE_DEFAULT,
    incremental: false,
    cut: target.cut! as EpochSeq,
    cutAt: target.createdAt,
    error: target.offline,
  };
}
