/**
 * The operator: one of the controllers leads, and makes true what the custom resources say.
 *
 * Objects are looked at by their key whenever they change and as often as their state wants; what is done follows from what
 * is found then, never from what happened. A new leader looks at everything. When a term ends nothing more is begun, and
 * what is under way stops before its next write.
 */
import type { Registry } from 'prom-client';
import { log } from '../base/log.ts';
import { newRequestId, withRequest } from '../base/request.ts';
import type { NodeEngines } from '../csi/engines.ts';
import { Places } from '../csi/places.ts';
import { isConflict, type KubeClient } from '../kube/client.ts';
import { Events } from '../kube/events.ts';
import { Informer } from '../kube/informer.ts';
import { Election, type LeaseTimes } from '../kube/lease.ts';
import type { Claim, KubeObject } from '../kube/objects.ts';
import { ConditionWatch } from './condition-watch.ts';
import { reconcileMapping } from './mapping-reconciler.ts';
import { type OperatorMetrics, operatorMetrics } from './metrics.ts';
import { mayNeedPin } from './pin-plan.ts';
import { reconcilePin } from './pin-reconciler.ts';
import {
  type FlashCopyMapping,
  type FlashCopySchedule,
  type FlashCopySync,
  mappingResource,
  scheduleResource,
  syncResource,
} from './resources.ts';
import { reconcileSchedule } from './schedule-reconciler.ts';
import { keyOf } from './status.ts';
import { reconcileSync } from './sync-reconciler.ts';
import { WorkQueue } from './work-queue.ts';
import { customPath, pathOf, World } from './world.ts';

const AT_A_TIME = 4;
const LEASE = 'flashcopy-operator';
/** Longer than the requests of one look can take. */
const IDLE_MS_MAX = 120_000;

export type OperatorOptions = {
  client: KubeClient;
  engines: NodeEngines;
  registry: Registry;
  /** Of the lease. */
  namespace: string;
  /** Of this process, and of no other. */
  identity: string;
  times?: LeaseTimes;
  /** How often the conditions of volumes are looked at. */
  conditionsMs?: number;
};

type Reconcile = (namespace: string, name: string) => Promise<number | undefined>;
type Followed = { start(): unknown; stop(): Promise<void>; readonly synced: Promise<void> };
type Term = { world: World; queue: WorkQueue; conditions: ConditionWatch };

/** The key of the look at all volumes, which is about no single object. */
const CONDITIONS = 'conditions';

export class Operator {
  private readonly options: OperatorOptions;
  private readonly events: Events;
  private readonly places: Places;
  private readonly metrics: OperatorMetrics;
  private readonly mappings: Informer<FlashCopyMapping>;
  private readonly syncs: Informer<FlashCopySync>;
  private readonly schedules: Informer<FlashCopySchedule>;
  private readonly claims: Informer<Claim>;
  /** What there was to see of an object when it was last looked at because of a change. */
  private readonly signatures = new Map<string, string>();
  private readonly ending = new Set<Promise<void>>();
  private readonly informers: readonly Followed[];
  private election: Election | undefined;
  private stopped = false;
  private term: Term | undefined;

  constructor(options: OperatorOptions) {
    this.options = options;
    const { client } = options;
    this.events = new Events(client);
    this.places = new Places(options.engines);
    this.mappings = new Informer(client, { path: customPath(mappingResource) });
    this.syncs = new Informer(client, { path: customPath(syncResource) });
    this.schedules = new Informer(client, { path: customPath(scheduleResource) });
    this.claims = new Informer(client, { path: pathOf('claims') });
    this.informers = [this.mappings, this.syncs, this.schedules, this.claims];
    this.follow('mapping', this.mappings);
    this.follow('sync', this.syncs);
    this.follow('schedule', this.schedules);
    this.claims.onChange((claim) => {
      if (mayNeedPin(claim)) this.term?.queue.add(`pin ${keyOf(claim)}`);
    });
    this.metrics = operatorMetrics(options.registry, {
      leading: () => this.election?.leading ?? false,
      queued: () => this.term?.queue.depth ?? 0,
      mappings: () => this.mappings.list(),
    });
  }

