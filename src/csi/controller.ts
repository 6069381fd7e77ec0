/**
 * The Controller service: volumes and snapshots of every node from one place.
 *
 * It remembers nothing that is needed: what it knows of a volume is in the volume's id and in its engine's labels, so it can be
 * lost and started again anywhere. Calls for one name come one after the other; everything else may come at once.
 */
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Provisioning } from '../base/model.ts';
import { Turns } from '../base/turns.ts';
import { leastBytes, objectionTo, objectionToAll } from './capabilities.ts';
import { conditionOf, Pools } from './condition.ts';
import { createVolume, type Unanswered, wishOf } from './create-volume.ts';
import type { ControllerExpandVolumeRequest__Output } from './generated/csi/v1/ControllerExpandVolumeRequest.ts';
import type { ControllerExpandVolumeResponse } from './generated/csi/v1/ControllerExpandVolumeResponse.ts';
import type { ControllerModifyVolumeRequest__Output } from './generated/csi/v1/ControllerModifyVolumeRequest.ts';
import type { GetCapacityRequest__Output } from './generated/csi/v1/GetCapacityRequest.ts';
import type { GetCapacityResponse } from './generated/csi/v1/GetCapacityResponse.ts';
import type { ValidateVolumeCapabilitiesRequest__Output } from './generated/csi/v1/ValidateVolumeCapabilitiesRequest.ts';
import type { ValidateVolumeCapabilitiesResponse } from './generated/csi/v1/ValidateVolumeCapabilitiesResponse.ts';
import { pageOf } from './listing.ts';
import { volumeMessage } from './messages.ts';
import { mutableParameters, volumeParameters } from './parameters.ts';
import { largestVolume, nodeIn } from './placement.ts';
import { checkId, type Found, type Places } from './places.ts';
import type { ControllerService } from './services.ts';
import { growToAtLeast, isWithin, sizeFor, sizeRangeOf } from './sizes.ts';
import { createSnapshot, deleteThing, listSnapshots, snapshotsMessage, snapshotWishOf } from './snapshots.ts';

const CAPABILITIES = [
  'CREATE_DELETE_VOLUME',
  'LIST_VOLUMES',
  'GET_CAPACITY',
  'CREATE_DELETE_SNAPSHOT',
  'LIST_SNAPSHOTS',
  'CLONE_VOLUME',
  'EXPAND_VOLUME',
  'VOLUME_CONDITION',
  'GET_VOLUME',
  'SINGLE_NODE_MULTI_WRITER',
  'MODIFY_VOLUME',
  'GET_SNAPSHOT',
] as const;

export function controllerService(places: Places): ControllerService {
  const turns = new Turns<string>();
  const pools = new Pools();
  const unanswered: Unanswered = new Map();
  const statusOf = async (found: Found) => ({
    volumeCondition: conditionOf(found, await pools.of(found.engine)),
  });
  return {
    ControllerGetCapabilities: async () => ({
      capabilities: CAPABILITIES.map((type) => ({ rpc: { type } })),
    }),

    CreateVolume: async (request) => {
      const wish = wishOf(request);
      const volume = await turns.take([`volume ${wish.name}`], () => createVolume(places, wish, unanswered));
      return { volume: volumeMessage(volume) };
    },
    DeleteVolume: async ({ volumeId }) => {
      await deleteThing(places, 'volume', volumeId);
      return {};
    },
    ControllerGetVolume: async ({ volumeId }) => {
      const found = await places.get('volume', volumeId);
      return { volume: volumeMessage(found), status: await statusOf(found) };
    },
    ListVolumes: async (request) => {
      const { found, nextToken } = await pageOf(places, 'volume', request);
      const entries = found.map(async (each) => ({
        volume: volumeMessage(each),
        status: await statusOf(each),
      }));
      return { entries: await Promise.all(entries), nextToken };
    },
    ValidateVolumeCapabilities: (request) => validate(places, request),
    GetCapacity: (request) => capacity(places, request),
    ControllerExpandVolume: (request) => expand(places, request),
    ControllerModifyVolume: async (request) => {
      await modify(places, request);
      return {};
    },

    CreateSnapshot: async (request) => {
      const wish = snapshotWishOf(request);
      const found = await turns.take([`snapshot ${wish.name}`], () => createSnapshot(places, wish));
      const [snapshot] = await snapshotsMessage(places, [found]);
      return { snapshot: snapshot! };
    },
    DeleteSnapshot: async ({ snapshotId }) => {
      await deleteThing(places, 'snapshot', snapshotId);
      return {};
    },
    GetSnapshot: async ({ snapshotId }) => {
      const [snapshot] = await snapshotsMessage(places, [await places.get('snapshot', snapshotId)]);
      return { snapshot: snapshot! };
    },
    ListSnapshots: async (request) => {
      const { found, nextToken } = await listSnapshots(places, request);
      const snapshots = await snapshotsMessage(places, found);
      return { entries: snapshots.map((snapshot) => ({ snapshot })), nextToken };
    },
  };
}

