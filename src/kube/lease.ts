/**
 * Leadership among several processes by a Lease: at most one leads at a time.
 *
 * L1  who leads stops leading before another can begin: it gives up when it could not renew for `renewMs`, and others wait
 *     for `durationMs`, which is longer, from when they saw the last renewal
 * L2  only one's own clock is asked, and only for differences: clocks of different machines need not agree
 * L3  every write names the version that it replaces, so of two that try at the same time one is refused
 *
 * A term is an AbortSignal, aborted when it ends. Whoever acts for the leader asks it before each act.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { assert } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { isConflict, type KubeClient } from './client.ts';
import type { KubeObject, ObjectMeta } from './objects.ts';

type LeaseSpec = {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
};
type Lease = KubeObject & { spec?: LeaseSpec };

export type LeaseTimes = { durationMs: number; renewMs: number; retryMs: number };
const TIMES: LeaseTimes = { durationMs: 15_000, renewMs: 10_000, retryMs: 2000 };

export type ElectionOptions = {
  client: KubeClient;
  namespace: string;
  name: string;
  /** Of this process, and of no other. */
  identity: string;
  times?: LeaseTimes;
};

export class Election {
  private readonly options: ElectionOptions;
  private readonly times: LeaseTimes;
  private readonly lead: (term: AbortSignal) => void;
  private readonly stopping = new AbortController();
  private readonly ended: Promise<void>;
  /** What others wrote last, and when that was seen first. */
  private seen = { version: '', at: 0 };
  private triedAt = performance.now();
  private term: AbortController | undefined;
  private deadline: NodeJS.Timeout | undefined;

  /** `lead` is called at the beginning of each term of this process. */
  constructor(options: ElectionOptions, lead: (term: AbortSignal) => void) {
    this.options = options;
    this.times = options.times ?? TIMES;
    assert(this.times.renewMs < this.times.durationMs, 'a leader gives up before others take over (L1)');
    this.lead = lead;
    this.ended = this.run();
  }

  get leading(): boolean {
    return this.term !== undefined;
  }

  /** How long ago it was last looked who leads. */
  get idleMs(): number {
    return performance.now() - this.triedAt;
  }

  /** Ends the term and lets another begin at once. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.ended;
    this.endTerm('asked to stop');
    // Also where it was won while this process was asked to stop.
    await this.release();
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        await this.tryOnce();
      } catch (error) {
        log.warn('leadership could not be asked for', {
          lease: this.options.name,
          error: (error as Error).message,
        });
      }
      this.triedAt = performance.now();
      // Not all at the same instant.
      await sleep(this.times.retryMs * (0.8 + Math.random() * 0.4), undefined, { signal }).catch(() => {});
    }
  }

  private async tryOnce(): Promise<void> {
    const { client, identity } = this.options;
    // From before the request: what counts is when the renewal was sent, not when it was answered.
    const sentAt = performance.now();
    const lease = await client.find<Lease>(this.path());
    const spec = lease?.spec ?? {};
    const isMine = spec.holderIdentity === identity;
    if (this.leading && !isMine) this.endTerm(`${spec.holderIdentity || 'nobody'} holds the lease now`);
    if (lease !== undefined && !isMine && !this.isFree(lease)) return;
    if (!(await this.write(lease, sentAt))) return;
    if (this.stopping.signal.aborted) return;
    this.prolong(sentAt);
  }

  /** Held by nobody, or not renewed for as long as this process has seen it (L2). */
  private isFree({ metadata, spec = {} }: Lease): boolean {
    if (!spec.holderIdentity) return true;
    const now = performance.now();
    if (this.seen.version !== metadata.resourceVersion)
      this.seen = { version: metadata.resourceVersion, at: now };
    const durationMs = Math.max((spec.leaseDurationSeconds ?? 0) * 1000, this.times.durationMs);
    return now - this.seen.at >= durationMs;
  }

  /** False: another was faster (L3). */
  private async write(lease: Lease | undefined, sentAt: number): Promise<boolean> {
    const { client, identity, name, namespace } = this.options;
    const now = microTime();
    const before = lease?.spec ?? {};
    const isMine = before.holderIdentity === identity;
    const spec: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.times.durationMs / 1000),
      acquireTime: isMine ? (before.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (before.leaseTransitions ?? 0) + Number(!isMine && lease !== undefined),
    };
    const kind = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
    try {
      if (lease === undefined) {
        const metadata = { name, namespace } as ObjectMeta;
        await client.create(this.path(''), { ...kind, metadata, spec });
      } else {
        const timeoutMs = Math.max(1, this.times.renewMs - (performance.now() - sentAt));
        await client.replace(this.path(), { ...kind, metadata: lease.metadata, spec }, timeoutMs);
      }
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }

  private prolong(sentAt: number): void {
    const leftMs = this.times.renewMs - (performance.now() - sentAt);
    if (leftMs <= 0) {
      this.endTerm('the lease was renewed too late');
      return;
    }
    clearTimeout(this.deadline);
    this.deadline = setTimeout(() => this.endTerm('the lease could not be renewed in time'), leftMs);
    if (this.term !== undefined) return;
    this.term = new AbortController();
    log.info('leading', { lease: this.options.name, identity: this.options.identity });
    this.lead(this.term.signal);
  }

  private endTerm(reason: string): void {
    clearTimeout(this.deadline);
    if (this.term === undefined) return;
    log.info('not leading any more', { lease: this.options.name, reason });
    const { term } = this;
    this.term = undefined;
    term.abort();
  }

  private async release(): Promise<void> {
    const { client, identity } = this.options;
    try {
      const lease = await client.find<Lease>(this.path());
      if (lease?.spec?.holderIdentity !== identity) return;
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 };
      await client.replace(this.path(), { ...lease, spec }, this.times.retryMs);
    } catch (error) {
      // It runs out by itself.
      log.warn('the lease could not be given back', { error: (error as Error).message });
    }
  }

  private path(name = this.options.name): string {
    const list = `/apis/coordination.k8s.io/v1/namespaces/${this.options.namespace}/leases`;
    return name === '' ? list : `${list}/${name}`;
  }
}

/** With microseconds, as this API wants it. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