  /** Leads when all objects are known and it is its turn. */
  start(): void {
    for (const informer of this.informers) informer.start();
    Promise.all(this.informers.map(({ synced }) => synced)).then(() => {
      if (this.stopped) return;
      const { client, namespace, identity, times } = this.options;
      const election = { client, namespace, identity, name: LEASE, ...(times && { times }) };
      this.election = new Election(election, (term) => this.lead(term));
    });
  }

  /** Fails if it does not do its duty. An API server that is away is no such reason: every request of the duty ends. */
  async live(): Promise<void> {
    const idleMs = this.election?.idleMs ?? 0;
    if (idleMs < IDLE_MS_MAX) return;
    throw new Error(`for ${Math.round(idleMs / 1000)} s nobody has looked who leads`);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.election?.stop();
    await Promise.all([...this.informers.map((informer) => informer.stop()), ...this.ending]);
  }

  private lead(signal: AbortSignal): void {
    const world = new World(this.options.client, this.places, this.events, signal);
    const conditions = new ConditionWatch(world, () => this.claims.list(), this.options.conditionsMs);
    const queue = new WorkQueue({
      most: AT_A_TIME,
      handle: (key) => this.handle(term, key),
    });
    const term: Term = { world, queue, conditions };
    this.term = term;
    signal.addEventListener('abort', () => {
      if (this.term?.queue === queue) this.term = undefined;
      const ended = queue.stop();
      this.ending.add(ended);
      ended.finally(() => this.ending.delete(ended));
    });
    for (const each of this.mappings.list()) queue.add(`mapping ${keyOf(each)}`);
    for (const each of this.syncs.list()) queue.add(`sync ${keyOf(each)}`);
    for (const each of this.schedules.list()) queue.add(`schedule ${keyOf(each)}`);
    for (const each of this.claims.list()) if (mayNeedPin(each)) queue.add(`pin ${keyOf(each)}`);
    queue.add(CONDITIONS);
  }

  /** Changes of the status are this operator's own, and lead to nothing. */
  private follow<Item extends KubeObject>(kind: string, informer: Informer<Item>): void {
    informer.onChange((object) => {
      const key = `${kind} ${keyOf(object)}`;
      const isThere = informer.get(object.metadata.name, object.metadata.namespace) !== undefined;
      const { uid, generation, deletionTimestamp } = object.metadata;
      const signature = `${uid} ${generation} ${deletionTimestamp}`;
      if (isThere && this.signatures.get(key) === signature) return;
      if (isThere) this.signatures.set(key, signature);
      else this.signatures.delete(key);
      this.term?.queue.add(key);
    });
  }

  private handle(term: Term, key: string): Promise<number | undefined> {
    return withRequest(newRequestId(), () => this.look(term, key));
  }

  private async look(term: Term, key: string): Promise<number | undefined> {
    const [kind = '', place = ''] = key.split(' ');
    const [namespace = '', name = ''] = place.split('/');
    const beganAt = performance.now();
    let failed = true;
    try {
      log.debug('reconcile', { kind, namespace, name });
      const againMs = await this.reconcilerOf(term, kind)(namespace, name);
      failed = false;
      return againMs;
    } catch (error) {
      // A term that ended is no failure of what was looked at.
      if (term.world.term.aborted) return undefined;
      // Nor is that somebody else changed the object: it is looked at again.
      failed = !isConflict(error);
      const { message } = error as Error;
      log.log(failed ? 'warn' : 'debug', 'reconcile failed', { kind, namespace, name, error: message });
      throw error;
    } finally {
      this.metrics.reconciled(kind, failed, performance.now() - beganAt);
    }
  }

  private reconcilerOf({ world, conditions }: Term, kind: string): Reconcile {
    const reconcilers: Record<string, Reconcile> = {
      mapping: (namespace, name) =>
        reconcileMapping(world, (within) => this.mappings.list(within), namespace, name),
      sync: (namespace, name) => reconcileSync(world, (within) => this.syncs.list(within), namespace, name),
      schedule: (namespace, name) => reconcileSchedule(world, namespace, name),
      pin: (namespace, name) => reconcilePin(world, namespace, name),
      [CONDITIONS]: () => conditions.look(),
    };
    return reconcilers[kind]!;
  }
}