async function validate(
  places: Places,
  request: ValidateVolumeCapabilitiesRequest__Output,
): Promise<ValidateVolumeCapabilitiesResponse> {
  const { volumeId, volumeCapabilities, volumeContext, parameters, mutableParameters: mutable } = request;
  checkId('volume', volumeId);
  if (volumeCapabilities.length === 0)
    throw new FlashCopyError('InvalidArgument', 'The volume capabilities to confirm are missing.');
  await places.get('volume', volumeId);
  const objection = objectionToAll(volumeCapabilities);
  if (objection !== undefined) return { message: objection };
  try {
    volumeParameters(parameters, mutable);
  } catch (error) {
    if (!(error instanceof FlashCopyError)) throw error;
    return { message: error.message };
  }
  return { confirmed: { volumeCapabilities, volumeContext, parameters, mutableParameters: mutable } };
}

/** Of one node, or of all that answer: what cannot be reached is not available. */
async function capacity(places: Places, request: GetCapacityRequest__Output): Promise<GetCapacityResponse> {
  const provisioning = provisioningOf(request.parameters);
  const node = nodeIn(request.accessibleTopology);
  if (request.volumeCapabilities.some((each) => objectionTo(each) !== undefined))
    return { availableCapacity: 0 };
  const nodes = node === undefined ? await places.engines.nodes() : [node];
  const asked = nodes.map(async (each) => {
    try {
      return await places.engines.engineOf(each)?.pool();
    } catch (error) {
      if (node !== undefined || !(error instanceof FlashCopyError)) throw error;
      log.warn('node is left out', { node: each, reason: error.message });
      return undefined;
    }
  });
  const pools = (await Promise.all(asked)).filter((pool) => pool !== undefined);
  return {
    availableCapacity: pools.reduce((sum, pool) => sum + pool.freeBytes, 0),
    maximumVolumeSize: { value: Math.max(0, ...pools.map((pool) => largestVolume(pool, provisioning))) },
    minimumVolumeSize: { value: leastBytes(request.volumeCapabilities) },
  };
}

/**
 * A wrong parameter is told where a volume is made. An error here would keep it from coming to that: the scheduler would
 * find no capacity for the class, and say that storage is short.
 */
function provisioningOf(parameters: Readonly<Record<string, string>>): Provisioning {
  try {
    return volumeParameters(parameters, {}).provisioning ?? 'thin';
  } catch (error) {
    if (error instanceof FlashCopyError && error.code === 'InvalidArgument') return 'thin';
    throw error;
  }
}

async function expand(
  places: Places,
  { volumeId, capacityRange, volumeCapability }: ControllerExpandVolumeRequest__Output,
): Promise<ControllerExpandVolumeResponse> {
  checkId('volume', volumeId);
  if (capacityRange === null)
    throw new FlashCopyError('InvalidArgument', `The new size of volume ${volumeId} is missing.`);
  const objection = volumeCapability ? objectionTo(volumeCapability) : undefined;
  if (objection !== undefined) throw new FlashCopyError('InvalidArgument', objection);
  const range = sizeRangeOf(capacityRange);
  const volume = await places.get('volume', volumeId);
  const { engine, info } = volume;
  // A raw device has nothing on it that we would have to grow.
  const nodeExpansionRequired = !volumeCapability?.block;
  if (isWithin(info.sizeBytes, range)) {
    // A former attempt may have been cut off before the device had the size, and a raw one is not asked for again.
    const { sizeBytes: capacityBytes } =
      info.device === '' ? info : await growToAtLeast(volume, info.sizeBytes);
    return { capacityBytes, nodeExpansionRequired };
  }
  const sizeBytes = sizeFor(range, info.sizeBytes);
  const largest = largestVolume(await engine.pool(), 'thin');
  if (sizeBytes > largest)
    throw new FlashCopyError(
      'OutOfRange',
      `Volume ${volumeId} was to grow to ${sizeBytes} bytes; the pool of its node can hold ${largest}. Ask for less.`,
    );
  const grown = await growToAtLeast(volume, sizeBytes);
  return { capacityBytes: grown.sizeBytes, nodeExpansionRequired };
}

/** The copy rate is that of the copy which fills the volume; one that is not copied has nothing to set. */
async function modify(places: Places, request: ControllerModifyVolumeRequest__Output): Promise<void> {
  checkId('volume', request.volumeId);
  const { copyRate } = mutableParameters(request.mutableParameters);
  const { engine, info } = await places.get('volume', request.volumeId);
  if (copyRate === undefined) return;
  const mapping = (await engine.listMappings()).find(({ target }) => target === info.name);
  if (mapping === undefined) return;
  try {
    await engine.setCopyRate(`#${mapping.id}`, copyRate);
  } catch (error) {
    // The copy is complete by now.
    if (!(error instanceof FlashCopyError && error.code === 'MappingNotFound')) throw error;
  }
}
