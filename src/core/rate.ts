/**
 * The copy rate: 0 to 150, IBM's table. 1-10 is 128 KiB/s and every further ten doubles it; 0 is no background copy.
 * (SVC and Storwize documentation, "Copy rate".)
 */
export const COPY_RATE_MAX = 150;
export const COPY_RATE_DEFAULT = 50;
/** Rate at which a deleted volume's grains are moved to those that need them. */
export const CLEAN_RATE = 120;

/** Bytes a second for a copy rate; Infinity at the top of the table, which no disk here reaches. */
export function bytesPerSecond(copyRate: number): number {
  if (copyRate <= 0) return 0;
  const step = Math.ceil(copyRate / 10) - 1;
  return copyRate > 140 ? Number.POSITIVE_INFINITY : 128 * 1024 * 2 ** step;
}
