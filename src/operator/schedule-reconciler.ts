/**
 * Makes a FlashCopySchedule true: makes what is due, deletes what is too much, and tells.
 *
 * A run is noted after all of it is made. A kill in between makes it again, and what is there already is left as it is.
 */
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { isConflict, isMissing, KubeError } from '../kube/client.ts';
import type { Claim, KubeList, KubeObject, VolumeSnapshot } from '../kube/objects.ts';
import {
  API_VERSION,
  type FlashCopySchedule,
  type FlashCopySync,
  scheduleResource,
  syncResource,
} from './resources.ts';
import { cronOf, type Due, type Made, namesOfRun, planRun, surplus } from './schedule-plan.ts';
import { conditionsWith, differs, durationMs, type Finding, plain, timeText } from './status.ts';
import { isFinished } from './sync-plan.ts';
import { customPath, pathOf, type World } from './world.ts';

const SCHEDULE_LABEL = 'flashcopy.dev/schedule';
const SCHEDULED_AT = 'flashcopy.dev/scheduled-at';
const LOOK_MS_MAX = 60_000;
/** What was just made and is not ready yet will soon make something else too much. */
const LOOK_MS_FRESH = 3000;
const FRESH_MS = 300_000;

type Status = NonNullable<FlashCopySchedule['status']>;
type Run = NonNullable<Status['history']>[number];

export async function reconcileSchedule(
  world: World,
  namespace: string,
  name: string,
): Promise<number | undefined> {
  const path = customPath(scheduleResource, namespace, name);
  const schedule = await world.client.find<FlashCopySchedule>(path);
  if (schedule === undefined || schedule.metadata.deletionTimestamp !== undefined) return undefined;
  const now = Date.now();
  const wrong = whatIsWrong(schedule);
  if (wrong !== undefined) {
    await write(world, schedule, {}, { type: 'Ready', status: 'False', reason: 'Invalid', message: wrong });
    await world.tell(scheduleResource, schedule, { type: 'Warning', reason: 'Invalid', message: wrong });
    return undefined;
  }
  const due = planRun(schedule, now);
  await run(world, schedule, due);
  const isFresh = await prune(world, schedule, now);
  const lookMs = isFresh ? LOOK_MS_FRESH : LOOK_MS_MAX;
  return due.nextAt === undefined ? undefined : Math.min(Math.max(due.nextAt - now, 500), lookMs);
}

/** What the schema cannot see: whether there is such a time zone, or such a day. */
function whatIsWrong(schedule: FlashCopySchedule): string | undefined {
  try {
    if (cronOf(schedule).nextRun() === null) return 'The schedule never comes.';
    return undefined;
  } catch (error) {
    const { schedule: text, timeZone } = schedule.spec;
    return `The schedule "${text}" in time zone "${timeZone}" is not understood: ${(error as Error).message}.`;
  }
}

async function run(
  world: World,
  schedule: FlashCopySchedule,
  { dueAt, leftOut, nextAt }: Due,
): Promise<void> {
  const { spec, status = {} } = schedule;
  const ready: Finding = spec.suspend
    ? { type: 'Ready', status: 'False', reason: 'Suspended', message: 'It is suspended: nothing is made.' }
    : { type: 'Ready', status: 'True', reason: 'Scheduled', message: 'The next run is made when it is due.' };
  const next = { nextScheduleTime: spec.suspend || nextAt === undefined ? undefined : timeText(nextAt) };
  if (dueAt === undefined) return write(world, schedule, next, ready);
  const decided = { ...next, decidedTime: timeText(dueAt) };
  if (leftOut !== undefined) {
    if (leftOut === 'too late') await tellMissed(world, schedule, dueAt);
    return write(world, schedule, decided, ready);
  }
  const startedAt = timeText(Date.now());
  const { created, errors } = await make(world, schedule, dueAt);
  const error = errors.length > 0 ? errors.join(' ') : undefined;
  const entry: Run = { time: timeText(dueAt), startedAt, created, ...(error && { error }) };
  const history = [entry, ...(status.history ?? [])].slice(0, spec.historyLimit);
  const made = error === undefined ? { lastSuccessfulTime: timeText(dueAt) } : {};
  await write(world, schedule, { ...decided, lastScheduleTime: timeText(dueAt), history, ...made }, ready);
  log.info('schedule: run made', { schedule: schedule.metadata.name, created, error });
  if (error === undefined)
    await world.tell(scheduleResource, schedule, {
      type: 'Normal',
      reason: 'Created',
      message: `Made ${created.join(', ') || 'nothing: no claim is selected'}.`,
    });
  else await world.tell(scheduleResource, schedule, { type: 'Warning', reason: 'RunFailed', message: error });
}

