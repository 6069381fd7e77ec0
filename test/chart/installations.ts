/** Ways in which people install the chart, as values. */
import type { Values } from './render.ts';

/** With all that is optional. */
const everything: Values = {
  priorityClass: { create: true },
  monitoring: {
    podMonitor: { enabled: true, labels: { release: 'prometheus' } },
    prometheusRule: { enabled: true, extraRules: [{ alert: 'Mine', expr: 'vector(1)' }] },
    dashboard: { enabled: true, annotations: { folder: 'storage' } },
  },
  volumeAttributesClasses: [{ name: 'fast', parameters: { copyRate: '100' } }],
  networkPolicy: { metricsFrom: [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }] },
  controller: {
    podLabels: { team: 'storage' },
    podAnnotations: { a: 'b' },
    extraEnv: [{ name: 'A', value: 'b' }],
  },
  engine: {
    podLabels: { team: 'storage' },
    podAnnotations: { a: 'b' },
    extraEnv: [{ name: 'A', value: 'b' }],
  },
  node: {
    podLabels: { team: 'storage' },
    podAnnotations: { a: 'b' },
    extraEnv: [{ name: 'A', value: 'b' }],
  },
  imagePullSecrets: [{ name: 'registry' }],
};

/** Ways in which people install it. */
export const installations: Record<string, Values> = {
  'with defaults': {},
  'with all that is optional': everything,
  'with certificates of cert-manager': { tls: { source: 'certManager' } },
  'with certificates of an issuer': {
    tls: { source: 'certManager', certManager: { issuerRef: { kind: 'ClusterIssuer', name: 'internal' } } },
  },
  'with own Secrets': { tls: { source: 'secrets', secrets: { controller: 'mine-c', engine: 'mine-e' } } },
  'on a small cluster': {
    controller: { replicas: 1, operator: { enabled: false }, priorityClassName: '' },
    engine: { priorityClassName: '' },
    node: { priorityClassName: '' },
    networkPolicy: { enabled: false },
    storageClasses: [],
    volumeSnapshotClasses: [],
    volumeGroupSnapshotClasses: [],
    crds: { install: false },
    groupSnapshots: { enabled: 'never' },
  },
  'with classes of all kinds': {
    storageClasses: [
      {
        name: 'thick',
        default: true,
        reclaimPolicy: 'Retain',
        volumeBindingMode: 'Immediate',
        allowVolumeExpansion: false,
        mountOptions: ['noatime'],
        parameters: { provisioning: 'thick', grainSize: '64Ki', 'csi.storage.k8s.io/fstype': 'xfs' },
        annotations: { a: 'b' },
        labels: { c: 'd' },
      },
      { name: 'plain' },
    ],
    volumeSnapshotClasses: [
      { name: 'full', default: true, deletionPolicy: 'Retain', parameters: { copyRate: '80' } },
    ],
  },
};
