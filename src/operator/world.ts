/**
 * What the operator sees of the cluster and how it writes to it. Everything that a decision rests on is read when it is
 * made; only the objects that begin one come from informers.
 *
 * Nothing is written after the term of this leader has ended: every write asks first.
 */
import { FlashCopyError } from '../base/errors.ts';
import { parseId } from '../csi/ids.ts';
import type { Found, Places } from '../csi/places.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import type { Events, Told } from '../kube/events.ts';
import type { Claim, KubeList, KubeObject, PersistentVolume, Pod, StorageClass } from '../kube/objects.ts';
import { API_VERSION, GROUP, type Resource, USERS_MAX, VERSION } from './resources.ts';

export const DRIVER = 'csi.flashcopy.dev';

/** What stands behind the name of a claim. */
export type ClaimState =
  | { is: 'missing' }
  | { is: 'pending'; claim: Claim; storageClass: StorageClass | undefined }
  | { is: 'foreign'; claim: Claim; driver: string }
  /** Its volume is in no engine: of a node that left the cluster, or deleted behind Kubernetes' back. */
  | { is: 'lost'; claim: Claim; handle: string }
  | { is: 'bound'; claim: Claim; found: Found };

type AnyResource = Resource<unknown, unknown>;
type WithStatus = KubeObject & { status?: object };

export class World {
  readonly client: KubeClient;
  readonly places: Places;
  readonly term: AbortSignal;
  private readonly events: Events;

  constructor(client: KubeClient, places: Places, events: Events, term: AbortSignal) {
    this.client = client;
    this.places = places;
    this.events = events;
    this.term = term;
  }

  async claim(namespace: string, name: string): Promise<ClaimState> {
    const claim = await this.client.find<Claim>(pathOf('claims', namespace, name));
    if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) return { is: 'missing' };
    const { volumeName, storageClassName } = claim.spec;
    const volume = volumeName ? await this.volume(volumeName) : undefined;
    if (volume === undefined || claim.status?.phase !== 'Bound')
      return { is: 'pending', claim, storageClass: await this.storageClass(storageClassName) };
    const { driver = 'none', volumeHandle = '' } = volume.spec.csi ?? {};
    if (driver !== DRIVER) return { is: 'foreign', claim, driver };
    const found = await this.places.find('volume', volumeHandle);
    return found === undefined ? { is: 'lost', claim, handle: volumeHandle } : { is: 'bound', claim, found };
  }

  volume(name: string): Promise<PersistentVolume | undefined> {
    return this.client.find(`/api/v1/persistentvolumes/${name}`);
  }

  async storageClass(name: string | undefined): Promise<StorageClass | undefined> {
    return name ? this.client.find(`/apis/storage.k8s.io/v1/storageclasses/${name}`) : undefined;
  }

  /** The names of the pods that use a claim, as many as a status holds. */
  async usersOf(namespace: string, claimName: string): Promise<string[]> {
    const { items } = await this.client.get<KubeList<Pod>>(pathOf('pods', namespace));
    return items
      .filter((pod) => isUsing(pod, claimName))
      .map(({ metadata }) => metadata.name)
      .sort()
      .slice(0, USERS_MAX);
  }

  async annotate(claim: Claim, annotations: Record<string, string>): Promise<void> {
    this.checkTerm();
    const { namespace, name, resourceVersion } = claim.metadata;
    await this.client.patch(pathOf('claims', namespace, name), {
      metadata: { resourceVersion, annotations },
    });
  }

  /** The whole status, as it is to be from now on. Fails if the object is another meanwhile. */
  async writeStatus<Item extends WithStatus>(
    resource: AnyResource,
    object: Item,
    status: object,
  ): Promise<Item> {
    this.checkTerm();
    const path = `${customPath(resource, object.metadata.namespace, object.metadata.name)}/status`;
    const head = { apiVersion: API_VERSION, kind: resource.kind };
    return this.client.replace<Item>(path, { ...object, ...head, status });
  }

  async setFinalizers<Item extends KubeObject>(
    resource: AnyResource,
    { metadata }: Item,
    finalizers: string[],
  ): Promise<Item> {
    this.checkTerm();
    const { namespace, name, resourceVersion } = metadata;
    return this.client.patch<Item>(customPath(resource, namespace, name), {
      metadata: { resourceVersion, finalizers },
    });
  }

  async create(path: string, object: object): Promise<void> {
    this.checkTerm();
    await this.client.create(path, object);
  }

  /** This very object, and no later one of the same name. */
  async remove(path: string, { metadata }: KubeObject): Promise<void> {
    this.checkTerm();
    await this.client.remove(path, { preconditions: { uid: metadata.uid } });
  }

  async tell(resource: AnyResource, object: KubeObject, told: Told): Promise<void> {
    await this.events.tell({ apiVersion: API_VERSION, kind: resource.kind, object }, told);
  }

  async tellClaim(claim: Claim, told: Told): Promise<void> {
    await this.events.tell({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', object: claim }, told);
  }

  /** Whoever does not lead any more acts no more. */
  checkTerm(): void {
    if (this.term.aborted)
      throw new FlashCopyError('Unavailable', 'This operator does not lead any more; another one goes on.');
  }
}

/** A node's engine that does not answer: undefined if it is another error. */
export function unreachable(error: unknown): string | undefined {
  const isOfEngine = error instanceof FlashCopyError && !(error instanceof KubeError);
  return isOfEngine && error.code === 'Unavailable' ? error.message : undefined;
}

const CORE = {
  claims: 'persistentvolumeclaims',
  pods: 'pods',
} as const;

export function pathOf(what: keyof typeof CORE, namespace = '', name = ''): string {
  const within = namespace === '' ? '' : `/namespaces/${namespace}`;
  return `/api/v1${within}/${CORE[what]}${name === '' ? '' : `/${name}`}`;
}

export function customPath({ plural }: { plural: string }, namespace = '', name = ''): string {
  const within = namespace === '' ? '' : `/namespaces/${namespace}`;
  return `/apis/${GROUP}/${VERSION}${within}/${plural}${name === '' ? '' : `/${name}`}`;
}

/** It may have the claim mounted now, or will as soon as it is started. */
export const isUsing = (pod: Pod, claimName: string) => !isOver(pod) && claimsOf(pod).includes(claimName);

const isOver = ({ status }: Pod) => status?.phase === 'Succeeded' || status?.phase === 'Failed';

function claimsOf({ metadata, spec }: Pod): string[] {
  return (spec.volumes ?? []).flatMap((volume) => {
    if (volume.persistentVolumeClaim !== undefined) return volume.persistentVolumeClaim.claimName;
    return volume.ephemeral === undefined ? [] : `${metadata.name}-${volume.name}`;
  });
}

/** Of a volume's or snapshot's id; undefined: it is none of this driver. */
export const nodeOf = (id: string): string | undefined => parseId(id)?.node;
