/**
 * Steps with our engine that several parts of the benchmark share.
 */
import type { EngineApi } from '../../src/api/engine-api.ts';
import { until } from '../support/commands.ts';

/** What was deleted still costs I/O until its grains are where they are needed; that belongs to no measurement. */
export async function untilNothingRetired(engine: EngineApi): Promise<void> {
  await until('deleted volumes are gone', async () => (await engine.pool()).retired === 0, 120_000);
}

export async function timeMs(what: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await what();
  return performance.now() - start;
}
