/**
 * The one table between the project's error codes and the status codes that CSI gives a meaning.
 *
 * RESOURCE_EXHAUSTED on creating a volume is the only answer after which Kubernetes lets the scheduler choose another
 * node. FAILED_PRECONDITION and INVALID_ARGUMENT are final until somebody changes something; the others are tried again.
 */
import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { type ErrorCode, FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';

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
  PoolLocked: status.UNAVAILABLE,
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

/** What fits into a header with all its characters escaped. */
const DETAILS_MAX = 2000;

/** An error without a code is a bug; `request` is the call's id in the log, where its stack is found. */
export function csiStatusOf(
  error: unknown,
  request: string,
): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const coded = error instanceof FlashCopyError ? error : undefined;
  if (coded === undefined) {
    log.error('CSI call failed by a bug', { request, error: String((error as Error).stack ?? error) });
    const details = `The driver failed by a bug. Its log has the reason at request ${request}.`;
    return { code: status.INTERNAL, details, metadata: new Metadata() };
  }
  // Half a character could not be escaped.
  const details = coded.message.slice(0, DETAILS_MAX).toWellFormed();
  return { code: statusOfCode[coded.code], details, metadata: new Metadata() };
}
