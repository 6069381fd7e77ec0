/**
 * Records of changes that are lost are made anew as "all of it changed": the next sync copies more than it must, and
 * nothing less (C2).
 */
import type { BitmapId } from '../../base/brands.ts';
import type { BitmapRow, EpochRow, VolumeRow } from '../../core/rows.ts';
import { generationsOf } from '../stray-files.ts';
import type { Finding, Repairs } from './findings.ts';
import type { PoolImage } from './pool-image.ts';

const REMEDY = 'The record becomes "all of it changed": the next sync copies the whole volume.';

/** The repair of an epoch whose bitmap cannot be read. */
export function everythingChanged(image: PoolImage, epoch: EpochRow): Pick<Finding, 'remedy' | 'repair'> {
  const volume = image.volumes.get(epoch.volume);
  if (volume === undefined) return { remedy: 'It is dropped with its epoch.', repair: null };
  if (image.engine === undefined) return { remedy: REMEDY, repair: null };
  return { remedy: REMEDY, repair: (repairs) => replace(image, repairs, volume, epoch) };
}

function allSet(image: PoolImage, volume: VolumeRow, id: BitmapId): BitmapRow {
  const bits = image.grains(volume);
  return { id, bits, gen: 0, patch: [], preset: [[0, bits]] };
}

/** By another bitmap: the files of that one, should they be left, say nothing of this one. */
function replace(image: PoolImage, repairs: Repairs, volume: VolumeRow, epoch: EpochRow): void {
  const bitmap = repairs.newId() as BitmapId;
  repairs.rows.push({ table: 'bitmap', key: epoch.bitmap, row: null });
  repairs.rows.push({ table: 'bitmap', key: bitmap, row: allSet(image, volume, bitmap) });
  repairs.rows.push({ table: 'epoch', key: epoch.id, row: { ...epoch, bitmap } });
  repairs.remove.push(...generationsOf(image.dir, epoch.bitmap));
}

/**
 * An epoch's row is lost, and whose it was is not known: so every record says that all changed, and a volume without its
 * open epoch gets one, because its writes must be recorded.
 */
export function replaceEpoch(image: PoolImage, key: number): Pick<Finding, 'remedy' | 'repair'> {
  return {
    remedy: `Every record of changes becomes "all of it changed": the next syncs copy whole volumes.`,
    repair: (repairs) => {
      repairs.rows.push({ table: 'epoch', key, row: null });
      for (const volume of image.volumes.values()) {
        const epochs = image.epochsOf(volume);
        for (const e of epochs) replace(image, repairs, volume, e);
        if (volume.epoch === 0 || epochs.some((e) => e.seq === volume.epoch)) continue;
        const bitmap = repairs.newId() as BitmapId;
        const id = repairs.newId();
        const row: EpochRow = { id, volume: volume.id, seq: volume.epoch, bitmap };
        repairs.rows.push({ table: 'bitmap', key: bitmap, row: allSet(image, volume, bitmap) });
        repairs.rows.push({ table: 'epoch', key: id, row });
      }
    },
  };
}
