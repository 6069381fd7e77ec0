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

export type Pod = KubeObject & {
  spec: { nodeName?: string };
  status?: { phase?: string; podIP?: string };
};

export type Node = KubeObject;
