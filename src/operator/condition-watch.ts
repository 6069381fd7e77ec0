/**
 * Tells on each bound claim when its volume stops being well, and when it is well again: what `csi/condition.ts` says, as
 * events, where people look who have no eye on metrics.
 *
 * On changes only, of the reasons and not of the words: a pool that goes on filling is told of when it is nearly full and
 * when it is full. What was told is known to one term of a leader; the next one tells once more what is not well then. A
 * node whose engine does not answer is as it was.
 *
 * Which claim a volume is of, its engine says: its CSI name is that of the claim's persistent volume. So it costs the API server
 * nothing; a persistent volume that somebody made by hand under another name is not told of.
 */
import { FlashCopyError } from '../base/errors.ts';
import { type Fullness, fullnessOf } from '../base/fullness.ts';
import { log } from '../base/log.ts';
import { type Trouble, troublesOf } from '../csi/condition.ts';
import { LABELS } from '../csi/labels.ts';
import type { Claim } from '../kube/objects.ts';
import type { World } from './world.ts';

const LOOK_MS = 60_000;

export class ConditionWatch {
  private readonly world: World;
  private readonly claims: () => readonly Claim[];
  private readonly lookMs: number;
  /** By the claim's uid: the reasons that were told last. */
  private readonly told = new Map<string, string>();
  private readonly fullness = new Map<string, Fullness>();

  constructor(world: World, claims: () => readonly Claim[], lookMs = LOOK_MS) {
    this.world = world;
    this.claims = claims;
    this.lookMs = lookMs;
  }

  /** Looks at every node; the answer: after how many milliseconds to look again. */
  async look(): Promise<number> {
    const claims = this.claims().filter(({ status }) => status?.phase === 'Bound');
    this.forget(claims);
    const byVolume = new Map(claims.map((claim) => [claim.spec.volumeName, claim]));
    const nodes = await this.world.places.engines.nodes();
    await Promise.all(nodes.map((node) => this.lookAt(node, byVolume)));
    return this.lookMs;
  }

  private async lookAt(node: string, byVolume: ReadonlyMap<string | undefined, Claim>): Promise<void> {
    const engine = this.world.places.engines.engineOf(node);
    if (engine === undefined) return;
    try {
      const [pool, volumes] = await Promise.all([engine.pool(), engine.listVolumes()]);
      const fullness = fullnessOf(pool, this.fullness.get(node));
      this.fullness.set(node, fullness);
      for (const volume of volumes) {
        const claim = volume.kind === 'volume' ? byVolume.get(volume.labels[LABELS.name]) : undefined;
        if (claim !== undefined) await this.tell(claim, troublesOf(volume, node, pool, fullness));
      }
    } catch (error) {
      if (!(error instanceof FlashCopyError && error.code === 'Unavailable')) throw error;
      log.debug('conditions of a node are not known', { node, reason: error.message });
    }
  }

  private async tell(claim: Claim, troubles: readonly Trouble[]): Promise<void> {
    this.world.checkTerm();
    const { uid } = claim.metadata;
    const before = (this.told.get(uid) ?? '').split(' ').filter(Boolean);
    const now = troubles.map(({ reason }) => reason);
    if (now.join(' ') === before.join(' ')) return;
    this.told.set(uid, now.join(' '));
    for (const { reason, message } of troubles)
      if (!before.includes(reason)) await this.world.tellClaim(claim, { type: 'Warning', reason, message });
    if (now.length > 0) return;
    const message = 'The volume is online, and nothing hinders it any more.';
    await this.world.tellClaim(claim, { type: 'Normal', reason: 'VolumeWell', message });
  }

  private forget(claims: readonly Claim[]): void {
    const there = new Set(claims.map(({ metadata }) => metadata.uid));
    for (const uid of this.told.keys()) if (!there.has(uid)) this.told.delete(uid);
  }
}
