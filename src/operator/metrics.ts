/** What the operator tells Prometheus. Labels are bounded: kinds, outcomes, and at most so many mappings. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { FlashCopyMapping } from './resources.ts';

/** More would make a load of what is to be a look. */
const MAPPINGS_MAX = 500;
const BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600];

export type OperatorMetrics = {
  reconciled(kind: string, failed: boolean, ms: number): void;
};

/** What is asked when Prometheus looks. */
export type Seen = {
  leading: () => boolean;
  queued: () => number;
  mappings: () => readonly FlashCopyMapping[];
};

export function operatorMetrics(registry: Registry, seen: Seen): OperatorMetrics {
  const registers = [registry];
  const reconciles = new Counter({
    name: 'flashcopy_operator_reconciles_total',
    help: 'Looks at an object, by its kind and whether they failed.',
    labelNames: ['kind', 'result'],
    registers,
  });
  const durations = new Histogram({
    name: 'flashcopy_operator_reconcile_duration_seconds',
    help: 'How long a look at an object took, with what it led to.',
    labelNames: ['kind'],
    buckets: BUCKETS,
    registers,
  });
  new Gauge({
    name: 'flashcopy_operator_leader',
    help: '1 while this process leads.',
    registers,
    collect() {
      this.set(Number(seen.leading()));
    },
  });
  new Gauge({
    name: 'flashcopy_operator_queue_depth',
    help: 'Objects that wait to be looked at.',
    registers,
    collect() {
      this.set(seen.queued());
    },
  });
  mappingGauges(registry, seen);
  return {
    reconciled(kind, failed, ms) {
      reconciles.inc({ kind, result: failed ? 'error' : 'ok' });
      durations.observe({ kind }, ms / 1000);
    },
  };
}

/** Of the leader only, so that each mapping is there once. */
function mappingGauges(registry: Registry, { leading, mappings }: Seen): void {
  const shown = () => (leading() ? mappings().slice(0, MAPPINGS_MAX) : []);
  const labelNames = ['namespace', 'name'];
  const gauge = (name: string, help: string, figure: (mapping: FlashCopyMapping) => number | undefined) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const mapping of shown()) {
          const value = figure(mapping);
          const { namespace = '', name: of } = mapping.metadata;
          if (value !== undefined) this.set({ namespace, name: of }, value);
        }
      },
    });
  gauge(
    'flashcopy_mapping_progress_ratio',
    'How much of the target of a FlashCopyMapping is there.',
    ({ status }) => {
      if (status?.totalBytes === undefined) return undefined;
      return status.totalBytes === 0 ? 1 : (status.copiedBytes ?? 0) / status.totalBytes;
    },
  );
  gauge(
    'flashcopy_mapping_changed_bytes',
    'What a sync of a FlashCopyMapping would copy.',
    ({ status }) => status?.changedBytes,
  );
}
