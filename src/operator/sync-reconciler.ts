/**
 * Makes a FlashCopySync true: observes, asks the plan (sync-plan.ts) for one step, takes it, observes again.
 *
 * The request that the engine is given is the object's uid, so a sync that was asked for and not noted is not made twice.
 */
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { MappingInfo } from '../base/model.ts';
import type { Found } from '../csi/places.ts';
import { isOf } from './mapping-plan.ts';
import { mappingOf } from './mapping-reconciler.ts';
import { type FlashCopyMapping, type FlashCopySync, mappingResource, syncResource } from './resources.ts';
import { conditionsWith, differs, type Finding, percent, plain, timeText } from './status.ts';
import {
  isFinished,
  NODE_UNAVAILABLE,
  planSync,
  type SyncObserved,
  type SyncStep,
  turnBefore,
} from './sync-plan.ts';
import { customPath, unreachable, type World } from './world.ts';

const WAITING_MS = 3000;
const COPYING_MS = 1000;
const STEPS_MAX = 12;

type Status = NonNullable<FlashCopySync['status']>;
type Seen = SyncObserved & { target: Found | undefined };

export type OtherSyncs = (namespace: string) => readonly FlashCopySync[];

export async function reconcileSync(
  world: World,
  others: OtherSyncs,
  namespace: string,
  name: string,
): Promise<number | undefined> {
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const sync = await world.client.find<FlashCopySync>(customPath(syncResource, namespace, name));
    if (sync === undefined || sync.metadata.deletionTimestamp !== undefined) return undefined;
    const seen = await observe(world, others, sync);
    const step = planSync(seen);
    world.checkTerm();
    const againMs = await take(world, seen, step);
    if (againMs !== 'now') return againMs;
    log.info('sync: step taken', { namespace, name, step: step.do });
  }
  throw new FlashCopyError('Internal', `The sync ${namespace}/${name} does not come to rest.`);
}

async function observe(world: World, others: OtherSyncs, sync: FlashCopySync): Promise<Seen> {
  const namespace = sync.metadata.namespace!;
  const object = await world.client.find<FlashCopyMapping>(
    customPath(mappingResource, namespace, sync.spec.mappingName),
  );
  const before = turnBefore(sync, await current(world, others(namespace), sync));
  const base = { sync, object, before, now: Date.now() };
  const nothing = { mapping: undefined, users: [], target: undefined };
  if (object === undefined || isFinished(sync)) return { ...base, ...nothing };
  try {
    return { ...base, ...(await behind(world, object)) };
  } catch (error) {
    const message = unreachable(error);
    if (message === undefined) throw error;
    return { ...base, ...nothing, unreachable: message };
  }
}

async function behind(
  world: World,
  object: FlashCopyMapping,
): Promise<Pick<Seen, 'mapping' | 'users' | 'target'>> {
  const namespace = object.metadata.namespace!;
  const users = await world.usersOf(namespace, object.spec.target.claimName);
  const claim = await world.claim(namespace, object.spec.target.claimName);
  const target = claim.is === 'bound' ? claim.found : undefined;
  const found = target && (await mappingOf(target));
  return { mapping: isOf(object, found) ? found : undefined, users, target };
}

/** Whose turn it is must not be decided by what an informer has not heard yet. */
async function current(
  world: World,
  known: readonly FlashCopySync[],
  sync: FlashCopySync,
): Promise<FlashCopySync[]> {
  const rivals = known.filter(
    ({ metadata, spec }) => metadata.uid !== sync.metadata.uid && spec.mappingName === sync.spec.mappingName,
  );
  const now = await Promise.all(
    rivals.map(({ metadata }) =>
      world.client.find<FlashCopySync>(customPath(syncResource, metadata.namespace, metadata.name)),
    ),
  );
  return now.filter((each) => each !== undefined);
}

/** 'now': look again at once. */
async function take(world: World, seen: Seen, step: SyncStep): Promise<number | undefined | 'now'> {
  const { sync } = seen;
  switch (step.do) {
    case 'rest':
      return step.untilMs;
    case 'delete':
      await world.remove(customPath(syncResource, sync.metadata.namespace, sync.metadata.name), sync);
      return undefined;
    case 'wait': {
      const { reason, message, usedBy } = step;
      await write(
        world,
        seen,
        { phase: 'Waiting', message, usedBy: listed(usedBy) },
        waiting(reason, message),
      );
      if (reason === 'TargetInUse' || reason === NODE_UNAVAILABLE)
        await tell(world, sync, 'Warning', reason, message);
      return WAITING_MS;
    }
    case 'begin':
      await begin(world, seen);
      return 'now';
    case 'cut':
      return cut(world, seen);
    case 'watch':
      await write(world, seen, figures(sync, seen.mapping!), waiting('Copying', 'What changed is copied.'));
      return COPYING_MS;
    case 'succeed':
      return succeed(world, seen);
    case 'fail':
      return fail(world, seen, step.reason, step.message, step.usedBy);
  }
}

