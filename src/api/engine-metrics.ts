/**
 * What an engine tells Prometheus: its pool, its volumes and mappings, what it has done, and how often it had to be
 * started again.
 *
 * Everything is asked for when it is scraped, once for all metrics of a scrape. Labels are bounded: there is a series for
 * each volume and for each mapping, none for each snapshot (those are counted by volume), and what is deleted is gone
 * from the next scrape on.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Counters, MappingInfo, PoolInfo, ScrubInfo, VolumeInfo } from '../base/model.ts';
import type { Lives } from '../engine/child-messages.ts';
import type { EngineApi } from './engine-api.ts';

type Seen = {
  pool: PoolInfo;
  scrub: ScrubInfo;
  counters: Counters;
  volumes: VolumeInfo[];
  snapshots: VolumeInfo[];
  /** By the name of the volume that they are of. */
  snapshotsOf: Map<string, VolumeInfo[]>;
  mappings: MappingInfo[];
};

type Series = { labels?: Record<string, string>; value: number };

/** `outside.kept`: whether a keeper holds the engine's descriptors too, now. */
export function addEngineMetrics(
  registry: Registry,
  api: EngineApi,
  lives: Lives,
  outside: { kept: boolean },
): void {
  let looking: Promise<Seen> | undefined;
  const seen = () => {
    looking ??= look(api).finally(() => {
      looking = undefined;
    });
    return looking;
  };
  const gauge = (name: string, help: string, labelNames: string[], series: (seen: Seen) => Series[]) => {
    new Gauge({
      name: `flashcopy_${name}`,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        const all = series(await seen());
        this.reset();
        for (const { labels = {}, value } of all) this.set(labels, value);
      },
    });
  };
  const counter = (name: string, help: string, value: (counters: Counters) => number) => {
    new Counter({
      name: `flashcopy_${name}_total`,
      help,
      registers: [registry],
      async collect() {
        const { counters } = await seen();
        this.reset();
        this.inc(value(counters));
      },
    });
  };
  addPool((name, help, value) => gauge(name, help, [], (s) => [{ value: value(s) }]));
  addVolumes((name, help, value) =>
    gauge(name, help, ['volume'], (s) =>
      s.volumes.map((volume) => ({ labels: { volume: volume.name }, value: value(volume, s) })),
    ),
  );
  gauge('volume_info', 'Which claim a volume is of.', INFO_LABELS, ({ volumes }) => volumes.map(infoOf));
  addMappings((name, help, value) =>
    gauge(name, help, ['mapping'], (s) =>
      s.mappings.map((mapping) => ({ labels: { mapping: mapping.name }, value: value(mapping) })),
    ),
  );
  gauge('mapping_info', 'Source, target and state of a mapping.', MAPPING_LABELS, ({ mappings }) =>
    mappings.map(({ name, source, target, state }) => ({
      labels: { mapping: name, source, target, state },
      value: 1,
    })),
  );
  addCounters(counter);
  addPauses((name, help, value) => gauge(name, help, [], (s) => [{ value: value(s) }]));
  addLives(registry, lives);
  gauge(
    'engine_kept',
    '1 while a keeper holds the descriptors too, so that the engine can be killed or upgraded.',
    [],
    () => [{ value: Number(outside.kept) }],
  );
}

async function look(api: EngineApi): Promise<Seen> {
  const [pool, scrub, counters, all, everyMapping] = await Promise.all([
    api.pool(),
    api.getScrub(),
    api.counters(),
    api.listVolumes(),
    api.listMappings(),
  ]);
  const [volumes, snapshots] = [[] as VolumeInfo[], [] as VolumeInfo[]];
  for (const each of all) (each.kind === 'volume' ? volumes : snapshots).push(each);
  // A snapshot is the target of a mapping too.
  const isSnapshot = new Set(snapshots.map(({ name }) => name));
  const mappings = everyMapping.filter(({ target }) => !isSnapshot.has(target));
  const snapshotsOf = Map.groupBy(snapshots, ({ source }) => source);
  return { pool, scrub, counters, volumes, snapshots, snapshotsOf, mappings };
}

const bytesOf = (volumes: VolumeInfo[]): number =>
  volumes.reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
const offline = (volumes: VolumeInfo[]): number =>
  volumes.filter(({ state }) => state === 'suspended').length;

type Single = (name: string, help: string, value: (seen: Seen) => number) => void;

function addPool(add: Single): void {
  add('pool_size_bytes', "Size of the pool's filesystem.", ({ pool }) => pool.totalBytes);
  add('pool_free_bytes', "Free space of the pool's filesystem.", ({ pool }) => pool.freeBytes);
  add(
    'pool_provisioned_bytes',
    'What volumes and snapshots may hold together.',
    ({ pool }) => pool.provisionedBytes,
  );
  add(
    'pool_allocated_bytes',
    'What volumes and snapshots take.',
    ({ volumes, snapshots }) => bytesOf(volumes) + bytesOf(snapshots),
  );
  add('pool_volumes', 'Volumes.', ({ pool }) => pool.volumes);
  add('pool_snapshots', 'Snapshots.', ({ pool }) => pool.snapshots);
  add('pool_mappings', 'Mappings to volumes.', ({ mappings }) => mappings.length);
  add('pool_retired', 'Deleted volumes whose grains others still need.', ({ pool }) => pool.retired);
  add('pool_log_bytes', 'Size of the undo log.', ({ pool }) => pool.logBytes);
  add('pool_log_used_bytes', 'Used part of the undo log.', ({ pool }) => pool.logUsedBytes);
  add(
    'pool_bitmap_used_bytes',
    'Memory for bitmaps that is in use or promised to volumes that have copies.',
    ({ pool }) => pool.bitmapUsedBytes,
  );
  add(
    'pool_bitmap_max_bytes',
    'The most that may be: no copy is made then.',
    ({ pool }) => pool.bitmapMaxBytes,
  );
  add('pool_warnings', 'Warnings that "flashcopy pool show" tells.', ({ pool }) => pool.warnings.length);
  add('scrub_running', '1 while a scrub runs.', ({ scrub }) => Number(scrub.state === 'running'));
  add(
    'scrub_done_bytes',
    'How far the last scrub is, of all volumes and snapshots.',
    ({ scrub }) => scrub.doneBytes,
  );
  add('scrub_findings', 'Damage that the last scrub has found.', ({ scrub }) => scrub.findings.length);
  add(
    'scrub_end_timestamp_seconds',
    'When the last scrub was through; 0: it is not.',
    ({ scrub }) => scrub.endedAt / 1000,
  );
  add('volumes_suspended', 'Volumes whose metadata or data cannot be reached.', ({ volumes }) =>
    offline(volumes),
  );
  add('snapshots_broken', 'Snapshots that lost their content: delete them.', ({ snapshots }) =>
    offline(snapshots),
  );
}

