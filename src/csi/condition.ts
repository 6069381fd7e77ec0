/**
 * Whether a volume is well, as those are told who ask through CSI, and by the events of its claim.
 *
 *   offline          the engine does not serve it: suspended, broken, stopped half-way; with the engine's reason
 *   pool nearly full, or full: what of it may fail for that, and what to do. Not for a volume that has all its space: a thick
 *                    one whose writes do not depend on its snapshots' space either
 *
 * A pool that is promised to more than it has is none of these: that is what thin volumes are for, and `pool show` warns.
 */
import type { EngineApi } from '../api/engine-api.ts';
import { type Fullness, fullnessOf, fullnessText } from '../base/fullness.ts';
import type { PoolInfo, VolumeInfo } from '../base/model.ts';
import type { VolumeCondition } from './generated/csi/v1/VolumeCondition.ts';
import type { Found } from './places.ts';

export type Trouble = { reason: 'VolumeOffline' | 'PoolNearlyFull' | 'PoolFull'; message: string };

/** `fullness`: the pool's, where somebody remembers what it was before. */
export function troublesOf(
  info: VolumeInfo,
  node: string,
  pool: PoolInfo,
  fullness: Fullness = fullnessOf(pool),
): Trouble[] {
  return [offlineTrouble(info), poolTrouble(info, node, pool, fullness)].filter((each) => each !== undefined);
}

function offlineTrouble({ state, error }: VolumeInfo): Trouble | undefined {
  if (state === 'online') return undefined;
  // Why a copy was stopped says what to do, too.
  const what =
    state === 'stopped'
      ? ''
      : ' Its data is not served. Mend what is named there, or restore a snapshot or a backup of it.';
  return { reason: 'VolumeOffline', message: `The volume is ${state}: ${ended(error)}${what}` };
}

function poolTrouble(
  { provisioning, cowFailure }: VolumeInfo,
  node: string,
  pool: PoolInfo,
  fullness: Fullness,
): Trouble | undefined {
  if (fullness === 'has room') return undefined;
  const isThin = provisioning === 'thin';
  if (!isThin && cowFailure === 'breakSnapshot') return undefined;
  const isFull = fullness === 'full';
  const fails = [
    ...(isThin ? ['writes to places of this volume that were never written fail (ENOSPC)'] : []),
    cowFailure === 'breakSnapshot'
      ? 'its snapshots break that need space'
      : 'writes fail (ENOSPC) whose old content a snapshot needs',
  ];
  return {
    reason: isFull ? 'PoolFull' : 'PoolNearlyFull',
    message:
      `The pool of node ${node} is ${fullnessText(pool)}. ${isFull ? 'Now' : 'When it is full,'} ${fails.join(', and ')}. ` +
      `Delete snapshots or volumes on that node, or enlarge the filesystem of ${pool.path} there.`,
  };
}

/** The cause first: what the engine says, then `more` that was seen of the volume, then its pool. */
export function conditionOf(
  { info, node }: Found,
  pool: PoolInfo,
  more: readonly string[] = [],
): VolumeCondition {
  const troubles = troublesOf(info, node, pool);
  const [isOffline, others] = [troubles.filter(isOfVolume), troubles.filter((each) => !isOfVolume(each))];
  const found = [...isOffline.map(textOf), ...more, ...others.map(textOf)];
  if (found.length === 0) return { abnormal: false, message: 'The volume is online.' };
  return { abnormal: true, message: found.join(' ') };
}

const isOfVolume = ({ reason }: Trouble): boolean => reason === 'VolumeOffline';
const textOf = ({ message }: Trouble): string => message;
const ended = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

/** Old enough answers cost nothing: each asks the filesystem for every file of the pool. */
const POOL_AGE_MS = 10_000;

/** What pools have, asked for at most every few seconds: kubelet asks for every volume each minute. */
export class Pools {
  private readonly known = new WeakMap<EngineApi, { at: number; pool: Promise<PoolInfo> }>();

  of(engine: EngineApi): Promise<PoolInfo> {
    const before = this.known.get(engine);
    if (before !== undefined && performance.now() - before.at < POOL_AGE_MS) return before.pool;
    const pool = engine.pool();
    this.known.set(engine, { at: performance.now(), pool });
    pool.catch(() => this.known.delete(engine)); // whoever asked is told; the next one asks again
    return pool;
  }
}
