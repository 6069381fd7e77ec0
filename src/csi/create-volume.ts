/**
 * Creating a volume: empty, or with the content of a snapshot or volume.
 *
 *   1. everything that is wrong with the request itself, before anything is looked up
 *   2. the name: who asks again gets the same volume, even if its source is gone by now; a request that does not match
 *      it is told the difference
 *   3. the source, and with it the node; or the node with the space
 *   4. the engine, in one atomic call
 *
 * Calls for the same name come one after the other. A node that was asked for a volume and did not answer may have made it, or
 * be making it: until it has answered, or left, no other one is asked for that name. So two nodes could each have a volume of
 * that name only if a request was moved from one to the other between two tries, or if this process was started again.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { CloneVolume, Labels, VolumeInfo } from '../base/model.ts';
import { checkCapabilities, filesystemOf, leastBytes } from './capabilities.ts';
import { sourcesAgain } from './copies.ts';
import type { CreateVolumeRequest__Output } from './generated/csi/v1/CreateVolumeRequest.ts';
import type { VolumeContentSource__Output } from './generated/csi/v1/VolumeContentSource.ts';
import { formatId, poolPart, shown } from './ids.ts';
import { checkSame, LABELS, paramsLabel } from './labels.ts';
import { checkCsiName, engineVolumeName } from './names.ts';
import { kubernetesLabels, type VolumeParameters, volumeParameters } from './parameters.ts';
import { allowedNodes, type Candidate, placed } from './placement.ts';
import { checkId, type Found, type Kind, type Places } from './places.ts';
import { isWithin, SIZE_DEFAULT, type SizeRange, sizeFor, sizeRangeOf } from './sizes.ts';

type Source = { kind: Kind; id: string };

/** What is wanted, checked as far as it can be without looking. */
type Wish = {
  name: string;
  engineName: string;
  range: SizeRange;
  leastBytes: number;
  parameters: VolumeParameters;
  source: Source | undefined;
  allowed: string[] | undefined;
  labels: Labels;
};

export function wishOf(request: CreateVolumeRequest__Output): Wish {
  const name = checkCsiName('volume', request.name);
  const capabilities = request.volumeCapabilities;
  checkCapabilities(capabilities);
  const parameters = volumeParameters(request.parameters, request.mutableParameters);
  const source = sourceOf(request.volumeContentSource);
  const filesystem = filesystemOf(capabilities);
  return {
    name,
    engineName: engineVolumeName(name),
    range: sizeRangeOf(request.capacityRange),
    leastBytes: leastBytes(capabilities),
    parameters,
    source,
    allowed: allowedNodes(request.accessibilityRequirements),
    labels: {
      ...kubernetesLabels(request.parameters),
      [LABELS.name]: name,
      [LABELS.params]: paramsLabel(parameters),
      ...(source && { [LABELS.source]: `${source.kind}:${source.id}` }),
      ...(filesystem && { [LABELS.filesystem]: filesystem }),
    },
  };
}

function sourceOf(content: VolumeContentSource__Output | null): Source | undefined {
  if (content === null) return undefined;
  if (!content.snapshot && !content.volume)
    throw new FlashCopyError('InvalidArgument', 'The content source names neither a snapshot nor a volume.');
  const source: Source = content.snapshot
    ? { kind: 'snapshot', id: content.snapshot.snapshotId }
    : { kind: 'volume', id: content.volume!.volumeId };
  checkId(source.kind, source.id);
  return source;
}

/** By the name of a volume: the node that was asked for it and did not answer. */
export type Unanswered = Map<string, string>;

export async function createVolume(places: Places, wish: Wish, unanswered: Unanswered): Promise<Found> {
  const existing = await existingOf(places, wish, unanswered.get(wish.name));
  const { source } = wish;
  if (existing === undefined)
    return source === undefined ? createEmpty(places, wish, unanswered) : createCopy(places, wish, source);
  unanswered.delete(wish.name);
  return source === undefined ? existing : copiedAgain(places, wish, source, existing);
}

/** The volume that has the name on one of the allowed nodes. One that does not answer is passed over, but for `silent`. */
async function existingOf(
  places: Places,
  wish: Wish,
  silent: string | undefined,
): Promise<Found | undefined> {
  const { engines } = places;
  const nodes = wish.allowed ?? (await engines.nodes());
  let away: FlashCopyError | undefined;
  const asked = nodes.map(async (node) => {
    const engine = engines.engineOf(node);
    const info = await engine?.getVolume(wish.engineName).catch((error: unknown) => {
      const code = error instanceof FlashCopyError ? error.code : undefined;
      if (code !== 'VolumeNotFound' && code !== 'Unavailable') throw error;
      if (code === 'Unavailable' && node === silent) away = stillAway(wish, node, error);
      return undefined;
    });
    return info && { node, engine: engine!, info };
  });
  const found = (await Promise.all(asked)).find((each) => each !== undefined);
  if (found === undefined && away !== undefined) throw away;
  if (found === undefined) return undefined;
  checkIsWished(wish, found.info);
  const { node, engine, info } = found;
  const pool = info.labels[LABELS.pool]!;
  return { id: formatId(node, pool, info.id), node, pool, engine, info };
}

function stillAway(wish: Wish, node: string, cause: unknown): FlashCopyError {
  return new FlashCopyError(
    'Unavailable',
    `Node ${node} was asked for volume ${shown(wish.name)} and did not say whether it has made it, so no other node is asked ` +
      `for it until that one answers. ${(cause as Error).message}`,
    { cause },
  );
}

