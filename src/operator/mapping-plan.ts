/**
 * What is to be done next for a FlashCopyMapping, from what was observed. No I/O here: mapping-reconciler.ts acts.
 *
 *   the node does not answer              wait
 *   no finalizer                          add it: from now on nothing is left behind in an engine
 *   a claim is missing, pending, foreign  wait; a pending target that waits for a consumer is pinned to the source's node
 *   target has no mapping                 create one, note its name in the status, then start it
 *   target has a clone's mapping          adopt it: same source, incremental
 *   target has another mapping            wait until that is gone
 *   idle                                  wait while the target is used; start
 *   copying, copied                       tell progress; keep the copy rate as asked
 *   copied, not incremental               note that it is complete, then end it: the target is independent
 *   the mapping is gone after its cut     say so; never begin again by itself, that would overwrite the target
 *   being deleted                         Finish: wait until copied, end it. Discard: end it. Then give up the finalizer
 *
 * An engine's mapping of this operator is incremental in any case, so that its completion can be seen and not missed.
 */
import type { MappingInfo } from '../base/model.ts';
import { SELECTED_NODE } from './pin-plan.ts';
import type { FlashCopyMapping } from './resources.ts';
import { type ClaimState, DRIVER } from './world.ts';

export const FINALIZER = 'flashcopy.dev/mapping';
const OWN = 'fcm-';

/** What the operator calls the mapping of an object in its engine. */
export const engineMappingName = (object: FlashCopyMapping): string => `${OWN}${object.metadata.uid}`;

export type MappingObserved = {
  object: FlashCopyMapping;
  source: ClaimState;
  target: ClaimState;
  /** Of the target volume. */
  mapping: MappingInfo | undefined;
  /** Pods that use the target claim. */
  users: readonly string[];
  /** The target is attached to its node, whoever uses it. */
  attached: boolean;
  /** An older object with the same target. */
  rival: string | undefined;
  /** The node does not answer, so that nothing of the above but the object is known: what it says. */
  unreachable?: string;
};

/** Why it is not Ready. */
type Why = { reason: string; message: string };
export type MappingStep =
  | { do: 'addFinalizer' | 'noteMapping' | 'noteComplete' | 'release' }
  | { do: 'create' | 'start' }
  | { do: 'pin'; node: string }
  | { do: 'setRate'; copyRate: number }
  | { do: 'end'; force: boolean }
  /** Nothing, until something changes or time has passed. `warn`: somebody should look. */
  | ({ do: 'wait'; warn?: boolean } & Why)
  | { do: 'watch' };

const wait = (reason: string, message: string, warn = false): MappingStep => ({
  do: 'wait',
  reason,
  message,
  warn,
});

export function planMapping(observed: MappingObserved): MappingStep {
  const { object, rival, unreachable } = observed;
  const { metadata, status } = object;
  if (unreachable !== undefined) return wait('NodeUnavailable', unreachable, true);
  if (metadata.deletionTimestamp !== undefined) return planDeletion(observed);
  if (!metadata.finalizers?.includes(FINALIZER)) return { do: 'addFinalizer' };
  if (status?.state === 'Completed') return planCompleted(observed);
  if (rival !== undefined)
    return wait('TargetTaken', `The claim ${object.spec.target.claimName} is already the target of ${rival}.`, true); // biome-ignore format: one line
  return planClaims(observed) ?? planCopy(observed);
}

/** Undefined: both claims are bound, to volumes of one node. */
function planClaims({ object, source, target }: MappingObserved): MappingStep | undefined {
  const sourceProblem = problemOf('source', object.spec.source.claimName, source);
  if (sourceProblem !== undefined) return sourceProblem;
  if (source.is !== 'bound') return undefined;
  const { node } = source.found;
  if (target.is === 'pending') {
    const { storageClass, claim } = target;
    const isOurs = storageClass?.provisioner === DRIVER;
    const selected = claim.metadata.annotations?.[SELECTED_NODE];
    if (isOurs && storageClass.volumeBindingMode === 'WaitForFirstConsumer' && selected !== node)
      return { do: 'pin', node };
  }
  const targetProblem = problemOf('target', object.spec.target.claimName, target);
  if (targetProblem !== undefined) return targetProblem;
  if (target.is !== 'bound' || target.found.node === node) return undefined;
  return wait(
    'DifferentNodes',
    `The source is on node ${node}, the target on ${target.found.node}: a mapping is within one node. ` +
      'Make the target anew, for a pod on the node of the source or for none.',
    true,
  );
}

function problemOf(which: string, name: string, claim: ClaimState): MappingStep | undefined {
  switch (claim.is) {
    case 'missing':
      return wait('ClaimMissing', `The ${which} claim ${name} does not exist.`, true);
    case 'pending':
      return wait('ClaimPending', `The ${which} claim ${name} is not bound to a volume yet.`);
    case 'foreign':
      return wait(
        'ClaimForeign',
        `The ${which} claim ${name} is a volume of ${claim.driver}, not of ${DRIVER}.`,
        true,
      );
    case 'lost':
      return wait('VolumeLost', `The volume ${claim.handle} of the ${which} claim ${name} is not there any more.`, true); // biome-ignore format: one line
    case 'bound':
      return undefined;
  }
}

