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

/** What a caller is told about a failed call; `asked` names the call and the endpoint. */
export function errorOf(error: ServiceError, asked: string): FlashCopyError {
  const code = error.metadata?.get(CODE_KEY)[0];
  if (typeof code === 'string' && Object.hasOwn(statusOfCode, code)) {
    return new FlashCopyError(code as ErrorCode, error.details);
  }
  switch (error.code) {
    case status.DEADLINE_EXCEEDED:
      return new FlashCopyError(
        'Unavailable',
        `${asked} had no answer in time. It may still take effect: look before asking again.`,
        { cause: error },
      );
    case status.UNAVAILABLE:
      return new FlashCopyError(
        'Unavailable',
        `${asked} did not reach the engine, or it went away meanwhile: ${error.details}. ` +
          'Ask again when it runs; what was asked may have taken effect.',
        { cause: error },
      );
    case status.UNIMPLEMENTED:
      return new FlashCopyError(
        'Internal',
        `${asked} is unknown to the engine: it is of another release.`,
        { cause: error }, // biome-ignore format: one line
      );
    default:
      return new FlashCopyError('Internal', `${asked} failed: ${error.details}`, { cause: error });
  }
}
