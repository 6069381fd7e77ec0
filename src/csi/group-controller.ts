/**
 * The GroupController service: snapshots of several volumes of one node, all of one instant, all or none.
 *
 * A group is its members: snapshots that bear its id as a label. It has no record of its own that could be left behind, and
 * when its last member is deleted it is gone.
 */
import { FlashCopyError } from '../base/errors.ts';
import { Turns } from '../base/turns.ts';
import { sourcesAgain } from './copies.ts';
import type { CreateVolumeGroupSnapshotRequest__Output } from './generated/csi/v1/CreateVolumeGroupSnapshotRequest.ts';
import type { VolumeGroupSnapshot } from './generated/csi/v1/VolumeGroupSnapshot.ts';
import { formatGroupId, formatId, parseGroupId, parseId, shown } from './ids.ts';
import { checkSame, LABELS, paramsLabel } from './labels.ts';
import { snapshotMessage, timestampOf } from './messages.ts';
import { checkCsiName, engineMemberName } from './names.ts';
import { snapshotParameters } from './parameters.ts';
import { checkId, type Found, type Places } from './places.ts';
import type { GroupControllerService } from './services.ts';
import { deleteThing } from './snapshots.ts';

type Wish = { name: string; sourceIds: string[]; copyRate: number; freeze: boolean; params: string };

export function groupControllerService(places: Places): GroupControllerService {
  const turns = new Turns<string>();
  return {
    GroupControllerGetCapabilities: async () => ({
      capabilities: [{ rpc: { type: 'CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT' } }],
    }),
    CreateVolumeGroupSnapshot: async (request) => {
      const wish = wishOf(request);
      const members = await turns.take([wish.name], () => createGroup(places, wish));
      return { groupSnapshot: await groupMessage(places, members) };
    },
    GetVolumeGroupSnapshot: async ({ groupSnapshotId, snapshotIds }) => {
      checkId('group snapshot', groupSnapshotId);
      const members = await membersOf(places, groupSnapshotId);
      if (members.length === 0)
        throw new FlashCopyError(
          'VolumeNotFound',
          `There is no group snapshot ${shown(groupSnapshotId)}: it was deleted, or the id is not from this driver.`,
        );
      if (snapshotIds.length > 0) checkListed(members, snapshotIds);
      return { groupSnapshot: await groupMessage(places, members) };
    },
    DeleteVolumeGroupSnapshot: async ({ groupSnapshotId, snapshotIds }) => {
      checkId('group snapshot', groupSnapshotId);
      const members = await membersOf(places, groupSnapshotId);
      // Asked again after a deletion that was cut off, some members are gone already.
      if (members.length > 0 && snapshotIds.length > 0) {
        const alive = await Promise.all(snapshotIds.map((id) => places.find('snapshot', id)));
        checkListed(members, alive.flatMap((each) => each?.id ?? [])); // biome-ignore format: one line
      }
      for (const { id } of members) await deleteThing(places, 'snapshot', id);
      return {};
    },
  };
}

function wishOf(request: CreateVolumeGroupSnapshotRequest__Output): Wish {
  const name = checkCsiName('group snapshot', request.name);
  const sourceIds = [...request.sourceVolumeIds].sort();
  const refuse = (found: string) => {
    throw new FlashCopyError(
      'InvalidArgument',
      `The group snapshot ${shown(name)} cannot be made: ${found}.`,
    );
  };
  if (sourceIds.length === 0) refuse('it names no source volumes');
  if (new Set(sourceIds).size < sourceIds.length) refuse('a source volume is named twice');
  for (const id of sourceIds) checkId('source volume', id);
  const parameters = snapshotParameters(request.parameters);
  const { copyRate, fsFreeze = false } = parameters;
  return { name, sourceIds, copyRate, freeze: fsFreeze, params: paramsLabel(parameters) };
}

async function createGroup(places: Places, wish: Wish): Promise<Found[]> {
  // Before the sources, which may be gone when somebody asks again.
  const place = parseId(wish.sourceIds[0]!);
  const found = place ? await membersOf(places, formatGroupId(place.node, place.pool, wish.name)) : [];
  const existing = found.length > 0 ? asWished(wish, found) : undefined;
  const sources = existing
    ? await sourcesAgain(places, 'volume', wish.sourceIds, existing)
    : await Promise.all(wish.sourceIds.map((id) => places.get('volume', id)));
  if (sources === undefined) return existing!;
  const { node, pool, engine } = sources[0]!;
  const elsewhere = sources.find((each) => each.node !== node);
  if (elsewhere !== undefined)
    throw new FlashCopyError(
      'WrongState',
      `The volumes of group snapshot ${shown(wish.name)} are on several nodes (${node} and ${elsewhere.node}), which have no ` +
        'common instant. Take a group of each node.',
    );
  const group = formatGroupId(node, pool, wish.name);
  const infos = await engine.createSnapshots(
    sources.map(({ id, info }) => ({
      name: engineMemberName(wish.name, `#${info.id}`),
      source: `#${info.id}`,
      copyRate: wish.copyRate,
      labels: {
        [LABELS.name]: wish.name,
        [LABELS.pool]: pool,
        [LABELS.params]: wish.params,
        [LABELS.sourceVolume]: id,
        [LABELS.group]: group,
      },
    })),
    { freeze: wish.freeze },
  );
  const members = infos.map((info) => ({ id: formatId(node, pool, info.id), node, pool, engine, info }));
  return asWished(wish, members);
}

/** All that is there is what was asked for. */
function asWished(wish: Wish, members: Found[]): Found[] {
  const wanted = { [LABELS.name]: wish.name, [LABELS.params]: wish.params };
  for (const { info } of members) checkSame('group snapshot', info, wanted, ['params']);
  const sources = members.map(({ info }) => info.labels[LABELS.sourceVolume]!).sort();
  if (sources.join() === wish.sourceIds.join()) return members;
  throw new FlashCopyError(
    'AlreadyExists',
    `A group snapshot named ${shown(wish.name)} exists already of other source volumes: ${sources.join(', ')}. Use another name.`,
  );
}

/** Empty: there is no such group (any more). */
async function membersOf(places: Places, groupId: string): Promise<Found[]> {
  const place = parseGroupId(groupId);
  if (place === undefined) return [];
  const snapshots = await places.allOf(place.node, 'snapshot');
  return snapshots.filter(({ info }) => info.labels[LABELS.group] === groupId);
}

/** `listed`: the snapshots that the caller takes for the members; those that are gone are not in it. */
function checkListed(members: readonly Found[], listed: readonly string[]): void {
  const ids = members.map(({ id }) => id);
  const refuse = (id: string | undefined, found: string) => {
    if (id === undefined) return;
    const text = `The snapshots of the group snapshot do not match: ${shown(id)} is ${found}.`;
    throw new FlashCopyError('InvalidArgument', text);
  };
  refuse(listed.find((id) => !ids.includes(id)), 'listed and not in it'); // biome-ignore format: two alike
  refuse(ids.find((id) => !listed.includes(id)), 'in it and not listed'); // biome-ignore format: two alike
}

async function groupMessage(places: Places, members: readonly Found[]): Promise<VolumeGroupSnapshot> {
  const snapshots = await Promise.all(
    members.map(async (each) => snapshotMessage(each, await places.sourceVolumeOf(each))),
  );
  return {
    groupSnapshotId: members[0]!.info.labels[LABELS.group]!,
    snapshots,
    creationTime: timestampOf(members[0]!.info.createdAt),
    readyToUse: snapshots.every(({ readyToUse }) => readyToUse === true),
  };
}
