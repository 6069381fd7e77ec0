/**
 * Kubernetes' own objects, as far as they are read here. Times are texts as the API has them (RFC 3339).
 */
export type ObjectMeta = {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  finalizers?: string[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
};

export type KubeObject = { apiVersion?: string; kind?: string; metadata: ObjectMeta };
export type KubeList<Item> = { metadata: { resourceVersion?: string }; items: Item[] };

type PodVolume = { name: string; persistentVolumeClaim?: { claimName: string }; ephemeral?: object };
type PodCondition = { type: string; status: string; reason?: string; message?: string };
export type Pod = KubeObject & {
  spec: { nodeName?: string; volumes?: PodVolume[] };
  status?: { phase?: string; podIP?: string; conditions?: PodCondition[] };
};

export type Node = KubeObject & {
  spec?: { unschedulable?: boolean };
  status?: { conditions?: PodCondition[] };
};

type DataSource = { apiGroup?: string; kind: string; name: string; namespace?: string };
export type Claim = KubeObject & {
  spec: {
    volumeName?: string;
    storageClassName?: string;
    dataSource?: DataSource;
    dataSourceRef?: DataSource;
  };
  status?: { phase?: string };
};

export type PersistentVolume = KubeObject & {
  spec: { csi?: { driver: string; volumeHandle: string }; claimRef?: { uid?: string } };
};

export type StorageClass = KubeObject & { provisioner: string; volumeBindingMode?: string };

export type VolumeSnapshot = KubeObject & {
  spec: { source: { persistentVolumeClaimName?: string } };
  status?: { boundVolumeSnapshotContentName?: string; readyToUse?: boolean };
};
export type VolumeSnapshotContent = KubeObject & {
  spec: { driver: string };
  status?: { snapshotHandle?: string };
};