function planCopy(observed: MappingObserved): MappingStep {
  const { object, mapping, source, users } = observed;
  const { spec, status } = object;
  const begun = status?.pointInTime !== undefined;
  if (mapping === undefined) {
    if (!begun) return { do: 'create' };
    return wait(
      'MappingGone',
      'The mapping was ended in the engine, by hand or with a volume. The target keeps what it holds. To copy anew, delete ' +
        'this object and create it again.',
      true,
    );
  }
  const foreign = source.is === 'bound' && notOurs(observed, mapping, source.found.info.name);
  if (foreign) return foreign;
  if (status?.mapping !== mapping.name) return { do: 'noteMapping' };
  switch (mapping.state) {
    case 'idle':
    case 'preparing':
    case 'prepared':
      return users.length > 0 ? inUse(spec.target.claimName, users) : { do: 'start' };
    case 'copying':
    case 'copied':
      if (mapping.copyRate !== spec.copyRate) return { do: 'setRate', copyRate: spec.copyRate };
      return mapping.state === 'copied' && !spec.incremental ? { do: 'noteComplete' } : { do: 'watch' };
    case 'stopping':
    case 'stopped':
      return wait('Stopped', 'The mapping was stopped in the engine. Start it there, or delete this object.', true); // biome-ignore format: one line
    case 'suspended':
      return wait('Suspended', mapping.error || 'Its metadata or data cannot be reached.', true);
  }
}

/** Undefined: it is this object's, or can become it. */
function notOurs(
  { object }: MappingObserved,
  mapping: MappingInfo,
  sourceName: string,
): MappingStep | undefined {
  if (mapping.name === engineMappingName(object)) return undefined;
  const canBeAdopted =
    mapping.source === sourceName &&
    mapping.incremental &&
    object.spec.incremental &&
    !mapping.name.startsWith(OWN);
  if (canBeAdopted) return undefined;
  const of = mapping.source === sourceName ? 'the same source' : `volume ${mapping.source}`;
  return wait(
    'TargetInUse',
    `The target is the target of another mapping, ${mapping.name}, a copy of ${of} that is ${mapping.state}. It is waited ` +
      'for its end.',
  );
}

function inUse(claimName: string, users: readonly string[]): MappingStep {
  const pods = users.length === 1 ? `pod ${users[0]} uses` : `pods ${users.join(', ')} use`;
  return wait('TargetInUse', `The ${pods} the target claim ${claimName}; it is waited until none does.`);
}

/** A mapping that was not incremental: what is left of it ends. */
function planCompleted({ object, mapping }: MappingObserved): MappingStep {
  if (mapping?.name === engineMappingName(object) && mapping.state === 'copied')
    return { do: 'end', force: false };
  return { do: 'watch' };
}

/** It was made for this object, or is known to have been adopted. */
export function isOf(object: FlashCopyMapping, mapping: MappingInfo | undefined): mapping is MappingInfo {
  if (mapping === undefined) return false;
  return mapping.name === engineMappingName(object) || mapping.name === object.status?.mapping;
}

function planDeletion(observed: MappingObserved): MappingStep {
  const { object, mapping, users, attached } = observed;
  if (!isOf(object, mapping) || !object.metadata.finalizers?.includes(FINALIZER)) return { do: 'release' };
  if (mapping.state === 'suspended' && object.spec.onDelete === 'Finish')
    return wait(
      'Suspended',
      `The target cannot be completed: ${mapping.error || 'metadata or data cannot be reached'}. Set onDelete to Discard to ` +
        'end the mapping nevertheless.',
      true,
    );
  const isFilling = mapping.state === 'copying' || mapping.state === 'suspended';
  if (!isFilling && !isCutShort(observed, mapping)) return { do: 'end', force: false };
  if (isFilling && object.spec.onDelete === 'Finish') {
    // At rate 0 it would never be complete.
    if (mapping.copyRate === 0) return { do: 'setRate', copyRate: 50 };
    return wait('Finishing', 'It is waited until the target is complete and independent.');
  }
  if (users.length > 0) return inUse(object.spec.target.claimName, users);
  if (attached) return wait('TargetInUse', 'The target is still attached to its node.');
  return { do: 'end', force: true };
}

/** Stopped before it was complete: there is no content of any instant to finish, and the target is emptied at the end. */
function isCutShort({ target }: MappingObserved, { state }: MappingInfo): boolean {
  if (state !== 'stopping' && state !== 'stopped') return false;
  return target.is === 'bound' && target.found.info.state !== 'online';
}