function checkIsWished(wish: Wish, info: VolumeInfo): void {
  checkSame('volume', info, wish.labels, ['source', 'params']);
  const { required, limit } = wish.range;
  if (info.sizeBytes < wish.leastBytes)
    throw new FlashCopyError(
      'AlreadyExists',
      `A volume named ${shown(wish.name)} exists already with ${info.sizeBytes} bytes, and the filesystem that was asked for ` +
        `needs ${wish.leastBytes}. Use another name.`,
    );
  if (isWithin(info.sizeBytes, wish.range)) return;
  throw new FlashCopyError(
    'AlreadyExists',
    `A volume named ${shown(wish.name)} exists already with another size: ${info.sizeBytes} bytes, asked for were at least ` +
      `${required}${limit > 0 ? ` and at most ${limit}` : ''}. Use another name.`,
  );
}

async function createEmpty(places: Places, wish: Wish, unanswered: Unanswered): Promise<Found> {
  const sizeBytes = sizeFor(wish.range, wish.leastBytes, SIZE_DEFAULT);
  const { allowed } = wish;
  const { provisioning = 'thin', grainBytes, cowFailure } = wish.parameters;
  const make = async (candidate: Candidate): Promise<Found> => {
    unanswered.set(wish.name, candidate.node);
    try {
      const volume = await made(wish, candidate, (labels) =>
        candidate.engine.createVolume({
          name: wish.engineName,
          sizeBytes,
          labels,
          provisioning,
          ...(grainBytes && { grainBytes }),
          ...(cowFailure && { cowFailure }),
        }),
      );
      unanswered.delete(wish.name);
      return volume;
    } catch (error) {
      if (!mayHaveTakenEffect(error)) unanswered.delete(wish.name);
      throw error;
    }
  };
  const silent = await silentOf(places, wish, unanswered);
  return (
    (silent && (await unlessFull(make(silent)))) ??
    placed(places.engines, { allowed, sizeBytes, provisioning }, make)
  );
}

/** Also an answer that nobody foresaw is none. */
const mayHaveTakenEffect = (error: unknown): boolean =>
  !(error instanceof FlashCopyError) || error.code === 'Unavailable' || error.code === 'Internal';

/** The node that may be making the volume, whatever space it has: the volume may have taken that. */
async function silentOf(
  { engines }: Places,
  wish: Wish,
  unanswered: Unanswered,
): Promise<Candidate | undefined> {
  const node = unanswered.get(wish.name);
  if (node === undefined || !(wish.allowed ?? (await engines.nodes())).includes(node)) return undefined;
  const engine = engines.engineOf(node);
  return engine && { node, engine, pool: await engine.pool() };
}

/** Undefined: the node has no space for it. */
const unlessFull = (volume: Promise<Found>): Promise<Found | undefined> =>
  volume.catch((error: unknown) => {
    if (error instanceof FlashCopyError && error.code === 'OutOfSpace') return undefined;
    throw error;
  });

async function createCopy(places: Places, wish: Wish, { kind, id }: Source): Promise<Found> {
  const source = await places.get(kind, id);
  if (wish.allowed !== undefined && !wish.allowed.includes(source.node))
    throw new FlashCopyError(
      'WrongNode',
      `A copy of ${kind} ${id} was asked for on ${wish.allowed.join(', ')}; its data is on node ${source.node}, and only ` +
        'there a copy can be made. Let the pod run there.',
    );
  const sizeBytes = sizeFor(wish.range, Math.max(wish.leastBytes, source.info.sizeBytes));
  const provisioning = wish.parameters.provisioning ?? source.info.provisioning;
  return placed(places.engines, { allowed: [source.node], sizeBytes, provisioning }, (candidate) =>
    copied(wish, candidate, source, sizeBytes),
  );
}

/** A copy that is there. */
async function copiedAgain(
  places: Places,
  wish: Wish,
  { kind, id }: Source,
  existing: Found,
): Promise<Found> {
  const [source] = (await sourcesAgain(places, kind, [id], [existing])) ?? [];
  if (source === undefined) return existing;
  const { node, engine, info } = existing;
  return copied(wish, { node, engine, pool: await engine.pool() }, source, info.sizeBytes);
}

function copied(wish: Wish, candidate: Candidate, source: Found, sizeBytes: number): Promise<Found> {
  const { grainBytes, cowFailure, copyRate, incremental } = wish.parameters;
  return made(wish, candidate, (labels) => {
    const clone: CloneVolume = {
      name: wish.engineName,
      sizeBytes,
      labels,
      provisioning: wish.parameters.provisioning ?? source.info.provisioning,
      ...(grainBytes && { grainBytes }),
      ...(cowFailure && { cowFailure }),
      ...(copyRate !== undefined && { copyRate }),
      ...(incremental !== undefined && { incremental }),
    };
    return candidate.engine.cloneVolume(`#${source.info.id}`, clone);
  });
}

async function made(
  wish: Wish,
  { node, engine, pool }: Candidate,
  make: (labels: Labels) => Promise<VolumeInfo>,
): Promise<Found> {
  const part = poolPart(pool.id);
  const info = await make({ ...wish.labels, [LABELS.pool]: part });
  // The engine gives the existing one for a name that was taken meanwhile.
  checkIsWished(wish, info);
  return { id: formatId(node, part, info.id), node, pool: part, engine, info };
}
