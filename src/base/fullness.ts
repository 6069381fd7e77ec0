/**
 * When a pool counts as nearly full, and as full: one rule for warnings, conditions of volumes and events, so that no two
 * of them disagree.
 */
export type Room = { totalBytes: number; freeBytes: number };
export type Fullness = 'has room' | 'nearly full' | 'full';

const FREE_PART_MIN = 0.1;
/** Once it is nearly full it has room again only above this: what comes and goes around the limit is told once. */
const FREE_PART_AGAIN = 0.12;
/** Less is no room: what is still free then is soon taken by catalog, bitmaps and the reserve. */
const FREE_BYTES_MIN = 16 * 1024 * 1024;
/** A thick volume never takes the last: what all others go on with, until somebody makes room, and what the reserve is made of. */
export const THICK_LEAVES_BYTES = 64 * 1024 * 1024;

/** `before`: what it was when it was last looked at, where somebody remembers. */
export function fullnessOf(
  { totalBytes, freeBytes }: Room,
  before: Fullness | undefined = 'has room',
): Fullness {
  if (freeBytes < FREE_BYTES_MIN) return 'full';
  const part = before === 'has room' ? FREE_PART_MIN : FREE_PART_AGAIN;
  return freeBytes < totalBytes * part ? 'nearly full' : 'has room';
}

/** "93 % full: 716.8 MiB of 10.0 GiB are free" */
export function fullnessText({ totalBytes, freeBytes }: Room): string {
  const percent = totalBytes === 0 ? 100 : Math.floor((1 - freeBytes / totalBytes) * 100);
  return `${percent} % full: ${sizeText(freeBytes)} of ${sizeText(totalBytes)} are free`;
}

export function sizeText(bytes: number): string {
  return bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
