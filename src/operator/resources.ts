/**
 * The custom resources of flashcopy.dev/v1alpha1. The CRDs in the chart are generated from this file, and the types that
 * the operator works with are inferred from it.
 */
import type { KubeObject } from '../kube/objects.ts';
import {
  choice,
  conditions,
  type Field,
  filled,
  flag,
  IMMUTABLE,
  list,
  objectName,
  optional,
  type Rule,
  record,
  type TypeOf,
  text,
  texts,
  time,
  whole,
} from './schema.ts';

export const GROUP = 'flashcopy.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;

type Column = { name: string; type: string; jsonPath: string; description?: string; priority?: number };
export type Resource<Spec, Status> = {
  kind: string;
  plural: string;
  shortNames: readonly string[];
  description: string;
  spec: Field<Spec>;
  status: Field<Status>;
  rules: readonly Rule[];
  columns: readonly Column[];
};

/** Of the pods that use a target so many are told. */
export const USERS_MAX = 100;

const AGE: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };
const DURATION = '^([0-9]+(\\.[0-9]+)?(s|m|h))+$';

const claim = (description: string) =>
  record(description, { claimName: objectName('The name of a PersistentVolumeClaim in the same namespace.') }, IMMUTABLE); // biome-ignore format: one line

const whenInUse = filled(
  choice(
    'What happens while a pod uses the target. Wait: the sync waits until no pod does. Fail: the sync fails at once, and its ' +
      'status says which pod. A target is never refreshed under a pod.',
    ['Wait', 'Fail'],
  ),
  'Wait',
);
const freeze = filled(
  flag('Freeze the filesystem of the source for the moment of the cut, so that the target needs no recovery.', IMMUTABLE), // biome-ignore format: one line
  false,
);
const timeout = optional(
  text(
    'How long it may take from its creation until the target is complete, like 30m or 12h. When that passes before the cut, ' +
      'nothing was changed; after it the copy goes on behind, and only this object has failed. Unset: as long as it takes.',
    { pattern: DURATION, maxLength: 32 },
  ),
);

export const mappingResource = {
  kind: 'FlashCopyMapping',
  plural: 'flashcopymappings',
  shortNames: ['fcm', 'fcmap'],
  description:
    'A point-in-time copy from one claim to another on the same node. Creating one makes the cut: from then on the target ' +
    'shows the source as of that instant, and is filled behind. An incremental one can be synced again and again.',
  spec: record(
    'What is copied, to where, and how.',
    {
      source: claim('The claim that is copied.'),
      target: claim(
        'The claim that becomes the copy. What it held is replaced. It has at least the size of the source, and the same grain.',
      ),
      copyRate: filled(
        whole(
          'How fast the target is filled behind: 1-10 is 128 KiB/s, each ten more is twice as fast, 50 is 2 MiB/s, 150 is 2 GiB/s. ' +
            '0: not at all; the target then depends on the source for as long as the mapping lives.',
          { minimum: 0, maximum: 150 },
        ),
        50,
      ),
      incremental: filled(
        flag(
          'Record what changes in source and target, so that a FlashCopySync copies only that. Otherwise the mapping ends when ' +
            'the target is complete.',
          IMMUTABLE,
        ),
        true,
      ),
      onDelete: filled(
        choice(
          'What happens to the target when this object is deleted. Finish: the deletion waits until the target is complete, which ' +
            'is independent then. Discard: the mapping ends at once; a target that was not complete is empty then.',
          ['Finish', 'Discard'],
        ),
        'Finish',
      ),
    },
    {
      rule: 'self.source.claimName != self.target.claimName',
      message: 'source and target are the same claim',
    },
  ),
  status: record('What was found.', {
    state: optional(
      choice('Where the mapping is. Pending: the cut is not made yet, the conditions say why.', [
        'Pending',
        'Copying',
        'Copied',
        'Completed',
        'Stopped',
        'Suspended',
        'Deleting',
      ]),
    ),
    progress: optional(text('How much of the target is there, in percent.')),
    pointInTime: optional(time('The instant that the target shows.')),
    node: optional(text('The node that source and target are on.')),
    mapping: optional(text('What the mapping is called in the engine of that node.')),
    adopted: optional(flag('It was there before this object: a clone of a class with incremental "true".')),
    sourceVolume: optional(text('The id of the source volume.')),
    targetVolume: optional(text('The id of the target volume.')),
    totalBytes: optional(whole('The size of the target.')),
    copiedBytes: optional(whole('How much of the target is there.')),
    remainingBytes: optional(whole('How much is still to be copied.')),
    changedBytes: optional(whole('What a sync would copy now: changed in source or target since the cut.')),
    usedBy: optional(list('The pods that use the target and are waited for.', text('A pod.'), USERS_MAX)),
    observedGeneration: optional(whole('The generation of this object that the status is about.')),
    conditions,
  }),
  rules: [],
  columns: [
    { name: 'Source', type: 'string', jsonPath: '.spec.source.claimName' },
    { name: 'Target', type: 'string', jsonPath: '.spec.target.claimName' },
    { name: 'State', type: 'string', jsonPath: '.status.state' },
    { name: 'Progress', type: 'string', jsonPath: '.status.progress' },
    { name: 'Point-In-Time', type: 'date', jsonPath: '.status.pointInTime' },
    { name: 'Incremental', type: 'boolean', jsonPath: '.spec.incremental', priority: 1 },
    { name: 'Rate', type: 'integer', jsonPath: '.spec.copyRate', priority: 1 },
    { name: 'Changed', type: 'integer', jsonPath: '.status.changedBytes', priority: 1 },
    { name: 'Node', type: 'string', jsonPath: '.status.node', priority: 1 },
    AGE,
  ],
} satisfies Resource<unknown, unknown>;

