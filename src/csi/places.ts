/**
 * From an id to the thing it names: its node's engine, and what the engine says of it.
 *
 * An id that cannot be one of ours, of a node that is not known, of a pool that is no more, of a volume that was deleted, or
 * of a snapshot where a volume is meant: all of them name nothing. A node that does not answer is another matter
 * (Unavailable): what it has is still there.
 */
import type { EngineApi } from '../api/engine-api.ts';
import { FlashCopyError } from '../base/errors.ts';
import type { VolumeInfo } from '../base/model.ts';
import type { NodeEngines } from './engines.ts';
import { formatId, parseId, poolPart, shown } from './ids.ts';
import { LABELS } from './labels.ts';

export type Kind = VolumeInfo['kind'];

/** A volume or snapshot that is there. `pool`: the part of the pool's UUID that is in ids. */
export type Found = { id: string; node: string; pool: string; engine: EngineApi; info: VolumeInfo };

export class Places {
  readonly engines: NodeEngines;

  constructor(engines: NodeEngines) {
    this.engines = engines;
  }

  /** Undefined: the id names nothing of that kind. */
  async find(kind: Kind, id: string): Promise<Found | undefined> {
    const place = parseId(id);
    const engine = place && this.engines.engineOf(place.node);
    if (!place || !engine) return undefined;
    const info = await lookUp(engine, place.name);
    if (info === undefined || info.kind !== kind) return undefined;
    if ((await poolOf(engine, info)) !== place.pool) return undefined;
    return { id, node: place.node, pool: place.pool, engine, info };
  }

  async get(kind: Kind, id: string): Promise<Found> {
    checkId(kind, id);
    const found = await this.find(kind, id);
    if (found !== undefined) return found;
    throw new FlashCopyError(
      'VolumeNotFound',
      `There is no ${kind} ${shown(id)}: it was deleted, or the id is not from this driver.`,
    );
  }

  /** The id of the volume that a snapshot shows; empty when it was deleted and nothing was noted. */
  async sourceVolumeOf({ node, pool, engine, info }: Found): Promise<string> {
    const noted = info.labels[LABELS.sourceVolume];
    if (noted !== undefined || info.source === '') return noted ?? '';
    // Made without CSI.
    const source = await lookUp(engine, info.source);
    return source === undefined ? '' : formatId(node, pool, source.id);
  }

  /** All of a node, in the order of their engine ids. */
  async allOf(node: string, kind: Kind): Promise<Found[]> {
    const engine = this.engines.engineOf(node);
    if (engine === undefined) return [];
    const [infos, { id: poolId }] = await Promise.all([engine.listVolumes(), engine.pool()]);
    return infos
      .filter((info) => info.kind === kind)
      .sort((a, b) => a.id - b.id)
      .map((info) => ({ id: formatId(node, poolId, info.id), node, pool: poolPart(poolId), engine, info }));
  }
}

/** Arguments are looked at before anything is looked up. */
export function checkId(kind: string, id: string): void {
  if (id !== '') return;
  throw new FlashCopyError('InvalidArgument', `The id of the ${kind} is missing.`);
}

/** Undefined: the engine has no such volume or snapshot. */
export async function lookUp(engine: EngineApi, name: string): Promise<VolumeInfo | undefined> {
  try {
    return await engine.getVolume(name);
  } catch (error) {
    if (error instanceof FlashCopyError && error.code === 'VolumeNotFound') return undefined;
    throw error;
  }
}

/** What was made through CSI bears its pool; asking for the pool costs a look at every volume in it. */
async function poolOf(engine: EngineApi, info: VolumeInfo): Promise<string> {
  return info.labels[LABELS.pool] ?? poolPart((await engine.pool()).id);
}
