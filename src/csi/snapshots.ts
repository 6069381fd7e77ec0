/**
 * Creating, deleting and finding snapshots. A snapshot is on the node of its volume and ready as soon as it is cut.
 * Deleting a volume does not touch its snapshots, deleting a snapshot does not touch what was made from it.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { Labels, VolumeInfo } from '../base/model.ts';
import { sourcesAgain } from './copies.ts';
import type { CreateSnapshotRequest__Output } from './generated/csi/v1/CreateSnapshotRequest.ts';
import type { ListSnapshotsRequest__Output } from './generated/csi/v1/ListSnapshotsRequest.ts';
import type { Snapshot } from './generated/csi/v1/Snapshot.ts';
import { formatId, parseId } from './ids.ts';
import { checkSame, LABELS, paramsLabel } from './labels.ts';
import { type Page, pageOf } from './listing.ts';
import { snapshotMessage } from './messages.ts';
import { checkCsiName, engineSnapshotName } from './names.ts';
import { kubernetesLabels, snapshotParameters } from './parameters.ts';
import { checkId, type Found, lookUp, type Places } from './places.ts';

type Wish = { name: string; sourceId: string; copyRate: number; freeze: boolean; labels: Labels };

export function snapshotWishOf(request: CreateSnapshotRequest__Output): Wish {
  const name = checkCsiName('snapshot', request.name);
  const sourceId = request.sourceVolumeId;
  checkId('source volume', sourceId);
  const parameters = snapshotParameters(request.parameters);
  return {
    name,
    sourceId,
    copyRate: parameters.copyRate,
    freeze: parameters.fsFreeze ?? false,
    labels: {
      ...kubernetesLabels(request.parameters),
      [LABELS.name]: name,
      [LABELS.params]: paramsLabel(parameters),
      [LABELS.sourceVolume]: sourceId,
    },
  };
}

export async function createSnapshot(places: Places, wish: Wish): Promise<Found> {
  const place = parseId(wish.sourceId);
  const engine = place && places.engines.engineOf(place.node);
  const name = engineSnapshotName(wish.name);
  // Before the source, which may be gone when somebody asks again.
  const found = engine && (await lookUp(engine, name));
  const existing = found && asWished(wish, found, { ...place!, engine: engine! });
  const [source] = existing
    ? ((await sourcesAgain(places, 'volume', [wish.sourceId], [existing])) ?? [])
    : [await places.get('volume', wish.sourceId)];
  if (source === undefined) return existing!;
  const labels = { ...wish.labels, [LABELS.pool]: source.pool };
  const [info] = await source.engine.createSnapshots(
    [{ name, source: `#${source.info.id}`, copyRate: wish.copyRate, labels }],
    { freeze: wish.freeze },
  );
  return asWished(wish, info!, source);
}

function asWished(wish: Wish, info: VolumeInfo, { node, engine }: Pick<Found, 'node' | 'engine'>): Found {
  checkSame('snapshot', info, wish.labels, ['sourceVolume', 'params']);
  const pool = info.labels[LABELS.pool]!;
  return { id: formatId(node, pool, info.id), node, pool, engine, info };
}

/** Deleted, or not there any more. */
export async function deleteThing(places: Places, kind: 'volume' | 'snapshot', id: string): Promise<void> {
  checkId(kind, id);
  const found = await places.find(kind, id);
  if (found === undefined) return;
  const name = `#${found.info.id}`;
  try {
    if (kind === 'volume') await found.engine.deleteVolume(name);
    else await found.engine.deleteSnapshot(name);
  } catch (error) {
    if (!(error instanceof FlashCopyError) || error.code !== 'VolumeNotFound') throw error;
  }
}

/** An id in the request that names nothing makes an empty list. */
export async function listSnapshots(
  places: Places,
  { snapshotId, sourceVolumeId, maxEntries, startingToken }: ListSnapshotsRequest__Output,
): Promise<Page> {
  if (snapshotId !== '') {
    const found = await places.find('snapshot', snapshotId);
    const isOf = found && (sourceVolumeId === '' || (await places.sourceVolumeOf(found)) === sourceVolumeId);
    return { found: isOf ? [found] : [], nextToken: '' };
  }
  const page = { maxEntries, startingToken };
  if (sourceVolumeId === '') return pageOf(places, 'snapshot', page);
  // All of them are on the volume's node, and no other need answer.
  const place = parseId(sourceVolumeId);
  const source = await places.find('volume', sourceVolumeId);
  return pageOf(places, 'snapshot', page, {
    nodes: place && places.engines.engineOf(place.node) ? [place.node] : [],
    isWanted: ({ info }) => {
      const noted = info.labels[LABELS.sourceVolume];
      // Made without CSI, it has no note.
      return noted === undefined
        ? info.source !== '' && info.source === source?.info.name
        : noted === sourceVolumeId;
    },
  });
}

export async function snapshotsMessage(places: Places, found: readonly Found[]): Promise<Snapshot[]> {
  return Promise.all(found.map(async (each) => snapshotMessage(each, await places.sourceVolumeOf(each))));
}
