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

type Known = { toldAt: number; count: number };

export class Events {
  private readonly client: KubeClient;
  private readonly known = new Map<string, Known>();

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
    const { toldAt, count } = this.known.get(key) ?? { toldAt: 0, count: 0 };
    if (now - toldAt < AGAIN_MS) return;
    if (this.known.size >= REMEMBERED_MAX) this.known.clear();
    this.known.set(key, { toldAt: now, count: count + 1 });
    log.log(told.type === 'Normal' ? 'info' : 'warn', 'event', {
      kind: subject.kind,
      namespace: metadata.namespace,
      name: metadata.name,
      reason: told.reason,
      told: told.message,
    });
    try {
      await this.write(subject, told, `${metadata.name.slice(0, 200)}.${key}`, count + 1);
    } catch (error) {
      log.warn('event could not be written', { error: (error as Error).message });
    }
  }

  /** With no right but to create and to patch. */
  private async write(subject: Subject, told: Told, name: string, count: number): Promise<void> {
    const { apiVersion, kind, object } = subject;
    const { namespace = 'default', uid, resourceVersion, name: objectName } = object.metadata;
    const list = `/api/v1/namespaces/${namespace}/events`;
    const now = new Date().toISOString().replace(/\.\d+/, '');
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
      count,
    };
    try {
      await this.client.create(list, event);
    } catch (error) {
      if (!isConflict(error)) throw error;
      // It was told before, by this process or by another.
      await this.client.patch(`${list}/${name}`, { lastTimestamp: now, ...(count > 1 && { count }) });
    }
  }
}
