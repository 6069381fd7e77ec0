/**
 * The id of the request on whose behalf something is done: one from the call of a sidecar, a look at a custom resource or a
 * command, through the engine's call, to what the engine does. Every log line of the time bears it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';

/** What comes over the network becomes part of log lines: nothing but what ids are made of. */
const ID = /^[\w-]{1,64}$/;

const current = new AsyncLocalStorage<string>();

export const newRequestId = (): string => randomUUID().slice(0, 8);

export const currentRequest = (): string | undefined => current.getStore();

export function withRequest<Result>(id: string | undefined, action: () => Result): Result {
  return id !== undefined && ID.test(id) ? current.run(id, action) : action();
}
