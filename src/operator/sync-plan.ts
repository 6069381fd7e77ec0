/**
 * What is to be done next for a FlashCopySync, from what was observed. No I/O here: sync-reconciler.ts acts.
 *
 *   Waiting    until the mapping is there and has its first cut, until it is this sync's turn, until no pod uses the target
 *   Cutting    noted before the engine is asked: who finds it asks again, with the same request, and the engine makes the cut
 *              once. Nothing else may be synced on this mapping meanwhile
 *   Copying    the cut is made; until the target is complete
 *   Succeeded, Failed   the end; deleted when its time is over
 *
 * The engine remembers the request of a mapping's latest cut only. So syncs of one mapping come one after the other, the
 * oldest first, and one that has got as far as Cutting before all others.
 */
import type { MappingInfo } from '../base/model.ts';
import type { FlashCopyMapping, FlashCopySync } from './resources.ts';
import { durationMs } from './status.ts';

export type SyncObserved = {
  sync: FlashCopySync;
  /** The FlashCopyMapping that it names. */
  object: FlashCopyMapping | undefined;
  /** The engine's mapping. */
  mapping: MappingInfo | undefined;
  /** Pods that use the target. */
  users: readonly string[];
  /** Another sync of the mapping that goes first. */
  before: string | undefined;
  /** The node does not answer, so that nothing is known of the mapping: what it says. */
  unreachable?: string;
  now: number;
};

/** The one reason to wait in whatever phase. */
export const NODE_UNAVAILABLE = 'NodeUnavailable';

type Why = { reason: string; message: string };
export type SyncStep =
  | ({ do: 'wait'; usedBy?: readonly string[] } & Why)
  | ({ do: 'fail'; usedBy?: readonly string[] } & Why)
  /** Note that the cut is begun, then ask for it. */
  | { do: 'begin' | 'cut' | 'watch' | 'succeed' | 'delete' }
  | { do: 'rest'; untilMs: number | undefined };

export const isFinished = ({ status }: FlashCopySync) =>
  status?.phase === 'Succeeded' || status?.phase === 'Failed';
/** It has asked for its cut, or may have. */
const isCutting = ({ status }: FlashCopySync) => status?.phase === 'Cutting';

export function planSync(observed: SyncObserved): SyncStep {
  const { sync, now } = observed;
  if (isFinished(sync)) return planEnd(sync, now);
  const deadline = deadlineOf(sync);
  if (now >= deadline) return { do: 'fail', reason: 'TimedOut', message: overdue(sync) };
  if (observed.unreachable !== undefined)
    return { do: 'wait', reason: NODE_UNAVAILABLE, message: observed.unreachable };
  switch (sync.status?.phase) {
    case 'Cutting':
      return planCutting(observed);
    case 'Copying':
      return planCopying(observed);
    default:
      return planWaiting(observed);
  }
}

function planEnd({ spec, status }: FlashCopySync, now: number): SyncStep {
  if (spec.ttlSecondsAfterFinished === undefined) return { do: 'rest', untilMs: undefined };
  const dueAt = Date.parse(status?.completionTime ?? '') + spec.ttlSecondsAfterFinished * 1000;
  return now >= dueAt ? { do: 'delete' } : { do: 'rest', untilMs: dueAt - now };
}

function deadlineOf({ metadata, spec }: FlashCopySync): number {
  if (spec.timeout === undefined) return Number.POSITIVE_INFINITY;
  return Date.parse(metadata.creationTimestamp) + durationMs(spec.timeout);
}

function overdue({ spec, status }: FlashCopySync): string {
  const found =
    status?.phase === 'Copying'
      ? `its cut was made at ${status.pointInTime}, and the copy goes on behind`
      : status?.phase === 'Cutting'
        ? 'its cut was asked for, and may have been made'
        : `nothing was changed; it waited: ${status?.message ?? 'for its turn'}`;
  return `It was not complete within ${spec.timeout}: ${found}.`;
}

function planWaiting(observed: SyncObserved): SyncStep {
  const { sync, object, mapping, users, before } = observed;
  const { mappingName, whenInUse } = sync.spec;
  if (object === undefined)
    return { do: 'wait', reason: 'MappingMissing', message: `There is no FlashCopyMapping ${mappingName}.` };
  if (!object.spec.incremental)
    return {
      do: 'fail',
      reason: 'NotIncremental',
      message: `The FlashCopyMapping ${mappingName} is not incremental: only those can be synced.`,
    };
  if (object.metadata.deletionTimestamp !== undefined)
    return {
      do: 'fail',
      reason: 'MappingDeleted',
      message: `The FlashCopyMapping ${mappingName} is being deleted.`,
    };
  if (before !== undefined)
    return {
      do: 'wait',
      reason: 'Queued',
      message: `FlashCopySync ${before} of the same mapping goes first.`,
    };
  if (mapping === undefined || (mapping.state !== 'copying' && mapping.state !== 'copied'))
    return {
      do: 'wait',
      reason: 'MappingNotReady',
      message: `The FlashCopyMapping ${mappingName} has no cut that a sync could go on from (${mapping?.state ?? object.status?.state ?? 'Pending'}).`,
    };
  if (users.length === 0) return { do: 'begin' };
  const pods = users.length === 1 ? `pod ${users[0]} uses` : `pods ${users.join(', ')} use`;
  const message = `The ${pods} the target claim ${object.spec.target.claimName}`;
  return whenInUse === 'Fail'
    ? {
        do: 'fail',
        reason: 'TargetInUse',
        message: `${message}, and it is not refreshed under them.`,
        usedBy: users,
      }
    : {
        do: 'wait',
        reason: 'TargetInUse',
        message: `${message}; it is waited until none does.`,
        usedBy: users,
      };
}

/** A pod that came meanwhile keeps the engine from it, which then is said by the engine. */
function planCutting({ sync, mapping }: SyncObserved): SyncStep {
  if (mapping === undefined) return gone(sync);
  return { do: 'cut' };
}

function planCopying({ sync, mapping }: SyncObserved): SyncStep {
  if (mapping === undefined) return gone(sync);
  switch (mapping.state) {
    case 'copied':
      return { do: 'succeed' };
    case 'copying':
      return { do: 'watch' };
    default:
      return {
        do: 'fail',
        reason: 'CopyStopped',
        message: `The mapping became ${mapping.state} before the copy was complete${mapping.error ? `: ${mapping.error}` : ''}.`,
      };
  }
}

const gone = ({ spec }: FlashCopySync): SyncStep => ({
  do: 'fail',
  reason: 'MappingGone',
  message: `The mapping of FlashCopyMapping ${spec.mappingName} was ended before the sync was complete.`,
});

/** Which other sync of the same mapping goes before this one. */
export function turnBefore(sync: FlashCopySync, all: readonly FlashCopySync[]): string | undefined {
  const age = ({ metadata }: FlashCopySync) => `${metadata.creationTimestamp} ${metadata.uid}`;
  const others = all.filter(
    (other) =>
      other.metadata.uid !== sync.metadata.uid &&
      other.spec.mappingName === sync.spec.mappingName &&
      !isFinished(other) &&
      other.metadata.deletionTimestamp === undefined,
  );
  const first =
    others.find(isCutting) ??
    others.find(({ status }) => status?.phase === 'Copying') ??
    others.find((other) => age(other) < age(sync));
  return first?.metadata.name;
}