type OfVolume = (name: string, help: string, value: (volume: VolumeInfo, seen: Seen) => number) => void;

function addVolumes(add: OfVolume): void {
  const snapshotsOf = ({ name }: VolumeInfo, seen: Seen) => seen.snapshotsOf.get(name) ?? [];
  add('volume_size_bytes', 'Size of a volume.', ({ sizeBytes }) => sizeBytes);
  add('volume_allocated_bytes', "What a volume's data takes.", ({ allocatedBytes }) => allocatedBytes);
  add('volume_online', '1 while a volume can be used.', ({ state }) => Number(state === 'online'));
  add('volume_attached', '1 while a volume has a block device.', ({ device }) => Number(device !== ''));
  add('volume_snapshots', 'Snapshots of a volume.', (volume, seen) => snapshotsOf(volume, seen).length);
  add('volume_snapshots_broken', 'Those of them that lost their content.', (volume, seen) =>
    offline(snapshotsOf(volume, seen)),
  );
  add('volume_snapshots_allocated_bytes', 'What the snapshots of a volume take.', (volume, seen) =>
    bytesOf(snapshotsOf(volume, seen)),
  );
}

const INFO_LABELS = ['volume', 'id', 'persistentvolume', 'persistentvolumeclaim', 'namespace', 'state'];

function infoOf({ name, id, labels, state }: VolumeInfo): Series {
  return {
    labels: {
      volume: name,
      id: String(id),
      persistentvolume: labels['csi/pv-name'] ?? '',
      persistentvolumeclaim: labels['csi/pvc-name'] ?? '',
      namespace: labels['csi/pvc-namespace'] ?? '',
      state,
    },
    value: 1,
  };
}

const MAPPING_LABELS = ['mapping', 'source', 'target', 'state'];

function addMappings(add: (name: string, help: string, value: (m: MappingInfo) => number) => void): void {
  add('mapping_size_bytes', 'What a mapping copies, all in all.', ({ totalBytes }) => totalBytes);
  add('mapping_copied_bytes', 'What the target holds itself.', ({ copiedBytes }) => copiedBytes);
  add(
    'mapping_remaining_bytes',
    'What the target does not hold yet.',
    ({ remainingBytes }) => remainingBytes,
  );
  add('mapping_changed_bytes', 'What a sync would copy.', ({ changedBytes }) => changedBytes);
  add('mapping_copy_rate', 'Copy rate, 0 to 150.', ({ copyRate }) => copyRate);
  add(
    'mapping_cut_timestamp_seconds',
    'The instant that the target shows; 0 before the first start.',
    ({ cutAt }) => cutAt / 1000,
  );
  add('mapping_suspended', '1 while a mapping is suspended.', ({ state }) => Number(state === 'suspended'));
}

function addCounters(add: (name: string, help: string, value: (counters: Counters) => number) => void): void {
  add('host_reads', 'Reads of hosts.', (c) => c.hostReads);
  add('host_writes', 'Writes of hosts.', (c) => c.hostWrites);
  add('grains_copied_on_write', 'Grains copied before they were overwritten.', (c) => c.grainsCopiedOnWrite);
  add('grains_copied_in_background', 'Grains copied in the background.', (c) => c.grainsCopiedInBackground);
  add('grains_cleaned', 'Grains given to those who read through a volume that left.', (c) => c.grainsCleaned);
  add('log_commits', 'Commits of the undo log.', (c) => c.logCommits);
  add('cuts', 'Cuts: snapshots, clones, starts and syncs.', (c) => c.cuts);
}

function addPauses(add: Single): void {
  const seconds = (us: number) => us / 1e6;
  add('cut_pause_longest_seconds', 'The longest that a cut held back host writes.', ({ counters }) =>
    seconds(counters.longestPauseUs),
  );
  add('cut_pause_last_seconds', 'How long the last cut held back host writes.', ({ counters }) =>
    seconds(counters.lastPauseUs),
  );
}

/** What the supervisor told this engine process when it started it. */
function addLives(registry: Registry, { restarts, last }: Lives): void {
  new Counter({
    name: 'flashcopy_engine_restarts_total',
    help: 'How often the supervisor had to start the engine process again.',
    registers: [registry],
  }).inc(restarts);
  const restarted = new Gauge({
    name: 'flashcopy_engine_last_restart_timestamp_seconds',
    help: 'When the engine process last ended unasked, and by what.',
    labelNames: ['reason'],
    registers: [registry],
  });
  if (last !== undefined) restarted.set({ reason: last.reason }, last.at / 1000);
}
