/**
 * Volumes whose data file is not what it must be: missing, short, or another one's (B1). What such a file lacks would be read
 * as zeros, and nobody could tell them from the volume's own; once something is written behind its end, it looks whole.
 *
 *   - it shows nothing, nor does who reads through it, also where that comes to hang on it after it was found
 *   - nobody is given a grain out of it, and it is given none: not in the background, nor for who leaves the tree
 *   - it does not grow; it stays as it was found until it is put back and the next engine finds it whole: nothing is written to it,
 *     from the undo log neither, and nothing in it is emptied: it may be another volume's
 *   - it is not flushed, which would say nothing of the volume's own; so of its bits only those are made durable that were known to
 *     be before, and the others go on waiting
 *   - a volume that gets another file is a whole one; the mark stays with the old one, whoever keeps it for those that read from it
 *
 * One that is lost, with all that read through it (offline in the catalog), may have anything: it is never shown.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { Volume } from './volume.ts';

/** Before the volume is given a grain that `owner` has in its file. */
export function checkFiles(volume: Volume, owner: Volume): void {
  const badFile = owner.badFile || volume.badFile;
  if (badFile === '' || isLost(volume)) return;
  throw new FlashCopyError(
    'Damaged',
    `${volume.name} cannot be given what ${owner.name} has: ${badFile}. Put the file back and start the engine again`,
  );
}

/** With all that read through it: whatever it is said to have, nobody sees it. */
const isLost = (volume: Volume): boolean =>
  [volume, ...volume.readers()].every(({ row }) => row.offline !== '');

/** For its file, which cannot be flushed until then. */
export const isWaiting = (volume: Volume): boolean => volume.badFile !== '' && !isLost(volume);

/** Before what the undo log has of the volume comes to its file. */
export function checkFile({ name, badFile }: Volume): void {
  if (badFile !== '') throw new FlashCopyError('Damaged', `nothing comes to the file of ${name}: ${badFile}`);
}

/** In place of a flush. Nothing has failed (B3): the volume waits. */
export function checkFlush(volume: Volume): void {
  if (isWaiting(volume))
    throw new FlashCopyError('Damaged', `${volume.name} cannot be flushed: ${volume.badFile}`);
}

/**
 * Its file or what is in it, when the volume needs it no more: a bad one may be another volume's, under a wrong name. The next
 * engine that finds all files as they must be removes it.
 */
export const mayRemove = (volume: Volume): boolean => volume.badFile === '';

/** One that holds everything reads nothing of its parent. */
const isLacking = ({ held, grains }: Volume): boolean => held !== null && held.count < grains;

export const lackingChildren = (volume: Volume): Volume[] => volume.children.filter(isLacking);

/** Why nobody may see what the volume shows: its file is bad, or that of one that it reads through as the tree is now. */
export function unreadable(volume: Volume): string {
  for (let v = volume; ; v = v.parent) {
    if (v.badFile !== '') return v === volume ? v.badFile : `it reads through ${v.name}: ${v.badFile}`;
    if (!isLacking(v) || v.parent === null) return '';
  }
}

/**
 * Whether nothing is lost by waiting for the file: nothing comes to it meanwhile. The volume lacks nothing, durably, or reads what
 * it lacks from others whose file is not there either, so that nobody overwrites that; and the log has nothing for it.
 */
export function canWait(volume: Volume): boolean {
  const needsLog = volume.unfilled > 0 || [...volume.logged.keys()].some((g) => isPending(volume, g));
  return !needsLog && (volume.holdsDurably(0, volume.grains) || readsThroughBadFile(volume));
}

const readsThroughBadFile = ({ parent }: Volume): boolean => parent !== null && unreadable(parent) !== '';

const isPending = ({ pending }: Volume, grain: number): boolean => pending.some((bits) => bits.get(grain));
