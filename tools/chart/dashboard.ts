/** The Grafana dashboard: what an operator of the driver looks at, from the whole down to the single volume. */

type Panel = { title: string; unit: string; wide?: boolean; queries: [expression: string, legend: string][] };

const OF = '{job="flashcopy-csi",node=~"$node"}';
const WIDTH = 24;
const HEIGHT = 8;

const perSecond = (metric: string): string => `rate(flashcopy_${metric}_total${OF}[$__rate_interval])`;

const panels: Panel[] = [
  {
    title: 'Free space of the pools',
    unit: 'percentunit',
    queries: [[`flashcopy_pool_free_bytes${OF} / flashcopy_pool_size_bytes${OF}`, '{{node}}']],
  },
  {
    title: 'Space of the pools',
    unit: 'bytes',
    queries: [
      [`sum(flashcopy_pool_size_bytes${OF})`, 'size'],
      [`sum(flashcopy_pool_allocated_bytes${OF})`, 'held'],
      [`sum(flashcopy_pool_provisioned_bytes${OF})`, 'promised'],
    ],
  },
  {
    title: 'What needs somebody',
    unit: 'short',
    queries: [
      [`flashcopy_volumes_suspended${OF}`, 'suspended volumes, {{node}}'],
      [`flashcopy_snapshots_broken${OF}`, 'broken snapshots, {{node}}'],
      [`increase(flashcopy_engine_restarts_total${OF}[$__rate_interval])`, 'engine restarts, {{node}}'],
      [`flashcopy_pool_warnings${OF}`, 'warnings, {{node}}'],
    ],
  },
  {
    title: 'Volumes, snapshots, mappings',
    unit: 'short',
    queries: [
      [`sum(flashcopy_pool_volumes${OF})`, 'volumes'],
      [`sum(flashcopy_pool_snapshots${OF})`, 'snapshots'],
      [`sum(flashcopy_pool_mappings${OF})`, 'mappings'],
      [`sum(flashcopy_pool_retired${OF})`, 'retired'],
    ],
  },
  {
    title: 'I/O of hosts',
    unit: 'iops',
    queries: [
      [perSecond('host_reads'), 'reads, {{node}}'],
      [perSecond('host_writes'), 'writes, {{node}}'],
    ],
  },
  {
    title: 'Grains copied',
    unit: 'ops',
    queries: [
      [perSecond('grains_copied_on_write'), 'before a write, {{node}}'],
      [perSecond('grains_copied_in_background'), 'in the background, {{node}}'],
      [perSecond('grains_cleaned'), 'cleaned, {{node}}'],
    ],
  },
  {
    title: 'How long cuts held back writes',
    unit: 's',
    queries: [
      [`flashcopy_cut_pause_last_seconds${OF}`, 'last, {{node}}'],
      [`flashcopy_cut_pause_longest_seconds${OF}`, 'longest, {{node}}'],
    ],
  },
  {
    title: 'Undo log in use',
    unit: 'percentunit',
    queries: [[`flashcopy_pool_log_used_bytes${OF} / flashcopy_pool_log_bytes${OF}`, '{{node}}']],
  },
  {
    title: 'Mappings: still to copy',
    unit: 'bytes',
    queries: [[`flashcopy_mapping_remaining_bytes${OF}`, '{{mapping}}, {{node}}']],
  },
  {
    title: 'FlashCopyMappings: how much of the target is there',
    unit: 'percentunit',
    queries: [['flashcopy_mapping_progress_ratio{job="flashcopy-csi"}', '{{namespace}}/{{name}}']],
  },
  {
    title: 'FlashCopyMappings: what a sync would copy',
    unit: 'bytes',
    queries: [
      ['flashcopy_mapping_changed_bytes{job="flashcopy-csi",role="controller"}', '{{namespace}}/{{name}}'],
    ],
  },
  {
    title: 'Operator',
    unit: 'ops',
    queries: [
      [
        'sum by (kind, result) (rate(flashcopy_operator_reconciles_total{job="flashcopy-csi"}[$__rate_interval]))',
        '{{kind}} {{result}}',
      ],
    ],
  },
  {
    title: 'CSI calls',
    unit: 'ops',
    queries: [
      [
        `sum by (method, code) (rate(flashcopy_csi_calls_total${OF}[$__rate_interval]))`,
        '{{method}} {{code}}',
      ],
    ],
  },
  {
    title: 'CSI calls: 95 % took no longer than',
    unit: 's',
    queries: [
      [
        `histogram_quantile(0.95, sum by (method, le) (rate(flashcopy_csi_call_duration_seconds_bucket${OF}[$__rate_interval])))`,
        '{{method}}',
      ],
    ],
  },
  {
    title: 'Largest volumes, by what they and their snapshots hold',
    unit: 'bytes',
    wide: true,
    queries: [
      [
        `topk(20, (flashcopy_volume_allocated_bytes${OF} + flashcopy_volume_snapshots_allocated_bytes${OF}) * on (node, volume) group_left (namespace, persistentvolumeclaim) flashcopy_volume_info${OF})`,
        '{{namespace}}/{{persistentvolumeclaim}} {{volume}}',
      ],
    ],
  },
];

// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own way to name a variable.
const datasource = { type: 'prometheus', uid: '${datasource}' };

function placed({ title, unit, wide, queries }: Panel, index: number): object {
  const w = wide ? WIDTH : WIDTH / 2;
  return {
    id: index + 1,
    type: 'timeseries',
    title,
    datasource,
    gridPos: { x: wide ? 0 : (index % 2) * w, y: Math.floor(index / 2) * HEIGHT, w, h: HEIGHT },
    fieldConfig: { defaults: { unit, min: 0, custom: { fillOpacity: 10 } }, overrides: [] },
    options: {
      legend: { displayMode: 'list', placement: 'bottom' },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
    targets: queries.map(([expr, legendFormat], i) => ({
      refId: String.fromCharCode(65 + i),
      datasource,
      expr,
      legendFormat,
    })),
  };
}

export function dashboard(): string {
  const node = {
    name: 'node',
    type: 'query',
    datasource,
    query: { query: 'label_values(flashcopy_pool_size_bytes{job="flashcopy-csi"}, node)', refId: 'nodes' },
    refresh: 2,
    includeAll: true,
    multi: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  };
  const source = { name: 'datasource', type: 'datasource', query: 'prometheus' };
  return `${JSON.stringify(
    {
      uid: 'flashcopy-csi',
      title: 'FlashCopy CSI',
      tags: ['storage', 'flashcopy'],
      schemaVersion: 39,
      editable: true,
      refresh: '30s',
      time: { from: 'now-6h', to: 'now' },
      templating: { list: [source, node] },
      panels: panels.map(placed),
    },
    null,
    1,
  )}\n`;
}
