/** The classes that the chart makes: values of storageClasses, volumeSnapshotClasses and the like. */
import { choice, flag, foreignList, group, groups, type Schema, texts, words } from './schema.ts';

const NAME = '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$';
/** What sidecars take for themselves. */
const OF_SIDECARS = { '^csi\\.storage\\.k8s\\.io/': { type: 'string' } };

const name = (description: string): Schema => ({ type: 'string', description, pattern: NAME });
const required = { required: ['name'] };
const marks = {
  annotations: words('Annotations.'),
  labels: words('Further labels.'),
};

const known = (description: string, pattern: string): Schema => ({ type: 'string', description, pattern });
const copyRate = known(
  'Speed of the background copy, from 0 (none) to 150; 50 is 2 MiB/s and every ten more twice as much.',
  '^([0-9]|[1-9][0-9]|1[0-4][0-9]|150)$',
);

const parameters = (description: string, properties: Record<string, Schema>): Schema => ({
  type: 'object',
  description,
  properties,
  patternProperties: OF_SIDECARS,
  additionalProperties: false,
  default: {},
});

const storageClass = group(
  'A StorageClass.',
  {
    name: name('Its name.'),
    default: flag('Whether claims without a class get this one.', false),
    reclaimPolicy: choice('What becomes of a volume whose claim is deleted.', 'Delete', ['Delete', 'Retain']),
    volumeBindingMode: choice(
      'When a volume is made. With Immediate its node is chosen without regard to the pod.',
      'WaitForFirstConsumer',
      ['WaitForFirstConsumer', 'Immediate'],
    ),
    allowVolumeExpansion: flag('Whether a claim can be made larger.', true),
    mountOptions: texts('Options for mounting.'),
    allowedTopologies: foreignList('On which nodes volumes may be, as in a StorageClass.'),
    parameters: parameters('Of the volumes. All are texts: write "true", not true.', {
      grainSize: known('Unit of tracking, a power of two from 4Ki to 1Mi.', '^[0-9]{1,8}(Ki|Mi)?$'),
      copyRate,
      incremental: known('Whether a clone can be synced later.', '^(true|false)$'),
      provisioning: known('Whether space is taken when it is written or at once.', '^(thin|thick)$'),
      cowFailure: known(
        'What fails when the pool is full: the snapshot, or the write that would overwrite its content.',
        '^(breakSnapshot|failWrite)$',
      ),
    }),
    ...marks,
  },
  required,
);

const snapshotClass = (what: string): Schema =>
  group(
    what,
    {
      name: name('Its name.'),
      default: flag('Whether snapshots without a class get this one.', false),
      deletionPolicy: choice('What becomes of a snapshot whose object is deleted.', 'Delete', [
        'Delete',
        'Retain',
      ]),
      parameters: parameters('Of the snapshots. All are texts.', {
        copyRate,
        fsFreeze: known('Whether the filesystem is frozen for the cut.', '^(true|false)$'),
      }),
      ...marks,
    },
    required,
  );

const attributesClass = group(
  'A VolumeAttributesClass: what can be changed of a volume that is there.',
  { name: name('Its name.'), parameters: parameters('All are texts.', { copyRate }), ...marks },
  { required: ['name', 'parameters'] },
);

export const classes: Record<string, Schema> = {
  storageClasses: groups('StorageClasses to make.', storageClass, [{ name: 'flashcopy' }]),
  volumeSnapshotClasses: groups('VolumeSnapshotClasses to make.', snapshotClass('A VolumeSnapshotClass.'), [
    { name: 'flashcopy' },
  ]),
  volumeGroupSnapshotClasses: groups(
    'VolumeGroupSnapshotClasses to make, where the cluster has VolumeGroupSnapshots.',
    snapshotClass('A VolumeGroupSnapshotClass.'),
    [{ name: 'flashcopy' }],
  ),
  volumeAttributesClasses: {
    ...groups('VolumeAttributesClasses to make (Kubernetes 1.34 or later).', attributesClass, []),
    examples: [[{ name: 'fast-copy', parameters: { copyRate: '100' } }]],
  },
};
