/**
 * Makes a FlashCopyMapping true: observes, asks the plan (mapping-plan.ts) for one step, takes it, observes again.
 *
 * Every step can be taken twice. A kill between any two leaves what the next observation understands: the engine's mapping
 * has a name made of the object's uid, and its start names that uid, so neither is done a second time.
 */
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { MappingInfo } from '../base/model.ts';
import type { Found } from '../csi/places.ts';
import {
  engineMappingName,
  FINALIZER,
  isOf,
  type MappingObserved,
  type MappingStep,
  planMapping,
} from './mapping-plan.ts';
import { SELECTED_NODE } from './pin-plan.ts';
import { type FlashCopyMapping, mappingResource } from './resources.ts';
import { conditionsWith, differs, type Finding, percent, plain, timeText } from './status.ts';
import { type ClaimState, customPath, unreachable, type World } from './world.ts';

const COPYING_MS = 2000;
const WAITING_MS = 5000;
/** What a sync would copy changes all the time; the status is to be of some use, and not a load. */
const COPIED_MS = 60_000;
const STEPS_MAX = 12;

type Status = NonNullable<FlashCopyMapping['status']>;

export type Siblings = (namespace: string) => readonly FlashCopyMapping[];

export async function reconcileMapping(
  world: World,
  siblings: Siblings,
  namespace: string,
  name: string,
): Promise<number | undefined> {
  const path = customPath(mappingResource, namespace, name);
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const object = await world.client.find<FlashCopyMapping>(path);
    if (object === undefined) return undefined;
    const observed = await observe(world, siblings, object).catch((error) => unknown(object, error));
    const step = planMapping(observed);
    world.checkTerm();
    const againMs = await take(world, observed, step);
    if (againMs !== 'now') return againMs;
    log.info('mapping: step taken', { namespace, name, step: step.do });
  }
  throw new FlashCopyError('Internal', `The mapping ${namespace}/${name} does not come to rest.`);
}

async function observe(world: World, siblings: Siblings, object: FlashCopyMapping): Promise<MappingObserved> {
  const { spec, metadata } = object;
  const namespace = metadata.namespace!;
  const [source, target, users] = await Promise.all([
    world.claim(namespace, spec.source.claimName),
    world.claim(namespace, spec.target.claimName),
    world.usersOf(namespace, spec.target.claimName),
  ]);
  const found = await targetOf(world, object, target);
  const mapping = found && (await mappingOf(found));
  const attached = found !== undefined && found.info.device !== '';
  return { object, source, target, mapping, users, attached, rival: rivalOf(object, siblings(namespace)) };
}

/** What is known while the node does not answer. */
function unknown(object: FlashCopyMapping, error: unknown): MappingObserved {
  const message = unreachable(error);
  if (message === undefined) throw error;
  const nothing = { mapping: undefined, users: [], attached: false, rival: undefined };
  return { object, source: { is: 'missing' }, target: { is: 'missing' }, ...nothing, unreachable: message };
}

/** At the end it is what was the target, also when the claim is gone. */
async function targetOf(
  world: World,
  { metadata, status }: FlashCopyMapping,
  target: ClaimState,
): Promise<Found | undefined> {
  if (target.is === 'bound') return target.found;
  const isEnding = metadata.deletionTimestamp !== undefined && status?.targetVolume !== undefined;
  return isEnding ? world.places.find('volume', status.targetVolume!) : undefined;
}

export async function mappingOf({ engine, info }: Found): Promise<MappingInfo | undefined> {
  return (await engine.listMappings()).find(({ target }) => target === info.name);
}

/** Of those with one target the oldest has it. */
function rivalOf(object: FlashCopyMapping, all: readonly FlashCopyMapping[]): string | undefined {
  const age = ({ metadata }: FlashCopyMapping) => `${metadata.creationTimestamp} ${metadata.uid}`;
  return all.find(
    (other) =>
      other.metadata.uid !== object.metadata.uid &&
      other.spec.target.claimName === object.spec.target.claimName &&
      age(other) < age(object),
  )?.metadata.name;
}

