/**
 * The Kubernetes API as plain JSON: what is read is what the server sent, in lists and in watches alike, so that a time is
 * the same text wherever it comes from.
 *
 * Every request has a time limit. What the server refuses is a KubeError with its status; a server that does not answer is
 * one with status 0.
 */
import process from 'node:process';
import {
  HttpMethod,
  IsomorphicFetchHttpLibrary,
  KubeConfig,
  RequestContext,
  type ResponseContext,
} from '@kubernetes/client-node';
import { type ErrorCode, FlashCopyError } from '../base/errors.ts';

const CALL_MS = 30_000;

const CONTENT_TYPES = {
  json: 'application/json',
  merge: 'application/merge-patch+json',
} as const;

type Query = Readonly<Record<string, string>>;
type Request = { body?: object; query?: Query; type?: keyof typeof CONTENT_TYPES; timeoutMs?: number };

/** `status`: of HTTP, 0 if there was no answer. `reason`: the server's own word, like AlreadyExists. */
export class KubeError extends FlashCopyError {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string, options?: ErrorOptions) {
    super(codeOf(status), message, options);
    this.status = status;
    this.reason = reason;
  }
}

function codeOf(status: number): ErrorCode {
  if (status === 401 || status === 403) return 'MissingPrivilege';
  if (status === 409) return 'AlreadyExists';
  return status === 0 || status === 429 || status >= 500 ? 'Unavailable' : 'InvalidArgument';
}

/** The object was changed by somebody else since it was read, or is there already. */
export const isConflict = (error: unknown) => error instanceof KubeError && error.status === 409;
export const isMissing = (error: unknown) => error instanceof KubeError && error.status === 404;

/** Of the pod that this runs in, or what KUBECONFIG names. */
export function kubeConfig(): KubeConfig {
  const config = new KubeConfig();
  const file = process.env['KUBECONFIG'];
  if (file !== undefined && file !== '') config.loadFromFile(file);
  else if (process.env['KUBERNETES_SERVICE_HOST'] !== undefined) config.loadFromCluster();
  else
    throw new FlashCopyError(
      'InvalidArgument',
      '--kubernetes was asked for, and there is no cluster to be found: this is no pod, and KUBECONFIG is not set. ' +
        'Set KUBECONFIG to the file with the address of the API server.',
    );
  return config;
}

export class KubeClient {
  readonly config: KubeConfig;
  private readonly http = new IsomorphicFetchHttpLibrary();

  constructor(config: KubeConfig) {
    this.config = config;
  }

  get<Answer>(path: string, query?: Query): Promise<Answer> {
    return this.request(HttpMethod.GET, path, { ...(query && { query }) });
  }

  /** Undefined: there is none. */
  async find<Answer>(path: string): Promise<Answer | undefined> {
    try {
      return await this.get<Answer>(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  create<Answer>(path: string, body: object): Promise<Answer> {
    return this.request(HttpMethod.POST, path, { body });
  }

  /** Refused as a conflict if the object's resourceVersion is no longer the one in the body. */
  replace<Answer>(path: string, body: object, timeoutMs = CALL_MS): Promise<Answer> {
    return this.request(HttpMethod.PUT, path, { body, timeoutMs });
  }

  /** A field set to null is removed. With a resourceVersion in the body: refused as a conflict if that is no longer it. */
  patch<Answer>(path: string, body: object): Promise<Answer> {
    return this.request(HttpMethod.PATCH, path, { body, type: 'merge' });
  }

  async remove(path: string, body: object = {}): Promise<void> {
    await this.request(HttpMethod.DELETE, path, { body });
  }

  private async request<Answer>(
    method: HttpMethod,
    path: string,
    { body, query = {}, type = 'json', timeoutMs = CALL_MS }: Request,
  ): Promise<Answer> {
    const server = this.config.getCurrentCluster()?.server;
    if (server === undefined)
      throw new FlashCopyError(
        'InvalidArgument',
        'The configuration of Kubernetes names no current cluster.',
      );
    const context = new RequestContext(server.replace(/\/$/, '') + path, method);
    for (const [name, value] of Object.entries(query)) context.setQueryParam(name, value);
    context.setHeaderParam('Accept', CONTENT_TYPES.json);
    if (body !== undefined) {
      context.setHeaderParam('Content-Type', CONTENT_TYPES[type]);
      context.setBody(JSON.stringify(body));
    }
    context.setSignal(AbortSignal.timeout(Math.ceil(timeoutMs)));
    const asked = `${method} ${path}`;
    const { status, text } = await this.send(context, asked);
    if (status >= 200 && status < 300) return JSON.parse(text) as Answer;
    throw refusal(status, text, asked);
  }

  private async send(context: RequestContext, asked: string): Promise<{ status: number; text: string }> {
    try {
      await this.config.applySecurityAuthentication(context);
      const answer: ResponseContext = await this.http.send(context).toPromise();
      return { status: answer.httpStatusCode, text: await answer.body.text() };
    } catch (error) {
      const { message, cause } = error as Error;
      const why = cause instanceof Error ? `${message}: ${cause.message}` : message;
      throw new KubeError(0, 'NoAnswer', `The API server did not answer ${asked}: ${why}.`, { cause: error });
    }
  }
}

function refusal(status: number, text: string, asked: string): KubeError {
  let said: { reason?: string; message?: string } = {};
  try {
    said = JSON.parse(text) as typeof said;
  } catch {
    said = { message: text.slice(0, 500) }; // A proxy's page, not the API server's Status.
  }
  const { reason = '', message = 'no reason was given' } = said;
  return new KubeError(status, reason, `The API server refused ${asked} (${status}): ${message}`);
}
