/**
 * Each file of a volume bears its own name as an extended attribute, so that files that were exchanged, or put back under
 * a wrong name, are not taken for each other: what is in them has no checksum.
 *
 * A file without a mark says nothing: the filesystem may have none, or a copy may have lost it.
 */
import { attributeOf, setAttribute } from '../sys/libc.ts';

const NAME = 'user.flashcopy.file';

/** Bitmap files say inside whose they are. */
export function markFile(fd: number, file: string): void {
  if (file.startsWith('volumes/')) setAttribute(fd, NAME, file, file);
}

/** Which file it is by its mark; null: it has none. */
export const markOf = (path: string): string | null => attributeOf(path, NAME);
