/**
 * The values of the chart: what each means, which it may be and what it is when nothing is said. The one source of
 * values.yaml, values.schema.json and README.md in charts/flashcopy-csi.
 */
import { classes } from './classes.ts';
import {
  choice,
  flag,
  foreign,
  foreignList,
  group,
  type Schema,
  text,
  texts,
  whole,
  words,
} from './schema.ts';

const NAME = '^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$';
const ABSOLUTE = '^/[^:]*[^/:]$';

const image = (repository: string, tag: string, tagMeaning = 'Its tag.'): Schema =>
  group('The image.', {
    repository: text('Registry and name, without a tag.', repository, { pattern: '^[a-z0-9][^\\s@]*$' }),
    tag: text(tagMeaning, tag, { pattern: '^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$' }),
    digest: text('Pins the image, whatever the tag says later: `sha256:...`.', '', {
      pattern: '^(sha256:[0-9a-f]{64})?$',
    }),
    pullPolicy: choice('When kubelet pulls it.', 'IfNotPresent', ['IfNotPresent', 'Always', 'Never']),
  });

const resources = (cpu: string, memory: string): Schema =>
  foreign('Requests and limits. A limit of memory that is too low ends the process when it is needed most.', {
    requests: { cpu, memory },
  });

const extras = () => ({
  podLabels: words('Further labels of the pods.'),
  podAnnotations: words('Annotations of the pods.'),
  extraEnv: foreignList('Further environment variables of the container, as in a pod.'),
});

const priority = (name: string) =>
  text(
    'Priority class of the pods. Empty: that of `priorityClass`, if it is made, or none. The system classes need a ' +
      'ResourceQuota on some managed clusters (GKE) outside of kube-system.',
    name,
  );

const sidecar = (title: string, repository: string, tag: string): Schema =>
  group(title, {
    image: image(repository, tag),
    logLevel: whole('Its `-v`.', 2, 0, 10),
    resources: resources('10m', '32Mi'),
    extraArgs: texts('Further arguments.'),
  });

const daemonSet = (priorityClass: string, own: Record<string, Schema>, size: [string, string]) => ({
  ...own,
  resources: resources(...size),
  priorityClassName: priority(priorityClass),
  ...extras(),
});

const controller = group(
  'The controller: CSI for the whole cluster, and the operator for the custom resources.',
  {
    replicas: whole('Pods. One works at a time, another takes over within seconds.', 2, 1),
    operator: group(
      'The operator: FlashCopyMapping, FlashCopySync, FlashCopySchedule, and restores on the right node.',
      {
        enabled: flag('Run it. Without it, custom resources have no effect.', true),
      },
    ),
    resources: resources('20m', '96Mi'),
    priorityClassName: priority('system-cluster-critical'),
    podDisruptionBudget: group('Keeps a drain from taking all controllers at once.', {
      enabled: flag('Make one, if there are several replicas.', true),
    }),
    nodeSelector: words('On which nodes it may run.', { 'kubernetes.io/os': 'linux' }),
    tolerations: foreignList('Taints that it tolerates.'),
    affinity: foreign('Where it runs. Empty: on different nodes, where that is possible.'),
    topologySpreadConstraints: foreignList('How it is spread.'),
    podSecurityContext: foreign(
      'Of its pod. The sockets in it are shared: all of its containers are one user.',
      {
        runAsNonRoot: true,
        runAsUser: 65532,
        runAsGroup: 65532,
        fsGroup: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      },
    ),
    ...extras(),
  },
);

const node = group(
  "The node role: CSI on each node. It registers itself with kubelet and keeps a second copy of the engine's descriptors.",
  daemonSet(
    'system-node-critical',
    {
      updateStrategy: foreign('How its pods are replaced by newer ones. I/O is not touched by that.', {
        type: 'RollingUpdate',
        rollingUpdate: { maxUnavailable: '10%' },
      }),
      terminationGracePeriodSeconds: whole(
        "How long it may take to end. While it alone keeps an engine's descriptors it waits for the next engine.",
        120,
        30,
      ),
    },
    ['10m', '96Mi'],
  ),
);

const engine = group(
  'The engine: the data path of each node.',
  daemonSet(
    'system-node-critical',
    {
      updateStrategy: foreign(
        'How its pods are replaced by newer ones. While one is, I/O of its node waits, also for the image to be pulled: so ' +
          'with OnDelete an engine is replaced when you delete its pod, after the node role has brought the image; see ' +
          'docs/operations.md.',
        { type: 'OnDelete' },
      ),
      logSize: text('Size of the undo log of a new pool.', '256Mi', { pattern: '^[1-9][0-9]*(Ki|Mi|Gi)?$' }),
      terminationGracePeriodSeconds: whole(
        'How long it may take to end. While volumes are in use it waits for a node role that keeps its descriptors.',
        150,
        30,
      ),
    },
    ['100m', '256Mi'],
  ),
);

const tls = group(
  'Certificates: between controller and engines there is only mutual TLS. The engines need the DNS name ' +
    '`*.engine.flashcopy.dev`, the controller `controller.flashcopy.dev`.',
  {
    source: choice(
      'Where they come from. `helm`: made at the first install and kept by upgrades; needs helm with access to the cluster, ' +
        'as `helm template` makes new ones each time. `certManager`: from cert-manager. `secrets`: from two Secrets of yours.',
      'helm',
      ['helm', 'certManager', 'secrets'],
    ),
    helm: group('For the source `helm`.', {
      validDays: whole(
        'For how long they are valid. An upgrade in the last third makes new ones.',
        1825,
        2,
        36500,
      ),
      renewal: text('A word of yours: an upgrade that changes it makes new certificates.', ''),
    }),
    certManager: group('For the source `certManager`.', {
      issuerRef: foreign(
        'Who issues them: name, kind, group. Empty: a CA of its own is made in the namespace.',
      ),
      duration: text('For how long they are valid.', '2160h', { pattern: '^[0-9]+h$' }),
      renewBefore: text('How long before the end they are renewed.', '720h', { pattern: '^[0-9]+h$' }),
    }),
    secrets: group('For the source `secrets`: each with ca.crt, tls.crt and tls.key.', {
      controller: text("Name of the controller's.", '', { pattern: NAME }),
      engine: text("Name of the engines'.", '', { pattern: NAME }),
    }),
  },
);

