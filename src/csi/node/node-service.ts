/**
 * The CSI node service: brings the volumes of this node's engine to the paths where pods look for them.
 *
 * Arguments are checked before anything is looked up. What concerns one volume, or one path, happens one after the other,
 * whatever was asked how often at once; others do not wait for it. Nothing is remembered between calls: what is attached,
 * mounted and published is read from the system, so the service can be killed and started again at any time.
 */
import type { EngineApi } from '../../api/engine-api.ts';
import { FlashCopyError } from '../../base/errors.ts';
import { Turns } from '../../base/turns.ts';
import { objectionTo } from '../capabilities.ts';
import { Pools } from '../condition.ts';
import { FixedEngines } from '../engines.ts';
import { checkNodeId, shown, TOPOLOGY_KEY } from '../ids.ts';
import { checkId, type Found, Places } from '../places.ts';
import type { NodeService } from '../services.ts';
import { sizeRangeOf } from '../sizes.ts';
import { expand } from './expand.ts';
import { volumesMax } from './limits.ts';
import { publish, unpublish } from './publish.ts';
import { checkPath, useOf } from './requests.ts';
import { stage, unstage } from './stage.ts';
import { statsOf } from './stats.ts';

const CAPABILITIES = [
  'STAGE_UNSTAGE_VOLUME',
  'GET_VOLUME_STATS',
  'VOLUME_CONDITION',
  'EXPAND_VOLUME',
  'SINGLE_NODE_MULTI_WRITER',
] as const;

const STAGING = 'staging path';
const TARGET = 'target path';

export function nodeService({ engine, nodeId }: { engine: EngineApi; nodeId: string }): NodeService {
  const places = new Places(new FixedEngines(new Map([[checkNodeId(nodeId), engine]])));
  const turns = new Turns<string>();
  const pools = new Pools();

  /** Of a volume, or of a snapshot, which can be mounted read-only. */
  const found = async (id: string): Promise<Found | undefined> =>
    (await places.find('volume', id)) ?? places.find('snapshot', id);

  const withVolume = <Result>(
    id: string,
    place: string,
    action: (volume: Found) => Promise<Result>,
  ): Promise<Result> =>
    turns.take([id, place], async () => {
      const volume = await found(id);
      if (volume !== undefined) return action(volume);
      throw new FlashCopyError(
        'VolumeNotFound',
        `There is no volume ${shown(id)} on node ${nodeId}: it was deleted, is on another node, or the id is not from ` +
          'this driver.',
      );
    });

  return {
    NodeGetInfo: async () => ({
      nodeId,
      maxVolumesPerNode: await volumesMax(),
      accessibleTopology: { segments: { [TOPOLOGY_KEY]: nodeId } },
    }),
    NodeGetCapabilities: async () => ({ capabilities: CAPABILITIES.map((type) => ({ rpc: { type } })) }),

    NodeStageVolume: async ({ volumeId, stagingTargetPath, volumeCapability }) => {
      checkId('volume', volumeId);
      checkPath(STAGING, stagingTargetPath);
      const use = useOf(volumeCapability);
      await withVolume(volumeId, stagingTargetPath, (volume) => stage(volume, use, stagingTargetPath));
      return {};
    },
    NodeUnstageVolume: async ({ volumeId, stagingTargetPath }) => {
      checkId('volume', volumeId);
      checkPath(STAGING, stagingTargetPath);
      // What was left of a volume that is no more can be unstaged too.
      await turns.take([volumeId, stagingTargetPath], async () =>
        unstage(volumeId, await found(volumeId), stagingTargetPath),
      );
      return {};
    },

    NodePublishVolume: async ({ volumeId, stagingTargetPath, targetPath, volumeCapability, readonly }) => {
      checkId('volume', volumeId);
      checkPath(TARGET, targetPath);
      const use = useOf(volumeCapability);
      if (stagingTargetPath === '') throw notStaged();
      checkPath(STAGING, stagingTargetPath);
      const paths = { staging: stagingTargetPath, target: targetPath };
      const asked = { ...use, readOnly: use.readOnly || readonly };
      await withVolume(volumeId, targetPath, (volume) => publish(volume, asked, paths));
      return {};
    },
    NodeUnpublishVolume: async ({ volumeId, targetPath }) => {
      checkId('volume', volumeId);
      checkPath(TARGET, targetPath);
      await turns.take([volumeId, targetPath], () => unpublish(volumeId, targetPath));
      return {};
    },

    NodeGetVolumeStats: async ({ volumeId, volumePath }) => {
      checkId('volume', volumeId);
      if (volumePath === '') throw new FlashCopyError('InvalidArgument', 'The volume path is missing.');
      return withVolume(volumeId, volumePath, async (volume) =>
        statsOf(volume, volumePath, await pools.of(volume.engine)),
      );
    },
    NodeExpandVolume: async ({ volumeId, volumePath, capacityRange, volumeCapability }) => {
      checkId('volume', volumeId);
      if (volumePath === '') throw new FlashCopyError('InvalidArgument', 'The volume path is missing.');
      const objection = volumeCapability ? objectionTo(volumeCapability) : undefined;
      if (objection !== undefined) throw new FlashCopyError('InvalidArgument', objection);
      const { required: requiredBytes } = sizeRangeOf(capacityRange);
      const asked = { volumePath, block: Boolean(volumeCapability?.block), requiredBytes };
      return { capacityBytes: await withVolume(volumeId, volumePath, (volume) => expand(volume, asked)) };
    },
  };
}

function notStaged(): FlashCopyError {
  return new FlashCopyError(
    'WrongState',
    'The staging path is missing: a volume is published from where it was staged. Stage it first, and give that path.',
  );
}