/** 'now': look again at once. */
async function take(
  world: World,
  observed: MappingObserved,
  step: MappingStep,
): Promise<number | undefined | 'now'> {
  const { object, mapping } = observed;
  const finalizers = object.metadata.finalizers ?? [];
  switch (step.do) {
    case 'addFinalizer':
      await world.setFinalizers(mappingResource, object, [...finalizers, FINALIZER]);
      return 'now';
    case 'release':
      if (finalizers.includes(FINALIZER)) {
        const others = finalizers.filter((each) => each !== FINALIZER);
        await world.setFinalizers(mappingResource, object, others);
      }
      return undefined;
    case 'pin':
      return pin(world, observed, step.node);
    case 'noteMapping':
    case 'noteComplete':
      await note(world, observed, step.do === 'noteComplete' ? 'Completed' : undefined);
      return 'now';
    case 'wait':
      return waitFor(world, observed, step);
    case 'watch':
      await writeStatus(world, observed, {}, ready(observed));
      if (object.status?.state === 'Completed' || mapping === undefined) return COPIED_MS;
      return mapping.state === 'copying' ? COPYING_MS : COPIED_MS;
    default:
      return act(world, observed, step);
  }
}

async function pin(world: World, { object, target }: MappingObserved, node: string): Promise<'now' | number> {
  if (target.is !== 'pending') return 'now';
  await world.annotate(target.claim, { [SELECTED_NODE]: node });
  await world.tellClaim(target.claim, {
    type: 'Normal',
    reason: 'PinnedToNode',
    message: `The volume is made on node ${node}, where the source of FlashCopyMapping ${object.metadata.name} is.`,
  });
  return WAITING_MS;
}

/** What is done in the engine of the target. */
async function act(
  world: World,
  observed: MappingObserved,
  step: Extract<MappingStep, { do: 'create' | 'start' | 'setRate' | 'end' }>,
): Promise<'now' | number> {
  const { object, source, mapping } = observed;
  const target = await targetOf(world, object, observed.target);
  if (target === undefined) return 'now';
  const { engine, info } = target;
  try {
    if (step.do === 'create' && source.is === 'bound') {
      const { copyRate } = object.spec;
      const [from, to] = [`#${source.found.info.id}`, `#${info.id}`];
      await engine.createMapping({
        name: engineMappingName(object),
        source: from,
        target: to,
        copyRate,
        incremental: true,
      });
    } else if (step.do === 'start') {
      await engine.startMappings([`#${mapping!.id}`], `start-${object.metadata.uid}`);
      await world.tell(mappingResource, object, {
        type: 'Normal',
        reason: 'Started',
        message: `The target shows the source as of now; it is filled behind (mapping ${mapping!.name} on node ${target.node}).`,
      });
    } else if (step.do === 'setRate') await engine.setCopyRate(`#${mapping!.id}`, step.copyRate);
    else if (step.do === 'end') await engine.deleteMapping(`#${mapping!.id}`, step.force);
    return 'now';
  } catch (error) {
    return refused(world, observed, error);
  }
}

/** What the engine refuses is told; it may come to accept it. */
async function refused(world: World, observed: MappingObserved, error: unknown): Promise<number> {
  if (!(error instanceof FlashCopyError)) throw error;
  // What was looked at is not there any more: the next look will see that.
  if (error.code === 'MappingNotFound' || error.code === 'VolumeNotFound') throw error;
  if (error.code === 'Unavailable' || error.code === 'Internal') throw error;
  const reason = error.code === 'VolumeInUse' ? 'TargetInUse' : error.code;
  const warn = error.code !== 'VolumeInUse';
  return waitFor(world, observed, { do: 'wait', reason, message: error.message, warn });
}

