/**
 * On which node a new volume goes.
 *
 * The nodes that a request allows are tried in its order: the preferred ones, then the requisite ones. Without any, all
 * nodes are allowed, the one with the most free space first. A copy can only be made on the node of its source. What
 * cannot be placed is refused with RESOURCE_EXHAUSTED, and each node's reason: that is the answer after which Kubernetes
 * chooses again.
 */
import type { EngineApi } from '../api/engine-api.ts';
import { FlashCopyError } from '../base/errors.ts';
import { THICK_LEAVES_BYTES } from '../base/fullness.ts';
import { log } from '../base/log.ts';
import type { PoolInfo, Provisioning } from '../base/model.ts';
import type { NodeEngines } from './engines.ts';
import type { Topology__Output } from './generated/csi/v1/Topology.ts';
import type { TopologyRequirement__Output } from './generated/csi/v1/TopologyRequirement.ts';
import { shown, TOPOLOGY_KEY } from './ids.ts';
import { SIZE_MAX } from './sizes.ts';

export type Candidate = { node: string; engine: EngineApi; pool: PoolInfo };

/** The nodes that a request names, each once; undefined: it names none. */
export function allowedNodes(
  requirement: TopologyRequirement__Output | null | undefined,
): string[] | undefined {
  const named = [...(requirement?.preferred ?? []), ...(requirement?.requisite ?? [])];
  if (named.length === 0) return undefined;
  const nodes = [...new Set(named.flatMap(({ segments }) => segments[TOPOLOGY_KEY] ?? []))];
  if (nodes.length > 0) return nodes;
  throw new FlashCopyError(
    'WrongNode',
    `The accessibility requirements have no segment ${TOPOLOGY_KEY}. Only nodes where this driver runs can hold its volumes.`,
  );
}

export function nodeIn(topology: Topology__Output | null | undefined): string | undefined {
  const segments = topology?.segments ?? {};
  // A place that says nothing about us is no node of ours.
  return Object.keys(segments).length === 0 ? undefined : (segments[TOPOLOGY_KEY] ?? '');
}

/** What hinders a volume of that size in that pool; undefined: nothing known. */
function hindrance(pool: PoolInfo, sizeBytes: number, provisioning: Provisioning): string | undefined {
  if (sizeBytes <= largestVolume(pool, provisioning)) return undefined;
  if (provisioning === 'thin') return `its pool has ${pool.totalBytes} bytes in all`;
  return `its pool has ${pool.freeBytes} bytes free, of which a thick volume leaves ${THICK_LEAVES_BYTES}`;
}

/** A thin volume may be larger than what is free now, not than the pool can ever hold. */
export function largestVolume(pool: PoolInfo, provisioning: Provisioning): number {
  const bytes = provisioning === 'thick' ? Math.max(0, pool.freeBytes - THICK_LEAVES_BYTES) : pool.totalBytes;
  return Math.min(SIZE_MAX, bytes);
}

/** The pools of those nodes that answer; what hinders the others is added to `hindrances`. Unavailable if none answers. */
async function poolsOf(
  engines: NodeEngines,
  nodes: readonly string[],
  hindrances: string[],
): Promise<Candidate[]> {
  let away: FlashCopyError | undefined;
  const asked = nodes.map(async (node) => {
    const engine = engines.engineOf(node);
    if (engine === undefined) return { hindrance: `${shown(node)}: this driver does not run there` };
    try {
      return { node, engine, pool: await engine.pool() };
    } catch (error) {
      if (!(error instanceof FlashCopyError)) throw error;
      log.warn('node is left out', { node, reason: error.message });
      away = error;
      return { hindrance: `${node}: ${error.message}` };
    }
  });
  const answers = await Promise.all(asked);
  hindrances.push(...answers.flatMap((answer) => ('hindrance' in answer ? answer.hindrance! : [])));
  const candidates = answers.flatMap((answer) => ('pool' in answer ? (answer as Candidate) : []));
  if (candidates.length === 0 && away !== undefined) throw away;
  return candidates;
}

export type Wish = { allowed: string[] | undefined; sizeBytes: number; provisioning: Provisioning };

/** Tries `make` on one node after the other, until one has the volume. */
export async function placed<Made>(
  engines: NodeEngines,
  { allowed, sizeBytes, provisioning }: Wish,
  make: (candidate: Candidate) => Promise<Made>,
): Promise<Made> {
  const hindrances: string[] = [];
  const candidates = await poolsOf(engines, allowed ?? (await engines.nodes()), hindrances);
  if (allowed === undefined) candidates.sort((a, b) => b.pool.freeBytes - a.pool.freeBytes);
  for (const candidate of candidates) {
    const found = hindrance(candidate.pool, sizeBytes, provisioning);
    if (found !== undefined) {
      hindrances.push(`${candidate.node}: ${found}`);
      continue;
    }
    try {
      return await make(candidate);
    } catch (error) {
      if (!(error instanceof FlashCopyError) || error.code !== 'OutOfSpace') throw error;
      hindrances.push(`${candidate.node}: ${error.message}`);
    }
  }
  throw new FlashCopyError(
    'OutOfSpace',
    `No node can hold a ${provisioning} volume of ${sizeBytes} bytes. ${hindrances.map((each) => each.replace(/\.$/, '')).join('; ') || 'No node is known'}. ` +
      'Free space, ask for less, or allow another node.',
  );
}