export const syncResource = {
  kind: 'FlashCopySync',
  plural: 'flashcopysyncs',
  shortNames: ['fcs', 'fcsync'],
  description:
    'Brings the target of an incremental FlashCopyMapping to the present of its source, once, copying only what changed.',
  spec: record('What is to be synced, and how.', {
    mappingName: objectName('The FlashCopyMapping in the same namespace.', IMMUTABLE),
    whenInUse,
    freeze,
    timeout,
    ttlSecondsAfterFinished: optional(
      whole('This object is deleted so many seconds after it has succeeded or failed. Unset: never.', {
        minimum: 0,
      }),
    ),
  }),
  status: record('How it goes.', {
    phase: optional(
      choice('How far it is. Waiting: for the target to be free, or for its turn.', [
        'Waiting',
        'Cutting',
        'Copying',
        'Succeeded',
        'Failed',
      ]),
    ),
    message: optional(text('What it waits for, or why it failed.')),
    progress: optional(text('How much of what had to be copied is copied, in percent.')),
    usedBy: optional(list('The pods that use the target.', text('A pod.'), USERS_MAX)),
    startTime: optional(time('When the cut was begun.')),
    pointInTime: optional(time('The instant that the target shows from now on.')),
    completionTime: optional(time('When it succeeded or failed.')),
    totalBytes: optional(whole('The size of the target.')),
    bytesToCopy: optional(whole('What had changed, and has to be copied.')),
    copiedBytes: optional(whole('What of it is copied.')),
    skippedBytes: optional(whole('What had not changed, and is not copied.')),
    observedGeneration: optional(whole('The generation of this object that the status is about.')),
    conditions,
  }),
  rules: [],
  columns: [
    { name: 'Mapping', type: 'string', jsonPath: '.spec.mappingName' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    { name: 'Progress', type: 'string', jsonPath: '.status.progress' },
    { name: 'Copied', type: 'integer', jsonPath: '.status.copiedBytes', description: 'Bytes' },
    { name: 'Skipped', type: 'integer', jsonPath: '.status.skippedBytes', description: 'Bytes' },
    { name: 'Message', type: 'string', jsonPath: '.status.message', priority: 1 },
    AGE,
  ],
} satisfies Resource<unknown, unknown>;

const CRON_FIELD = '[0-9A-Za-z*,/?#L-]+';

export const scheduleResource = {
  kind: 'FlashCopySchedule',
  plural: 'flashcopyschedules',
  shortNames: ['fcsched'],
  description: 'Makes VolumeSnapshots of claims, or syncs of mappings, again and again.',
  spec: record(
    'When, what, and how much of it is kept.',
    {
      schedule: text(
        'When, in the five fields of cron (minute hour day month weekday), or @hourly, @daily, @weekly, @monthly, @yearly.',
        {
          pattern: `^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|${Array(5).fill(CRON_FIELD).join(' +')})$`,
          maxLength: 100,
        },
      ),
      timeZone: filled(
        text('The time zone that the schedule is meant in, like Europe/Berlin.', { maxLength: 64 }),
        'Etc/UTC',
      ),
      suspend: filled(
        flag('Make nothing for now. Runs that are missed meanwhile are not made up for.'),
        false,
      ),
      startingDeadlineSeconds: optional(
        whole('A run that could not be started so long after its time is left out. Unset: it is made, however late; several ' + 'that were missed become one.', { minimum: 1 }), // biome-ignore format: one text
      ),
      snapshots: optional(
        record('Make a VolumeSnapshot of each claim that is selected.', {
          matchLabels: texts('Claims in the same namespace that bear all these labels.'),
          volumeSnapshotClassName: optional(
            objectName('The class of the snapshots. Unset: the default one.'),
          ),
        }),
      ),
      sync: optional(
        record('Make a FlashCopySync.', {
          mappingName: objectName('The FlashCopyMapping in the same namespace.'),
          whenInUse,
          freeze: filled(flag('As in a FlashCopySync.'), false),
          timeout,
        }),
      ),
      retention: filled(
        record(
          'How much of what it made is kept. What is too many or too old is deleted; objects that others made never are.',
          {
            keepLast: filled(
              whole('So many of each claim, or of the finished syncs.', { minimum: 1, maximum: 1000 }),
              7,
            ),
            maxAge: optional(
              text('None that is older, like 720h; the newest one is kept whatever its age.', {
                pattern: DURATION,
                maxLength: 32,
              }),
            ),
          },
        ),
        { keepLast: 7 },
      ),
      historyLimit: filled(whole('How many runs the status tells of.', { minimum: 1, maximum: 100 }), 10),
    },
    { rule: 'has(self.snapshots) != has(self.sync)', message: 'name either snapshots or sync, and not both' },
  ),
  status: record('What it did.', {
    lastScheduleTime: optional(time('The time of the latest run, as the schedule has it.')),
    decidedTime: optional(time('Up to here every run was made, or left out: suspended, or too late.')),
    lastSuccessfulTime: optional(
      time('The time of the latest run that made everything that it was to make.'),
    ),
    nextScheduleTime: optional(time('When the next run is due.')),
    history: optional(
      list(
        'The latest runs, the newest first.',
        record('One run.', {
          time: time('When it was due.'),
          startedAt: time('When it was made.'),
          created: list('The names of what it made.', text('A name.'), 1000),
          error: optional(text('Why something was not made.')),
        }),
        100,
      ),
    ),
    observedGeneration: optional(whole('The generation of this object that the status is about.')),
    conditions,
  }),
  rules: [
    {
      rule: 'self.metadata.name.size() <= 52',
      message: 'the name of a schedule has at most 52 characters: what it makes bears it',
    },
  ],
  columns: [
    { name: 'Schedule', type: 'string', jsonPath: '.spec.schedule' },
    { name: 'Time Zone', type: 'string', jsonPath: '.spec.timeZone' },
    { name: 'Suspend', type: 'boolean', jsonPath: '.spec.suspend' },
    { name: 'Last', type: 'date', jsonPath: '.status.lastScheduleTime' },
    { name: 'Next', type: 'string', jsonPath: '.status.nextScheduleTime', priority: 1 },
    AGE,
  ],
} satisfies Resource<unknown, unknown>;

export type FlashCopyMapping = KubeObject & {
  spec: TypeOf<typeof mappingResource.spec>;
  status?: TypeOf<typeof mappingResource.status>;
};
export type FlashCopySync = KubeObject & {
  spec: TypeOf<typeof syncResource.spec>;
  status?: TypeOf<typeof syncResource.status>;
};
export type FlashCopySchedule = KubeObject & {
  spec: TypeOf<typeof scheduleResource.spec>;
  status?: TypeOf<typeof scheduleResource.status>;
};
