/**
 * The one table between the project's error codes and gRPC's status codes, and how an error travels: the status is for
 * whoever knows gRPC only; the code itself is in the trailing metadata, so that a remote caller gets the very error
 * that a caller in the process would.
 */
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { type ErrorCode, FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';

const CODE_KEY = 'flashcopy-code';

const statusOfCode: Record<ErrorCode, status> = {
  InvalidArgument: status.INVALID_ARGUMENT,
  VolumeNotFound: status.NOT_FOUND,
  MappingNotFound: status.NOT_FOUND,
  AlreadyExists: status.ALREADY_EXISTS,
  TargetInUse: status.FAILED_PRECONDITION,
  VolumeInUse: status.FAILED_PRECONDITION,
  WrongState: status.FAILED_PRECONDITION,
  OutOfSpace: status.RESOURCE_EXHAUSTED,
  OutOfRange: status.OUT_OF_RANGE,
  WrongNode: status.RESOURCE_EXHAUSTED,
  BadToken: status.ABORTED,
  PoolLocked: status.FAILED_PRECONDITION,
  PoolUnsuitable: status.FAILED_PRECONDITION,
  PoolTooNew: status.FAILED_PRECONDITION,
  Damaged: status.DATA_LOSS,
  Suspended: status.FAILED_PRECONDITION,
  IoError: status.INTERNAL,
  MissingPrivilege: status.PERMISSION_DENIED,
  MissingKernelFeature: status.FAILED_PRECONDITION,
  Unavailable: status.UNAVAILABLE,
  Internal: status.INTERNAL,
};

/** What a server answers for an error. An error without a code is a bug and is logged where it happened. */
export function statusOf(error: unknown): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const coded = error instanceof FlashCopyError ? error : undefined;
  if (coded === undefined)
    log.error('call failed by a bug', { error: String((error as Error).stack ?? error) });
  const code = coded?.code ?? 'Internal';
  const metadata = new Metadata();
  metadata.set(CODE_KEY, code);
  return { code: statusOfCode[code], details: (error as Error).message ?? String(error), metadata };
}

/**
 * How a call failed. `refused`: the engine answered. `lost`: the connection broke; it may have taken effect. `away`:
 * nobody answered the door, nothing was asked. `untrusted`: one end does not accept the other's certificate.
 * `late`: no answer before the deadline. `unknown`: the engine does not know the call. `broken`: anything else.
 */
export type Failure = 'refused' | 'lost' | 'away' | 'untrusted' | 'late' | 'unknown' | 'broken';

/** What OpenSSL and Node.js call the reasons not to trust a peer. */
const UNTRUSTED = /certificate|altnames|self.signed|unknown ca|handshake failure|unsupported protocol/i;

export function failureOf({ code, details, metadata }: ServiceError): Failure {
  if (codeIn(metadata) !== undefined) return 'refused';
  switch (code) {
    case status.UNAVAILABLE:
      if (!/^No connection established/.test(details)) return 'lost';
      return UNTRUSTED.test(details) ? 'untrusted' : 'away';
    case status.CANCELLED: // by a server that did not want to wait any longer when it stopped
      return 'lost';
    case status.DEADLINE_EXCEEDED:
      return 'late';
    case status.UNIMPLEMENTED:
      return 'unknown';
    default:
      return 'broken';
  }
}

/** What a caller is told about a failed call; `asked` names the call and the endpoint, `again` that it was repeated. */
export function errorOf(error: ServiceError, asked: string, again = false): FlashCopyError {
  const code = codeIn(error.metadata);
  if (code !== undefined) return new FlashCopyError(code, error.details);
  const found = foundIn(error.details);
  const effect = again ? ' What was asked may have taken effect.' : ' Nothing was done.';
  const failed = (as: ErrorCode, text: string) =>
    new FlashCopyError(as, `${asked} ${text}`, { cause: error });
  switch (failureOf(error)) {
    case 'late':
      return failed(
        'Unavailable',
        'had no answer in time. It may still take effect: look before asking again.',
      );
    case 'lost':
      return failed(
        'Unavailable',
        `lost its engine: ${found}. Ask again when it runs; what was asked may have taken effect.`,
      );
    case 'away':
      return failed('Unavailable', `did not reach the engine: ${found}.${effect} ${remedyOf(found)}`);
    case 'untrusted':
      return failed('Unavailable', `did not reach the engine: ${found}.${effect} ${remedyOf(found)}`);
    case 'unknown':
      return failed('Internal', 'is unknown to the engine: it is of another release.');
    default:
      return failed('Internal', `failed: ${found}`);
  }
}

/** The reason alone, of what gRPC says around it. */
function foundIn(details: string): string {
  return details
    .replace(/^No connection established\. ?/, '')
    .replace(/(?:Last error|Resolution note): /g, '')
    .replace(/ \(\d{4}-[^)]*\)/g, '')
    .replace(/^Error(?: \[\w+\])?: /, '')
    .replace(/[. ]+$/, '')
    .replace(/^Failed to connect$/, 'it was connected to, and closed the connection at once');
}

function remedyOf(found: string): string {
  if (/altnames/.test(found))
    return 'It is the engine of another node, or its certificate bears the wrong name.';
  if (/has expired/.test(found)) return 'Issue it a new certificate.';
  if (/at once$/.test(found))
    return 'It may be stopping, or not accept this certificate: both ends need one of the same CA.';
  if (UNTRUSTED.test(found))
    return 'Its certificate is not of a CA that is trusted here: both ends need one of the same CA.';
  return 'Ask again when it runs.';
}

function codeIn(metadata: Metadata | undefined): ErrorCode | undefined {
  const code = metadata?.get(CODE_KEY)[0];
  return typeof code === 'string' && Object.hasOwn(statusOfCode, code) ? (code as ErrorCode) : undefined;
}
