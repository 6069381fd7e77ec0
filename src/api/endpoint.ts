/** Where an engine is reached: a unix socket that only its owner may open. */
import { FlashCopyError } from '../base/errors.ts';

export const DEFAULT_ENDPOINT = 'unix:///run/flashcopy/flashcopy.sock';

/** The kernel keeps 108 bytes for a socket's path, with a zero at the end; the server adds ".new" for a while. */
const PATH_BYTES_MAX = 103;

/** The path of the socket. */
export function socketPathOf(endpoint: string): string {
  const path = /^unix:(?:\/\/)?(\/.+)$/.exec(endpoint)?.[1];
  if (path === undefined) {
    throw new FlashCopyError(
      'InvalidArgument',
      `The endpoint "${endpoint}" is not a unix socket. Write it like ${DEFAULT_ENDPOINT}.`,
    );
  }
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw new FlashCopyError(
      'InvalidArgument',
      `The socket path ${path} is longer than ${PATH_BYTES_MAX} bytes. Use a shorter one.`,
    );
  }
  return path;
}