const listed = (names: readonly string[] | undefined) => (names === undefined ? undefined : [...names]);

/** What there is to copy is known best before the cut: after it the copy is under way. */
async function begin(world: World, seen: Seen): Promise<void> {
  const { changedBytes, remainingBytes, totalBytes } = seen.mapping!;
  await write(
    world,
    seen,
    {
      phase: 'Cutting',
      message: 'The cut is made.',
      usedBy: undefined,
      startTime: timeText(Date.now()),
      totalBytes,
      bytesToCopy: Math.max(changedBytes, remainingBytes),
    },
    waiting('Cutting', 'The cut is made.'),
  );
}

async function cut(world: World, seen: Seen): Promise<number | 'now'> {
  const { sync, mapping, target } = seen;
  if (target === undefined) return WAITING_MS;
  let made: MappingInfo;
  try {
    const { freeze = false } = sync.spec;
    made = await target.engine.syncMapping(`#${mapping!.id}`, `sync-${sync.metadata.uid}`, { freeze });
  } catch (error) {
    return refused(world, seen, error);
  }
  const bytesToCopy = Math.max(sync.status?.bytesToCopy ?? 0, made.remainingBytes);
  const noted = { phase: 'Copying' as const, message: 'What changed is copied.', bytesToCopy };
  const status = {
    ...noted,
    pointInTime: timeText(made.cutAt),
    skippedBytes: Math.max(0, made.totalBytes - bytesToCopy),
  };
  await write(world, seen, status, waiting('Copying', noted.message));
  return 'now';
}

/** A pod may have come to use the target after it was looked at: the engine's word is the last one. */
async function refused(world: World, seen: Seen, error: unknown): Promise<number | 'now'> {
  if (!(error instanceof FlashCopyError)) throw error;
  const { code, message } = error;
  if (code === 'VolumeInUse' || code === 'TargetInUse') {
    const { sync, users } = seen;
    if (sync.spec.whenInUse === 'Fail') return fail(world, seen, 'TargetInUse', message, users);
    const usedBy = users.length > 0 ? [...users] : undefined;
    await write(world, seen, { phase: 'Waiting', message, usedBy }, waiting('TargetInUse', message));
    await tell(world, sync, 'Warning', 'TargetInUse', message);
    return WAITING_MS;
  }
  const isTransient = code === 'Unavailable' || code === 'Internal' || code === 'MappingNotFound';
  if (isTransient) throw error;
  return fail(world, seen, code, message);
}

async function succeed(world: World, seen: Seen): Promise<'now'> {
  const { sync } = seen;
  const { bytesToCopy = 0, skippedBytes = 0, pointInTime } = sync.status ?? {};
  const message = `The target shows its source as of ${pointInTime}: ${bytesToCopy} bytes were copied, ${skippedBytes} had not changed.`;
  const status = {
    phase: 'Succeeded' as const,
    message,
    progress: '100%',
    copiedBytes: bytesToCopy,
    completionTime: timeText(Date.now()),
  };
  await write(world, seen, status, { type: 'Complete', status: 'True', reason: 'Succeeded', message });
  await tell(world, sync, 'Normal', 'Succeeded', message);
  return 'now';
}

async function fail(
  world: World,
  seen: Seen,
  reason: string,
  message: string,
  usedBy?: readonly string[],
): Promise<'now'> {
  const status = {
    phase: 'Failed' as const,
    message,
    usedBy: listed(usedBy),
    completionTime: timeText(Date.now()),
  };
  await write(world, seen, status, { type: 'Complete', status: 'False', reason, message });
  await tell(world, seen.sync, 'Warning', reason, message);
  return 'now';
}

const waiting = (reason: string, message: string): Finding => ({
  type: 'Complete',
  status: 'False',
  reason,
  message,
});

function figures({ status }: FlashCopySync, { remainingBytes }: MappingInfo): Partial<Status> {
  const bytesToCopy = status?.bytesToCopy ?? 0;
  const copiedBytes = Math.max(0, bytesToCopy - remainingBytes);
  return { copiedBytes, progress: percent(copiedBytes, bytesToCopy) };
}

async function tell(
  world: World,
  sync: FlashCopySync,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
): Promise<void> {
  await world.tell(syncResource, sync, { type, reason, message });
}

async function write(
  world: World,
  { sync, now }: Seen,
  more: { usedBy?: string[] | undefined } & Partial<Omit<Status, 'usedBy'>>,
  finding: Finding,
): Promise<void> {
  const before = sync.status ?? {};
  const { generation } = sync.metadata;
  const status = {
    ...before,
    ...more,
    observedGeneration: generation,
    conditions: conditionsWith(before.conditions, [finding], generation, now),
  };
  if (differs(before, status)) await world.writeStatus(syncResource, sync, plain(status));
}
