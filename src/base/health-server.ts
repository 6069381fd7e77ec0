/**
 * What a role tells of itself over plain HTTP: its metrics, whether it is alive, whether it can serve.
 *
 *   GET /metrics   the registry, for Prometheus
 *   GET /healthz   200 while the process does its duties; 503 and why not: starting it again may help
 *   GET /readyz    200 while it can serve; 503 and why not: what is missing lies outside of it
 *
 * An answer always comes: a question that is not decided in ANSWER_MS is decided with no. Nothing can be changed here
 * and nothing secret is told, so there is no login.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { FlashCopyError } from './errors.ts';
import { log } from './log.ts';

const ANSWER_MS = 4000;

export type Health = {
  /** "host:port"; port 0: one that is free. */
  listen: string;
  registry: Registry;
  /** Fail with the reason. */
  live: () => Promise<void>;
  ready: () => Promise<void>;
};

/** Memory, processor time and open files of this process are in it already. */
export function newRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'flashcopy_' });
  return registry;
}

export async function serveHealth(health: Health): Promise<{ address: string; stop(): Promise<void> }> {
  const { host, port } = hostAndPort(health.listen);
  const server = http.createServer((request, response) => {
    answer(health, request).then(
      ({ status, type, text }) => {
        response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
        response.end(request.method === 'HEAD' ? undefined : text);
      },
      (error: Error) => {
        log.error('health could not be told', { url: request.url, error: error.stack });
        response.writeHead(500).end();
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(health.listen, error)));
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { address: `${health.listen.replace(/:\d+$/, '')}:${bound.port}`, stop };
}

type Answer = { status: number; type: string; text: string };

const PLAIN = 'text/plain; charset=utf-8';

async function answer(health: Health, { method, url }: http.IncomingMessage): Promise<Answer> {
  const plain = (status: number, text: string): Answer => ({ status, type: PLAIN, text: `${text}\n` });
  const verdict = async (question: () => Promise<void>): Promise<Answer> => {
    const reason = await reasonAgainst(question);
    return reason === undefined ? plain(200, 'ok') : plain(503, reason);
  };
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'Only GET is answered.');
  switch (url?.split('?')[0]) {
    case '/metrics': {
      let text = '';
      const reason = await reasonAgainst(async () => {
        text = await health.registry.metrics();
      });
      // Half of the truth would look like zeros.
      return reason === undefined
        ? { status: 200, type: health.registry.contentType, text }
        : plain(503, reason);
    }
    case '/healthz':
      return verdict(health.live);
    case '/readyz':
      return verdict(health.ready);
    default:
      return plain(404, 'There are /metrics, /healthz and /readyz.');
  }
}

/** Undefined when it is well. */
async function reasonAgainst(question: () => Promise<void>): Promise<string | undefined> {
  const answered = new AbortController();
  const late = sleep(ANSWER_MS, `no answer within ${ANSWER_MS / 1000} s`, {
    signal: answered.signal,
    ref: false,
  });
  late.catch(() => undefined); // it was answered in time
  try {
    return (await Promise.race([question(), late])) ?? undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    answered.abort();
  }
}

function hostAndPort(listen: string): { host: string; port: number } {
  const [, name, bracketed, port] =
    /^(?:([A-Za-z0-9._-]+)|\[([0-9A-Fa-f:.]+)\]):(\d{1,5})$/.exec(listen) ?? [];
  if (port !== undefined && Number(port) <= 65535) return { host: name ?? bracketed!, port: Number(port) };
  throw new FlashCopyError(
    'InvalidArgument',
    `"${listen}" is not an address for metrics. Write it like 0.0.0.0:9751 or [::]:9751.`,
  );
}

function cannotListen(listen: string, error: NodeJS.ErrnoException): FlashCopyError {
  return new FlashCopyError(
    'Unavailable',
    `Metrics cannot be served at ${listen} (${error.code}). Choose another address or end who has it.`,
    { cause: error },
  );
}
