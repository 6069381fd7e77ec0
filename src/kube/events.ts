/**
 * Events: what `kubectl describe` shows below an object. The same one again is counted and not added, and not told more
 * often than once a minute. They are a courtesy: one that cannot be written is logged, and nothing else fails for it.
 */
import { createHash } from 'node:crypto';
import { log } from '../base/log.ts';
import { isConflict, type KubeClient } from './client.ts';
import type { KubeObject } from './objects.ts';

const AGAIN_MS = 60_000;
const REMEMBERED_MAX = 2000;
const MESSAGE_MAX = 1000;
const COMPONENT = 'flashcopy-csi';

type EventType = 'Normal' | 'Warning';
export type Told = { type: EventType; reason: string; message: string };
/** What it is about; lists and watches leave out what kind an object is. */
export type Subject = { apiVersion: string; kind: string; object: KubeObject };

export class Events {
  private readonly client: KubeClient;
  private readonly toldAt = new Map<string, number>();

  constructor(client: KubeClient) {
    this.client = client;
  }

  async tell(subject: Subject, told: Told): Promise<void> {
    const { metadata } = subject.object;
    const key = createHash('sha256')
      .update(JSON.stringify([metadata.uid, told.type, told.reason, told.message]))
      .digest('hex')
      .slice(0, 16);
    const now = Date.now();
    if (now - (this.toldAt.get(key) ?? 0) < AGAIN_MS) return;
    if (this.toldAt.size >= REMEMBERED_MAX) this.toldAt.clear();
    this.toldAt.set(key, now);
    log.log(told.type === 'Normal' ? 'info' : 'warn', 'event', {
      kind: subject.kind,
      namespace: metadata.namespace,
      name: metadata.name,
      reason: told.reason,
      told: told.message,
    });
    try {
      await this.write(subject, told, `${metadata.name.slice(0, 200)}.${key}`);
    } catch (error) {
      log.warn('event could not be written', { error: (error as Error).message });
    }
  }

  private async write({ apiVersion, kind, object }: Subject, told: Told, name: string): Promise<void> {
    const { namespace = 'default', uid, resourceVersion, name: objectName } = object.metadata;
    const list = `/api/v1/namespaces/${namespace}/events`;
    const now = new Date().toISOString().replace(/\.\d+/, '');
    const existing = await this.client.find<KubeObject & { count?: number }>(`${list}/${name}`);
    if (existing !== undefined) {
      await this.client.patch(`${list}/${name}`, { count: (existing.count ?? 1) + 1, lastTimestamp: now });
      return;
    }
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: { apiVersion, kind, namespace, name: objectName, uid, resourceVersion },
      type: told.type,
      reason: told.reason,
      message: told.message.slice(0, MESSAGE_MAX),
      source: { component: COMPONENT },
      reportingComponent: COMPONENT,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    };
    try {
      await this.client.create(list, event);
    } catch (error) {
      if (!isConflict(error)) throw error; // another replica told it at the same moment
    }
  }
}
