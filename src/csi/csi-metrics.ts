/** What a role that serves CSI tells Prometheus of its calls: how many, how they ended, how long they took. */
import { Counter, Histogram, type Registry } from 'prom-client';
import type { CallObserver } from './server.ts';

/** Seconds: a look at a volume, a cut, a mount, a filesystem being made or checked. */
const BUCKETS = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

export function csiCallMetrics(registry: Registry): CallObserver {
  const calls = new Counter({
    name: 'flashcopy_csi_calls_total',
    help: 'CSI calls that were answered.',
    labelNames: ['method', 'code'],
    registers: [registry],
  });
  const durations = new Histogram({
    name: 'flashcopy_csi_call_duration_seconds',
    help: 'How long CSI calls took.',
    labelNames: ['method'],
    buckets: BUCKETS,
    registers: [registry],
  });
  return (method, code, ms) => {
    calls.inc({ method, code });
    durations.observe({ method }, ms / 1000);
  };
}
