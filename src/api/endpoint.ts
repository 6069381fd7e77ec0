/**
 * Where an engine is reached: a unix socket that only its owner may open, or mutual TLS over TCP. There is no third
 * form, so nothing can come to speak plain text over a network by a slip of the pen.
 */
import { FlashCopyError } from '../base/errors.ts';

export const DEFAULT_ENDPOINT = 'unix:///run/flashcopy/flashcopy.sock';

export type Endpoint = { kind: 'unix'; path: string } | { kind: 'tls'; address: string };

/** The kernel keeps 108 bytes for a socket's path, with a zero at the end; the server adds "." and ".new" for a while. */
const PATH_BYTES_MAX = 102;

const invalid = (message: string) => new FlashCopyError('InvalidArgument', message);

export function parseEndpoint(endpoint: string): Endpoint {
  const path = /^unix:(?:\/\/)?(\/.+)$/.exec(endpoint)?.[1];
  if (path !== undefined) return { kind: 'unix', path: checkedPath(path) };
  const address = /^tls:\/\/(.+)$/.exec(endpoint)?.[1];
  if (address !== undefined) return { kind: 'tls', address: checkedAddress(address) };
  throw invalid(
    `The endpoint "${endpoint}" is neither a unix socket nor TLS. Write it like ${DEFAULT_ENDPOINT} or tls://10.0.0.7:9750.`,
  );
}

/** The path of an endpoint that has to be a unix socket: what is served there is for this machine only. */
export function socketPathOf(endpoint: string): string {
  const parsed = parseEndpoint(endpoint);
  if (parsed.kind === 'unix') return parsed.path;
  throw invalid(`The endpoint "${endpoint}" is not a unix socket. Write it like ${DEFAULT_ENDPOINT}.`);
}

/** "host:port", as it is: a name, an IPv4 address or an IPv6 address in brackets; 0 lets the system choose a port. */
export function checkedAddress(address: string): string {
  const port = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})$/.exec(address)?.[1];
  if (port !== undefined && Number(port) <= 65535) return address;
  throw invalid(
    `The address "${address}" is not a host and a port. Write it like 10.0.0.7:9750 or [fd00::7]:9750.`,
  );
}

function checkedPath(path: string): string {
  if (Buffer.byteLength(path) <= PATH_BYTES_MAX) return path;
  throw invalid(`The socket path ${path} is longer than ${PATH_BYTES_MAX} bytes. Use a shorter one.`);
}
