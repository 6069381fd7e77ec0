/** The objects of Kubernetes that the tests make. */
import { TOOLS_IMAGE } from './images.ts';
import type { KubeObject } from './kubectl.ts';

type ClaimOptions = {
  /** '1Gi'. */
  size?: string;
  storageClass?: string;
  /** A snapshot or a claim of the same namespace, whose content it begins with. */
  from?: { kind: 'VolumeSnapshot' | 'PersistentVolumeClaim'; name: string };
  block?: boolean;
  accessMode?: 'ReadWriteOnce' | 'ReadOnlyMany' | 'ReadWriteOncePod' | 'ReadWriteMany';
};

export function claim(name: string, options: ClaimOptions = {}): KubeObject {
  const {
    size = '256Mi',
    storageClass = 'flashcopy',
    from,
    block = false,
    accessMode = 'ReadWriteOnce',
  } = options;
  const group = from?.kind === 'VolumeSnapshot' ? { apiGroup: 'snapshot.storage.k8s.io' } : {};
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: {
      accessModes: [accessMode],
      storageClassName: storageClass,
      volumeMode: block ? 'Block' : 'Filesystem',
      resources: { requests: { storage: size } },
      ...(from === undefined ? {} : { dataSource: { ...group, ...from } }),
    },
  };
}

/** Where pods find their claims: a directory, or the device of a raw block claim. */
export const MOUNT = '/data';
export const DEVICE = '/dev/volume';

type PodOptions = {
  claim?: string;
  block?: boolean;
  readOnly?: boolean;
  node?: string;
  /** A shell's script; without one it sleeps. */
  script?: string;
};

/** A pod that ends at once when it is told to. */
export function pod(name: string, options: PodOptions = {}): KubeObject {
  const { block = false, readOnly = false, node, script = 'sleep infinity' } = options;
  const place = block
    ? { volumeDevices: [{ name: 'data', devicePath: DEVICE }] }
    : { volumeMounts: [{ name: 'data', mountPath: MOUNT, readOnly }] };
  const volume = { name: 'data', persistentVolumeClaim: { claimName: options.claim, readOnly } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
      containers: [
        {
          name: 'main',
          image: TOOLS_IMAGE,
          command: ['/bin/sh', '-c', script],
          ...(options.claim === undefined ? {} : place),
        },
      ],
      ...(options.claim === undefined ? {} : { volumes: [volume] }),
    },
  };
}

export const snapshot = (name: string, claimName: string, snapshotClass = 'flashcopy'): KubeObject => ({
  apiVersion: 'snapshot.storage.k8s.io/v1',
  kind: 'VolumeSnapshot',
  metadata: { name },
  spec: { volumeSnapshotClassName: snapshotClass, source: { persistentVolumeClaimName: claimName } },
});