async function waitFor(
  world: World,
  observed: MappingObserved,
  { reason, message, warn = false }: Extract<MappingStep, { do: 'wait' }>,
): Promise<number> {
  const { object } = observed;
  const usedBy = reason === 'TargetInUse' && observed.users.length > 0 ? [...observed.users] : undefined;
  const finding: Finding = { type: 'Ready', status: 'False', reason, message };
  await writeStatus(world, observed, { usedBy }, [finding]);
  const type = warn || reason === 'TargetInUse' ? 'Warning' : 'Normal';
  await world.tell(mappingResource, object, { type, reason, message });
  return reason === 'Finishing' ? COPYING_MS : WAITING_MS;
}

function ready({ object, mapping }: MappingObserved): Finding[] {
  const isComplete = object.status?.state === 'Completed' || mapping?.state === 'copied';
  const complete: Finding = isComplete
    ? { type: 'Complete', status: 'True', reason: 'Copied', message: 'The target holds everything itself.' }
    : { type: 'Complete', status: 'False', reason: 'Copying', message: 'The target is filled behind.' };
  const usable = 'The target shows the source as of its point in time, and can be used.';
  return [{ type: 'Ready', status: 'True', reason: complete.reason, message: usable }, complete];
}

/** The name of the mapping before it is started; that it is complete before it is ended. */
async function note(world: World, observed: MappingObserved, state: Status['state']): Promise<void> {
  const { object, mapping } = observed;
  const adopted = mapping!.name !== engineMappingName(object);
  await writeStatus(world, observed, { mapping: mapping!.name, adopted, ...(state && { state }) }, []);
  if (state === undefined && adopted)
    await world.tell(mappingResource, object, {
      type: 'Normal',
      reason: 'Adopted',
      message: `The target is a clone of the source already: its mapping ${mapping!.name} is used.`,
    });
}

async function writeStatus(
  world: World,
  observed: MappingObserved,
  more: { usedBy?: string[] | undefined } & Partial<Omit<Status, 'usedBy'>>,
  findings: readonly Finding[],
): Promise<void> {
  const { object, source, target, mapping } = observed;
  const before = object.status ?? {};
  const status = {
    ...before,
    ...figuresOf(observed, mapping, more.mapping === mapping?.name),
    ...(source.is === 'bound' && { sourceVolume: source.found.id, node: source.found.node }),
    ...(target.is === 'bound' && { targetVolume: target.found.id }),
    usedBy: undefined,
    ...more,
    observedGeneration: object.metadata.generation,
    conditions: conditionsWith(before.conditions, findings, object.metadata.generation, Date.now()),
  };
  if (differs(before, status)) await world.writeStatus(mappingResource, object, plain(status));
}

const SHOWN: Readonly<Record<MappingInfo['state'], Status['state']>> = {
  idle: 'Pending',
  preparing: 'Pending',
  prepared: 'Pending',
  copying: 'Copying',
  copied: 'Copied',
  stopping: 'Stopped',
  stopped: 'Stopped',
  suspended: 'Suspended',
};

/** What the mapping says. One that was completed and ended goes on being shown as it was last. */
function figuresOf(
  { object, unreachable: isAway }: MappingObserved,
  mapping: MappingInfo | undefined,
  isAdopted: boolean,
): Partial<Status> {
  const isEnding = object.metadata.deletionTimestamp !== undefined;
  if (object.status?.state === 'Completed') return isEnding ? { state: 'Deleting' } : {};
  if (isAway !== undefined) return {};
  if (mapping === undefined) return { state: object.status?.pointInTime ? 'Stopped' : 'Pending' };
  if (!isOf(object, mapping) && !isAdopted) return { state: 'Pending' };
  const { cutAt, totalBytes, copiedBytes, remainingBytes, changedBytes } = mapping;
  return {
    state: isEnding ? 'Deleting' : SHOWN[mapping.state]!,
    ...(cutAt > 0 && {
      pointInTime: timeText(cutAt),
      progress: percent(copiedBytes, totalBytes),
      totalBytes,
      copiedBytes,
      remainingBytes,
      changedBytes,
    }),
  };
}
