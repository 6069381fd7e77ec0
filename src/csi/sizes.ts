/**
 * Sizes that requests ask for. A size is a whole number of blocks of 4096, is at least what was required and never more
 * than the limit.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { VolumeInfo } from '../base/model.ts';
import type { CapacityRange__Output } from './generated/csi/v1/CapacityRange.ts';
import type { Found } from './places.ts';

const BLOCK = 4096;
export const SIZE_DEFAULT = 1024 ** 3;
/** The engine's largest volume. */
export const SIZE_MAX = 64 * 1024 ** 4;

/** 0: that bound is open. */
export type SizeRange = { required: number; limit: number };

const outOfRange = (message: string) => new FlashCopyError('OutOfRange', message);

export function sizeRangeOf(range: CapacityRange__Output | null | undefined): SizeRange {
  const required = range?.requiredBytes ?? 0;
  const limit = range?.limitBytes ?? 0;
  if (required < 0 || limit < 0)
    throw outOfRange(`A size of ${Math.min(required, limit)} bytes was asked for. Ask for more than 0.`);
  if (limit > 0 && limit < required)
    throw outOfRange(`At least ${required} and at most ${limit} bytes were asked for. Raise the limit.`);
  return { required, limit };
}

/**
 * The size of a volume. `least`: what its source has, or its filesystem needs. `byDefault`: where nothing was asked for.
 */
export function sizeFor({ required, limit }: SizeRange, least: number, byDefault = least): number {
  const wanted = required > 0 ? required : withinLimit(byDefault, limit);
  const size = Math.ceil(Math.max(wanted, least) / BLOCK) * BLOCK;
  if (limit > 0 && size > limit)
    throw outOfRange(
      `At most ${limit} bytes were asked for, and the volume has to have ${size} (in blocks of ${BLOCK}). Raise the limit.`,
    );
  if (size > SIZE_MAX)
    throw outOfRange(`A size of ${size} bytes was asked for; the largest volume has ${SIZE_MAX} (64Ti).`);
  return size;
}

function withinLimit(size: number, limit: number): number {
  return limit > 0 ? Math.min(size, Math.floor(limit / BLOCK) * BLOCK) : size;
}

/** Whether a volume that is there is what was asked for. */
export function isWithin(sizeBytes: number, { required, limit }: SizeRange): boolean {
  return sizeBytes >= required && (limit === 0 || sizeBytes <= limit);
}

/** The volume, and its device if it has one, are as large as that or larger, whoever else makes it larger meanwhile. */
export async function growToAtLeast({ engine, info }: Found, sizeBytes: number): Promise<VolumeInfo> {
  const name = `#${info.id}`;
  for (let asked = Math.max(sizeBytes, info.sizeBytes); ; ) {
    try {
      return await engine.growVolume(name, asked);
    } catch (error) {
      if (!(error instanceof FlashCopyError && error.code === 'InvalidArgument')) throw error;
      const { sizeBytes: found } = await engine.getVolume(name);
      if (found <= asked) throw error;
      asked = found;
    }
  }
}
