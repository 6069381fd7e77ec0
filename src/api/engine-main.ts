/**
 * The engine process: the engine and its API, under the supervisor that started it with the IPC channel and the
 * descriptors of child-messages.ts.
 *
 * Should the supervisor die, the engine goes on: host I/O matters more than being supervised. It then holds the pool's
 * lock alone and stops by itself on SIGTERM.
 */
import { flushCompileCache } from 'node:module';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { EngineStart, ToEngine, ToSupervisor } from '../engine/child-messages.ts';
import { EngineProcess } from '../engine/engine-process.ts';
import type { EngineApi } from './engine-api.ts';
import { checkEngine } from './engine-health.ts';
import type { Listening } from './unix-listener.ts';

/** How long to wait until it is tried again to serve the controller. */
const SERVE_AGAIN_MS = 5000;

function main(): void {
  if (process.send === undefined) {
    process.stderr.write('This is started by "flashcopy engine". Run that.\n');
    process.exitCode = 2;
    return;
  }
  process.title = 'flashcopy-engine';
  // Stopping is the supervisor's decision while there is one: service managers send their signals to everybody.
  let orphaned = false;
  let running: Running | undefined;
  const onSignal = () => {
    if (orphaned) void running?.stop({ forced: true, handover: false });
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  process.on('disconnect', () => {
    orphaned = true;
    log.warn('supervisor is gone: the engine goes on without, until SIGTERM');
  });
  process.on('message', (message: ToEngine) => {
    if (message.kind === 'stop') void running?.stop(message);
    else if (message.kind === 'kept') running?.kept(message.kept);
    else {
      start(message.start).then(
        async (started) => {
          running = started;
          await tell({ kind: 'ready' });
          // Not left to the exit: an engine that is killed has none, and it is the next one's start that must be fast.
          flushCompileCache();
        },
        (error: unknown) => giveUp(error),
      );
    }
  });
}

type Stop = { forced: boolean; handover: boolean };
type Running = { stop(how: Stop): Promise<void>; kept(kept: boolean): void };

async function start(options: EngineStart): Promise<Running> {
  const engine = await EngineProcess.start(options, (reason) => {
    log.error('data thread died', { reason });
    // The supervisor knows no more than a signal otherwise, and would take it for somebody's from outside.
    void tell({ kind: 'failed', code: 'Internal', message: `The data thread ended: ${reason}` }).then(endNow);
  });
  const api: EngineApi = engine;
  // Host I/O is served by now and does not wait for this to load.
  const { serveEngine } = await import('./server.ts');
  const outside = { kept: false };
  const servers: Listening[] = [await serveEngine(api, options.endpoint, options.csiEndpoint)];
  const again = options.shmSurvived;
  const { remote, metricsAddress } = options;
  if (remote) {
    const { serveEngineTls } = await import('./server.ts');
    servers.push(
      await serveSurely('not reachable by the controller yet', again, () => serveEngineTls(api, remote)),
    );
  }
  if (metricsAddress !== undefined)
    servers.push(
      await serveSurely('metrics are not served yet', again, () =>
        serveMetrics(api, options, outside, metricsAddress),
      ),
    );
  return {
    stop: (how) => stop(engine, servers, how),
    kept: (kept) => {
      outside.kept = kept;
    },
  };
}

async function serveMetrics(
  api: EngineApi,
  { lives }: EngineStart,
  outside: { kept: boolean },
  listen: string,
): Promise<Listening> {
  const { newRegistry, serveHealth } = await import('../base/health-server.ts');
  const { addEngineMetrics } = await import('./engine-metrics.ts');
  const registry = newRegistry();
  addEngineMetrics(registry, api, lives, outside);
  const live = async () => {
    await api.counters();
  };
  return serveHealth({ listen, registry, live, ready: () => checkEngine(api) });
}

/**
 * What hinders it the first time is told to whoever starts it. Later, host I/O is served and goes on whatever has become
 * of certificates or addresses: then it is tried until it works.
 */
async function serveSurely(
  failing: string,
  startedBefore: boolean,
  serve: () => Promise<Listening>,
): Promise<Listening> {
  if (!startedBefore) return serve();
  const given = new AbortController();
  const served = keepTrying(failing, serve, given.signal);
  return {
    stop: async () => {
      given.abort();
      await (await served)?.stop();
    },
  };
}

async function keepTrying(
  failing: string,
  serve: () => Promise<Listening>,
  signal: AbortSignal,
): Promise<Listening | undefined> {
  for (; !signal.aborted; await sleep(SERVE_AGAIN_MS)) {
    try {
      return await serve();
    } catch (error) {
      if (!(error instanceof FlashCopyError)) throw error;
      log.error(failing, { error: error.message });
    }
  }
  return undefined;
}

async function stop(engine: EngineProcess, servers: Listening[], { forced, handover }: Stop): Promise<void> {
  try {
    const { users } = await engine.stop(forced, handover);
    if (users.length > 0 && !handover) return await tell({ kind: 'refused', users });
    if (users.length > 0) {
      // Host I/O waits: who asks something meanwhile asks the next engine, at the same place.
      await tell({ kind: 'handedOver', users });
      process.exit(0);
    }
    await Promise.all(servers.map((server) => server.stop()));
    process.exit(0);
  } catch (error) {
    log.error('stop failed', { error: String((error as Error).stack ?? error) });
    endNow();
  }
}

async function giveUp(error: unknown): Promise<void> {
  const code = error instanceof FlashCopyError ? error.code : 'Internal';
  const message = code === 'Internal' ? String((error as Error).stack ?? error) : (error as Error).message;
  await tell({ kind: 'failed', code, message });
  endNow();
}

/** By a signal: process.exit would wait for the data thread, which sleeps in the kernel. */
function endNow(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** Resolves when it is on its way; without a supervisor there is nobody to tell. */
function tell(message: ToSupervisor): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) resolve();
    else process.send!(message, undefined, {}, () => resolve());
  });
}

main();