const monitoring = group('For the Prometheus operator and Grafana.', {
  podMonitor: group('Scrapes all three roles.', {
    enabled: flag('Make it. Needs the CRD podmonitors.monitoring.coreos.com.', false),
    interval: text('How often.', '30s', { pattern: '^[0-9]+(ms|s|m)$' }),
    labels: words('Labels by which your Prometheus chooses it.'),
  }),
  prometheusRule: group('Alerts.', {
    enabled: flag('Make it. Needs the CRD prometheusrules.monitoring.coreos.com.', false),
    labels: words('Labels by which your Prometheus chooses it.'),
    poolFreePercent: whole(
      'Warn when less of a pool is free. At half of it the alert is critical.',
      20,
      1,
      99,
    ),
    extraRules: foreignList('Further rules of the group.'),
  }),
  dashboard: group('A Grafana dashboard in a ConfigMap.', {
    enabled: flag('Make it.', false),
    labels: words("Labels by which Grafana's sidecar chooses it.", { grafana_dashboard: '1' }),
    annotations: words('Annotations, for instance the folder.'),
  }),
});

export const values: Schema = group('Values of the chart flashcopy-csi.', {
  nameOverride: text("Instead of the chart's name in names and labels.", '', { pattern: NAME }),
  fullnameOverride: text('Instead of release and chart name in names.', '', { pattern: NAME }),
  image: image('flashcopy-csi', '', "Its tag. Empty: the chart's appVersion."),
  imagePullSecrets: foreignList('Secrets for pulling images: `- name: ...`.'),
  kubeletDir: text("Kubelet's directory on the nodes.", '/var/lib/kubelet', { pattern: ABSOLUTE }),
  poolDir: text(
    'Directory of the pool on each node: ext4 or XFS, best a disk of its own. It stays when the chart is uninstalled.',
    '/var/lib/flashcopy/pool',
    { pattern: ABSOLUTE },
  ),
  listenHost: text(
    'Where metrics and the engine listen in the pod: `"[::]"` where pods have only IPv6.',
    '0.0.0.0',
  ),
  logLevel: choice('What the roles log.', 'info', ['error', 'warn', 'info', 'debug']),
  controller,
  nodes: group('On which nodes volumes can be: for engine and node role alike.', {
    nodeSelector: words('Labels that a node must have.', { 'kubernetes.io/os': 'linux' }),
    tolerations: foreignList(
      'Taints that they tolerate. By default all: a volume must be reachable as long as its node is.',
      [{ operator: 'Exists' }],
    ),
    affinity: foreign('Further conditions.'),
  }),
  node,
  engine,
  sidecars: group("Kubernetes' own CSI sidecars, in the controller's pod.", {
    provisioner: sidecar('external-provisioner.', 'registry.k8s.io/sig-storage/csi-provisioner', 'v6.3.0'),
    snapshotter: sidecar('external-snapshotter.', 'registry.k8s.io/sig-storage/csi-snapshotter', 'v8.6.0'),
    resizer: sidecar('external-resizer.', 'registry.k8s.io/sig-storage/csi-resizer', 'v2.2.0'),
  }),
  ...classes,
  snapshotCrds: group(
    'The CRDs of VolumeSnapshots, which come with the distribution or from external-snapshotter.',
    {
      check: flag('Stop the installation where they are missing. Turn it off for `helm template`.', true),
    },
  ),
  groupSnapshots: group('VolumeGroupSnapshots.', {
    enabled: choice(
      'Whether the sidecar looks for them. It does not start where their CRDs are missing; `auto` looks whether they are there.',
      'auto',
      ['auto', 'always', 'never'],
    ),
  }),
  crds: group('The custom resource definitions of flashcopy.dev.', {
    install: flag(
      'Install and upgrade them with the chart. They stay when it is uninstalled, because all custom resources would go with them.',
      true,
    ),
  }),
  tls,
  priorityClass: group('A priority class of its own, for roles whose priorityClassName is empty.', {
    create: flag('Make it.', false),
    name: text('Its name. Empty: as the release is called.', '', { pattern: NAME }),
    value: whole('The priority.', 1000000000, -2147483648, 1000000000),
  }),
  networkPolicy: group('Who may connect: to the engines only the controller, to metrics whom you name.', {
    enabled: flag('Make them.', true),
    metricsFrom: foreignList('Peers that may read metrics, as in a NetworkPolicy. Empty: everybody.'),
  }),
  monitoring,
  helmTest: group('What `helm test` makes its volumes of.', {
    storageClassName: text('Empty: the first of storageClasses.', ''),
    volumeSnapshotClassName: text('Empty: the first of volumeSnapshotClasses.', ''),
    size: text('Size of the volumes.', '64Mi', { pattern: '^[1-9][0-9]*(Mi|Gi)$' }),
    timeoutSeconds: whole('How long it may take. Helm itself waits for `--timeout`, 5 minutes.', 240, 10),
  }),
});
