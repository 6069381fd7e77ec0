/**
 * The Kubernetes API over HTTP for tests without a cluster: the part of its behaviour that the program builds on.
 *
 * Lists and watches with resource versions (410 for one that is forgotten), refusal of an update to another version
 * (409), merge patches, the status subresource, generations, finalizers, generated names, preconditions of deletes, label
 * and field selectors with '='. Anything may be stored: validation is what the tests on a real cluster are for.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, ObjectMeta } from '../../src/kube/objects.ts';

type Stored = KubeObject & { spec?: unknown; status?: unknown; [key: string]: unknown };
type Change = { collection: string; type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: Stored; version: number };
type Place = { collection: string; namespace: string; name: string; sub: string; query: URLSearchParams };
type Answer = { status: number; body: unknown };
type Request = Place & { method: string; body: Partial<Stored> & Record<string, unknown> };

const PATH =
  /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;

class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export class KubeServer {
  readonly url: string;
  /** What was asked: "PUT /api/v1/...". */
  readonly asked: string[] = [];
  /** Called before each request is answered; what it throws breaks the connection. */
  before: (asked: string) => void | Promise<void> = () => {};
  /** Called when a request has had its effect; what it throws breaks the connection. */
  after: (asked: string) => void = () => {};
  readonly #server: http.Server;
  readonly #objects = new Map<string, Stored>();
  readonly #changes: Change[] = [];
  readonly #watchers = new Set<(change: Change) => void>();
  readonly #watches = new Set<http.ServerResponse>();
  #version = 100;
  #forgotten = 0;

  private constructor(server: http.Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      this.#handle(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<KubeServer> {
    const server = http.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new KubeServer(server);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** A file for KUBECONFIG. */
  writeConfig(file: string): string {
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server: this.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'test', user: {} }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      'current-context': 'test',
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  /** Every watch ends, and one that goes on where it was is told that this is forgotten. */
  forget(): void {
    this.#forgotten = this.#version;
    this.dropWatches();
  }

  /** As when etcd is restored from a backup without this object: versions go back, and later ones are refused. */
  rewind(path: string): void {
    this.#objects.delete(keyOf(this.#place(new URL(path, this.url))));
    this.#changes.length = 0;
    this.#version -= 50;
    this.dropWatches();
  }

  dropWatches(): void {
    for (const response of this.#watches) response.destroy();
  }

  /** Creates or replaces as it is given, status included. `path`: of the object. */
  put(path: string, object: object): Stored {
    const place = this.#place(new URL(path, this.url));
    const existing = this.#objects.get(keyOf(place));
    const given = structuredClone(object) as Stored;
    const metadata = { ...existing?.metadata, ...given.metadata, name: place.name } as ObjectMeta;
    if (place.namespace !== '') metadata.namespace = place.namespace;
    return existing === undefined
      ? this.#add(place, { ...given, metadata })
      : this.#change(place, existing, { ...given, metadata });
  }

  get<Item = Stored>(path: string): Item | undefined {
    return this.#objects.get(keyOf(this.#place(new URL(path, this.url)))) as Item | undefined;
  }

  /** `path`: of a list. */
  list<Item = Stored>(path: string): Item[] {
    return this.#list(this.#place(new URL(path, this.url))) as Item[];
  }

  remove(path: string): void {
    const place = this.#place(new URL(path, this.url));
    this.#remove(place, this.#objects.get(keyOf(place))!);
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.url);
    const asked = `${request.method} ${url.pathname}`;
    this.asked.push(asked);
    await this.before(asked);
    let text = '';
    for await (const part of request.setEncoding('utf8')) text += part;
    let answer: Answer;
    try {
      const place = this.#place(url);
      if (request.method === 'GET' && place.query.get('watch') === 'true') {
        this.#watch(place, response);
        return;
      }
      const body = text === '' ? {} : JSON.parse(text);
      answer = this.#answer({ ...place, method: request.method!, body });
      this.after(asked);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { status, reason, message } = error;
      answer = { status, body: { kind: 'Status', status: 'Failure', reason, message, code: status } };
    }
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer.body));
  }

  #place(url: URL): Place {
    const [, group, namespace = '', resource, name = '', sub = ''] = PATH.exec(url.pathname) ?? [];
    if (group === undefined) throw new Refusal(404, 'NotFound', `no such path ${url.pathname}`);
    return { collection: `${group}/${resource}`, namespace, name, sub, query: url.searchParams };
  }

  #answer(request: Request): Answer {
    const { method, name, collection, body } = request;
    if (name === '') {
      if (method === 'POST') return { status: 201, body: this.#create(request) };
      const metadata = { resourceVersion: String(this.#version) };
      return { status: 200, body: { metadata, items: this.#list(request) } };
    }
    const current = this.#objects.get(keyOf(request));
    if (current === undefined) throw new Refusal(404, 'NotFound', `${collection} "${name}" not found`);
    switch (method) {
      case 'GET':
        return { status: 200, body: current };
      case 'PUT':
        return { status: 200, body: this.#update(request, current, body as Stored) };
      case 'PATCH':
        return { status: 200, body: this.#update(request, current, merged(current, body) as Stored) };
      case 'DELETE':
        return { status: 200, body: this.#delete(request, current) };
      default:
        throw new Refusal(405, 'MethodNotAllowed', method);
    }
  }

  #list({ collection, namespace, query }: Place): Stored[] {
    return [...this.#objects.entries()]
      .filter(([key]) => key.startsWith(`${collection} ${namespace === '' ? '' : `${namespace}/`}`))
      .map(([, object]) => object)
      .filter((object) => isSelected(object, query));
  }

  #create(request: Request): Stored {
    const { namespace, collection } = request;
    const body = structuredClone(request.body) as Stored & { metadata: { generateName?: string } };
    body.metadata.name ??= `${body.metadata.generateName}${randomUUID().slice(0, 5)}`;
    if (namespace !== '') body.metadata.namespace = namespace;
    const place = { ...request, name: body.metadata.name };
    if (this.#objects.has(keyOf(place)))
      throw new Refusal(409, 'AlreadyExists', `${collection} "${place.name}" already exists`);
    if (collection.startsWith('/apis/flashcopy.dev')) delete body.status;
    return this.#add(place, body);
  }

  #add(place: Place, object: Stored): Stored {
    const fresh = {
      uid: randomUUID(),
      creationTimestamp: new Date().toISOString().replace(/\.\d+/, ''),
      generation: 1,
    };
    return this.#store(place, { ...object, metadata: Object.assign(fresh, object.metadata) }, 'ADDED');
  }

  #update(place: Place, current: Stored, body: Stored): Stored {
    const asked = body.metadata.resourceVersion;
    if (asked !== undefined && asked !== current.metadata.resourceVersion)
      throw new Refusal(409, 'Conflict', `the object has been modified; it is not at ${asked} any more`);
    if (place.sub === 'status') return this.#change(place, current, { ...current, status: body.status });
    const hasStatus = place.collection.startsWith('/apis/flashcopy.dev');
    return this.#change(place, current, hasStatus ? { ...body, status: current.status } : body);
  }

  #change(place: Place, current: Stored, next: Stored): Stored {
    const { uid, creationTimestamp, deletionTimestamp, generation = 1 } = current.metadata;
    const changedSpec = !isDeepStrictEqual(current.spec, next.spec);
    next.metadata = {
      ...next.metadata,
      uid,
      creationTimestamp,
      generation: generation + (changedSpec ? 1 : 0),
    };
    next.metadata.resourceVersion = current.metadata.resourceVersion;
    if (deletionTimestamp !== undefined) next.metadata.deletionTimestamp = deletionTimestamp;
    if (isDeepStrictEqual(JSON.parse(JSON.stringify(next)), JSON.parse(JSON.stringify(current))))
      return current;
    const isEnded = deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0;
    return isEnded ? this.#remove(place, next) : this.#store(place, next, 'MODIFIED');
  }

  #delete(request: Request, current: Stored): Stored {
    const { uid } = (request.body['preconditions'] ?? {}) as { uid?: string };
    if (uid !== undefined && uid !== current.metadata.uid) throw new Refusal(409, 'Conflict', 'another uid');
    if ((current.metadata.finalizers ?? []).length === 0) return this.#remove(request, current);
    if (current.metadata.deletionTimestamp !== undefined) return current;
    const metadata = { ...current.metadata, deletionTimestamp: new Date().toISOString() };
    return this.#store(request, { ...current, metadata }, 'MODIFIED');
  }

  #remove(place: Place, object: Stored): Stored {
    return this.#store(place, object, 'DELETED');
  }

  #store(place: Place, object: Stored, type: Change['type']): Stored {
    this.#version += 1;
    const metadata = { ...object.metadata, resourceVersion: String(this.#version) };
    const stored = JSON.parse(JSON.stringify({ ...object, metadata })) as Stored;
    if (type === 'DELETED') this.#objects.delete(keyOf(place));
    else this.#objects.set(keyOf(place), stored);
    const change = { collection: place.collection, type, object: stored, version: this.#version };
    this.#changes.push(change);
    for (const tell of this.#watchers) tell(change);
    return stored;
  }

  #watch({ collection, namespace, query }: Place, response: http.ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    const from = Number(query.get('resourceVersion') || this.#version);
    const line = (type: string, object: unknown) => response.write(`${JSON.stringify({ type, object })}\n`);
    if (from < this.#forgotten) {
      line('ERROR', { kind: 'Status', code: 410, reason: 'Expired' });
      response.end();
      return;
    }
    if (from > this.#version) {
      line('ERROR', { kind: 'Status', code: 504, reason: 'Timeout', message: 'Too large resource version' });
      response.end();
      return;
    }
    const tell = ({ type, object, ...change }: Change) => {
      if (change.collection !== collection || change.version <= from) return;
      if (namespace !== '' && object.metadata.namespace !== namespace) return;
      if (isSelected(object, query)) line(type, object);
    };
    response.flushHeaders();
    for (const change of this.#changes) tell(change);
    this.#watchers.add(tell);
    this.#watches.add(response);
    response.on('close', () => {
      this.#watchers.delete(tell);
      this.#watches.delete(response);
    });
  }
}

function keyOf({ collection, namespace, name }: Place): string {
  return `${collection} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}

function isSelected({ metadata, ...object }: Stored, query: URLSearchParams): boolean {
  const all = (name: string) => (query.get(name) ?? '').split(',').filter(Boolean);
  const labels = all('labelSelector').every((term) => {
    const [key, value] = term.split('=');
    const found = metadata.labels?.[key!];
    return value === undefined ? found !== undefined : found === value;
  });
  const fields = all('fieldSelector').every((term) => {
    const [path, value] = term.split('=');
    const found = path!.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown>)?.[part], {
      metadata,
      ...object,
    });
    return String(found ?? '') === value;
  });
  return labels && fields;
}

/** RFC 7396. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const isObject = typeof target === 'object' && target !== null && !Array.isArray(target);
  const result: Record<string, unknown> = isObject ? { ...(target as Record<string, unknown>) } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}