async function tellMissed(world: World, schedule: FlashCopySchedule, dueAt: number): Promise<void> {
  await world.tell(scheduleResource, schedule, {
    type: 'Warning',
    reason: 'RunMissed',
    message: `The run of ${timeText(dueAt)} could not be started within ${schedule.spec.startingDeadlineSeconds} s, and is left out.`,
  });
}

type Outcome = { created: string[]; errors: string[] };

async function make(world: World, schedule: FlashCopySchedule, dueAt: number): Promise<Outcome> {
  const outcome: Outcome = { created: [], errors: [] };
  const { snapshots, sync } = schedule.spec;
  if (snapshots !== undefined) {
    const claims = await claimsOf(world, schedule);
    for (const claim of claims)
      await attempt(outcome, `A snapshot of ${claim.metadata.name} was not made`, () =>
        makeSnapshot(world, schedule, claim, dueAt),
      );
  } else if (sync !== undefined)
    await attempt(outcome, `No sync of ${sync.mappingName} was made`, () => makeSync(world, schedule, dueAt));
  return outcome;
}

/** What is refused is told and does not keep the others from being made; an API server that is away is asked again. */
async function attempt(outcome: Outcome, what: string, act: () => Promise<string>): Promise<void> {
  try {
    outcome.created.push(await act());
  } catch (error) {
    if (!(error instanceof FlashCopyError) || error.code === 'Unavailable') throw error;
    outcome.errors.push(`${what}: ${error.message}`);
  }
}

