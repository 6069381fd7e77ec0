/** Binds pending copies to the node of their source (pin-plan.ts), and tells on the claim why, and what hinders them. */
import { isConflict } from '../kube/client.ts';
import type {
  Claim,
  KubeList,
  Node,
  PersistentVolume,
  Pod,
  VolumeSnapshot,
  VolumeSnapshotContent,
} from '../kube/objects.ts';
import { mayNeedPin, planPin, SELECTED_NODE } from './pin-plan.ts';
import { DRIVER, isUsing, nodeOf, pathOf, type World } from './world.ts';

/** The scheduler and the provisioner choose and drop nodes meanwhile. */
const LOOK_MS = 3000;

export async function reconcilePin(
  world: World,
  namespace: string,
  name: string,
): Promise<number | undefined> {
  const claim = await world.client.find<Claim>(pathOf('claims', namespace, name));
  if (claim === undefined || !mayNeedPin(claim)) return undefined;
  const storageClass = await world.storageClass(claim.spec.storageClassName);
  if (storageClass?.provisioner !== DRIVER) return undefined;
  const sourceNode = await sourceNodeOf(world, claim);
  const node = sourceNode && (await world.client.find<Node>(`/api/v1/nodes/${sourceNode}`));
  const { items } = await world.client.get<KubeList<Pod>>(pathOf('pods', namespace));
  const pods = items.filter((pod) => isUsing(pod, name));
  const step = planPin({ claim, storageClass, sourceNode, node: node || undefined, pods });
  if (step.pin !== undefined) {
    try {
      await world.annotate(claim, { [SELECTED_NODE]: step.pin });
    } catch (error) {
      if (isConflict(error)) return 0; // the scheduler chose at the same moment
      throw error;
    }
    await world.tellClaim(claim, {
      type: 'Normal',
      reason: 'PinnedToNode',
      message: `Its source is on node ${step.pin}, and a copy can only be made there: the volume is made on that node.`,
    });
  }
  if (step.hindrance !== undefined)
    await world.tellClaim(claim, { type: 'Warning', reason: 'NodeCannotTakePod', message: step.hindrance });
  return step.again ? LOOK_MS : undefined;
}

/** Undefined: the source is not there yet, or none of this driver. */
async function sourceNodeOf(world: World, { metadata, spec }: Claim): Promise<string | undefined> {
  const source = spec.dataSourceRef ?? spec.dataSource;
  if (source === undefined) return undefined;
  const namespace = source.namespace ?? metadata.namespace!;
  if (source.kind === 'VolumeSnapshot') return snapshotNode(world, namespace, source.name);
  if (source.kind !== 'PersistentVolumeClaim') return undefined;
  const claim = await world.client.find<Claim>(pathOf('claims', namespace, source.name));
  const volume: PersistentVolume | undefined =
    claim?.spec.volumeName === undefined ? undefined : await world.volume(claim.spec.volumeName);
  const csi = volume?.spec.csi;
  return csi?.driver === DRIVER ? nodeOf(csi.volumeHandle) : undefined;
}

async function snapshotNode(world: World, namespace: string, name: string): Promise<string | undefined> {
  const group = '/apis/snapshot.storage.k8s.io/v1';
  const path = `${group}/namespaces/${namespace}/volumesnapshots/${name}`;
  const contentName = (await world.client.find<VolumeSnapshot>(path))?.status?.boundVolumeSnapshotContentName;
  if (contentName === undefined) return undefined;
  const content = await world.client.find<VolumeSnapshotContent>(
    `${group}/volumesnapshotcontents/${contentName}`,
  );
  const handle = content?.status?.snapshotHandle;
  return content?.spec.driver === DRIVER && handle ? nodeOf(handle) : undefined;
}
