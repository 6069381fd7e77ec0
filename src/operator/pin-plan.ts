/**
 * Which node a pending claim has to be provisioned on, and whether it can be.
 *
 * A copy can only be made where its source is, and the scheduler does not know where that is: it may choose another node,
 * is told that there is no room for it there, and may choose the same one again, for ever. So a claim of ours that waits for
 * its consumer and has a source is bound to the source's node, by the annotation that the scheduler itself would set. The
 * provisioner takes it away when it fails; then it is set again.
 */
import type { Claim, Node, Pod, StorageClass } from '../kube/objects.ts';
import { DRIVER } from './world.ts';

export const SELECTED_NODE = 'volume.kubernetes.io/selected-node';

export type PinObserved = {
  claim: Claim;
  storageClass: StorageClass | undefined;
  /** Where its source lies; undefined: it has none, it is not of this driver, or it is not there yet. */
  sourceNode: string | undefined;
  node: Node | undefined;
  /** Pods that use the claim. */
  pods: readonly Pod[];
};

export type PinStep = {
  /** The node that the claim is to be bound to, if it is not already. */
  pin?: string;
  /** Why it will not be provisioned there for now. */
  hindrance?: string;
  /** Look again: something outside of the claim decides. */
  again: boolean;
};

/** Whether it can be one that has to be pinned: by what the claim alone says. */
export function mayNeedPin({ metadata, spec, status }: Claim): boolean {
  const hasSource = spec.dataSource !== undefined || spec.dataSourceRef !== undefined;
  return (
    hasSource && !spec.volumeName && status?.phase !== 'Bound' && metadata.deletionTimestamp === undefined
  );
}

export function planPin({ claim, storageClass, sourceNode, node, pods }: PinObserved): PinStep {
  if (!mayNeedPin(claim)) return { again: false };
  if (storageClass?.provisioner !== DRIVER || storageClass.volumeBindingMode !== 'WaitForFirstConsumer')
    return { again: false };
  if (sourceNode === undefined) return { again: true };
  const selected = claim.metadata.annotations?.[SELECTED_NODE];
  const hindrance = hindranceOf(sourceNode, node, pods);
  return {
    again: true,
    ...(selected !== sourceNode && { pin: sourceNode }),
    ...(hindrance !== undefined && { hindrance }),
  };
}

function hindranceOf(name: string, node: Node | undefined, pods: readonly Pod[]): string | undefined {
  const stay = `The source of this claim is on node ${name}, and a copy can only be made there`;
  if (node === undefined) return `${stay}; that node is not in the cluster any more.`;
  if (node.spec?.unschedulable)
    return `${stay}; that node is cordoned. Uncordon it: kubectl uncordon ${name}.`;
  const isReady = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
  if (!isReady) return `${stay}; that node is not ready.`;
  for (const pod of pods) {
    const scheduled = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
    if (scheduled?.status === 'False' && scheduled.reason === 'Unschedulable')
      return `${stay}; the pod ${pod.metadata.name} cannot be scheduled to it: ${scheduled.message ?? 'no reason is given'}`;
    const elsewhere = pod.spec.nodeName;
    if (elsewhere !== undefined && elsewhere !== name)
      return `${stay}; the pod ${pod.metadata.name} was put on node ${elsewhere} and cannot start there. Delete the pod.`;
  }
  return undefined;
}