async function claimsOf(world: World, { metadata, spec }: FlashCopySchedule): Promise<Claim[]> {
  const labelSelector = Object.entries(spec.snapshots?.matchLabels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  const path = pathOf('claims', metadata.namespace);
  const { items } = await world.client.get<KubeList<Claim>>(path, { labelSelector });
  return items.filter((claim) => claim.metadata.deletionTimestamp === undefined);
}

const snapshotPath = (namespace: string | undefined, name = '') =>
  `/apis/snapshot.storage.k8s.io/v1/namespaces/${namespace}/volumesnapshots${name === '' ? '' : `/${name}`}`;

async function makeSnapshot(
  world: World,
  schedule: FlashCopySchedule,
  claim: Claim,
  dueAt: number,
): Promise<string> {
  const { namespace } = schedule.metadata;
  if (claim.status?.phase !== 'Bound')
    throw new FlashCopyError('WrongState', 'the claim is not bound to a volume.');
  const claimName = claim.metadata.name;
  const volumeSnapshotClassName = schedule.spec.snapshots?.volumeSnapshotClassName;
  return createOnce<VolumeSnapshot>(world, {
    names: namesOfRun(schedule.metadata.name, claimName, dueAt),
    pathOf: (name) => snapshotPath(namespace, name),
    objectOf: (name) => ({
      apiVersion: 'snapshot.storage.k8s.io/v1',
      kind: 'VolumeSnapshot',
      metadata: marked(schedule, name, dueAt),
      spec: {
        source: { persistentVolumeClaimName: claimName },
        ...(volumeSnapshotClassName && { volumeSnapshotClassName }),
      },
    }),
    isIt: (found) => isMarked(schedule, found) && found.spec.source.persistentVolumeClaimName === claimName,
  });
}

async function makeSync(world: World, schedule: FlashCopySchedule, dueAt: number): Promise<string> {
  const { namespace, uid } = schedule.metadata;
  const names = namesOfRun(schedule.metadata.name, undefined, dueAt);
  const running = (await syncsOf(world, schedule)).find(
    (each) => !isFinished(each) && !names.includes(each.metadata.name),
  );
  if (running !== undefined)
    throw new FlashCopyError('WrongState', `the former one, ${running.metadata.name}, is not over yet.`);
  const owner = { apiVersion: API_VERSION, kind: scheduleResource.kind, name: schedule.metadata.name, uid };
  return createOnce<FlashCopySync>(world, {
    names,
    pathOf: (name) => customPath(syncResource, namespace, name),
    objectOf: (name) => ({
      apiVersion: API_VERSION,
      kind: syncResource.kind,
      metadata: { ...marked(schedule, name, dueAt), ownerReferences: [owner] },
      spec: schedule.spec.sync,
    }),
    isIt: (found) => isMarked(schedule, found),
  });
}

const marked = ({ metadata }: FlashCopySchedule, name: string, dueAt: number) => ({
  name,
  namespace: metadata.namespace,
  labels: { [SCHEDULE_LABEL]: metadata.name },
  annotations: { [SCHEDULED_AT]: timeText(dueAt) },
});

const isMarked = (schedule: FlashCopySchedule, { metadata }: KubeObject) =>
  metadata.labels?.[SCHEDULE_LABEL] === schedule.metadata.name;

type Once<Item> = {
  /** The first one that is not somebody else's. */
  names: readonly string[];
  pathOf: (name: string) => string;
  objectOf: (name: string) => object;
  /** What has the name is what is to be made: it was made before, and not noted. */
  isIt: (found: Item) => boolean;
};

/** Makes it, unless that was done before; its name. */
async function createOnce<Item>(
  world: World,
  { names, pathOf, objectOf, isIt }: Once<Item>,
): Promise<string> {
  for (const name of names) {
    try {
      await world.create(pathOf(''), objectOf(name));
      return name;
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
    const found = await world.client.find<Item>(pathOf(name));
    if (found !== undefined && isIt(found)) return name;
  }
  throw new FlashCopyError(
    'AlreadyExists',
    `${names.join(' and ')} are there already, and are not of this schedule. Delete them, or give the schedule another name.`,
  );
}

async function syncsOf(world: World, { metadata }: FlashCopySchedule): Promise<FlashCopySync[]> {
  const labelSelector = `${SCHEDULE_LABEL}=${metadata.name}`;
  const path = customPath(syncResource, metadata.namespace);
  return (await world.client.get<KubeList<FlashCopySync>>(path, { labelSelector })).items;
}

/** Deletes of what this schedule made what is too old, or too much. Whether there is something that is not ready yet. */
async function prune(world: World, schedule: FlashCopySchedule, now: number): Promise<boolean> {
  const { metadata, spec } = schedule;
  const { keepLast, maxAge } = spec.retention;
  const retention = { keepLast, maxAgeMs: maxAge === undefined ? undefined : durationMs(maxAge) };
  const groups =
    spec.sync === undefined ? await snapshotGroups(world, schedule) : [await finishedSyncs(world, schedule)];
  for (const group of groups) {
    const doomed = surplus(group.map(({ made }) => made), retention, now); // biome-ignore format: one line
    for (const { object, made, path } of group) {
      if (!doomed.includes(made)) continue;
      log.info('schedule: deleted', { schedule: metadata.name, name: made.name });
      await world.remove(path, object).catch((error: unknown) => {
        if (!isMissing(error) && !(error instanceof KubeError && error.status === 409)) throw error;
      });
    }
  }
  return groups.flat().some(({ made }) => !made.good && now - made.createdAt < FRESH_MS);
}

type Kept = { object: KubeObject; made: Made; path: string };

async function snapshotGroups(world: World, { metadata }: FlashCopySchedule): Promise<Kept[][]> {
  const labelSelector = `${SCHEDULE_LABEL}=${metadata.name}`;
  const path = snapshotPath(metadata.namespace);
  const { items } = await world.client.get<KubeList<VolumeSnapshot>>(path, { labelSelector });
  const groups = new Map<string, Kept[]>();
  for (const object of items) {
    if (object.metadata.deletionTimestamp !== undefined) continue;
    const claim = object.spec.source.persistentVolumeClaimName ?? '';
    const kept = keptOf(object, object.status?.readyToUse === true, snapshotPath(metadata.namespace, object.metadata.name)); // biome-ignore format: one line
    groups.set(claim, [...(groups.get(claim) ?? []), kept]);
  }
  return [...groups.values()];
}

/** One that is not over is never too much. */
async function finishedSyncs(world: World, schedule: FlashCopySchedule): Promise<Kept[]> {
  const over = (await syncsOf(world, schedule)).filter(isFinished);
  return over.map((object) =>
    keptOf(object, true, customPath(syncResource, object.metadata.namespace, object.metadata.name)),
  );
}

function keptOf(object: KubeObject, good: boolean, path: string): Kept {
  const { name, creationTimestamp } = object.metadata;
  return { object, path, made: { name, createdAt: Date.parse(creationTimestamp), good } };
}

async function write(
  world: World,
  schedule: FlashCopySchedule,
  more: { [Name in keyof Status]?: Status[Name] | undefined },
  finding: Finding,
): Promise<void> {
  const before = schedule.status ?? {};
  const { generation } = schedule.metadata;
  const conditions = conditionsWith(before.conditions, [finding], generation, Date.now());
  const status = { ...before, ...more, observedGeneration: generation, conditions };
  if (differs(before, status)) await world.writeStatus(scheduleResource, schedule, plain(status));
}
