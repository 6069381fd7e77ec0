/**
 * The control operations of a random history: when each can be tried, what it does to the model, which refusals are
 * right, and how to tell after a crash whether it happened.
 *
 * Who may run beside whom, for one volume: it is exchanged (start, sync, stop), or it is owned (deleted, grown) by one
 * operation at a time. While it is exchanged nothing else is cut from it.
 */
import type { CloneVolume, CreateSnapshot, CreateVolume } from '../../src/base/model.ts';
import type { Core } from '../../src/core/core.ts';
import type { CoreVolumeInfo } from '../../src/core/info.ts';
import type { Plan } from '../../src/core/ops.ts';
import type { History, View } from './history.ts';
import {
  answerMapping,
  askMapping,
  type Cell,
  Instant,
  type ModelMapping,
  ModelVolume,
  PENDING,
  Unknown,
  type Watch,
} from './model.ts';
import { allocatedPages, checkAllocated } from './ranges-check.ts';
import { BLOCK } from './sim-file.ts';

/** `powerLost`: with the power or without, what memory knew of a cut that was not reported is lost. */
type Outcome = { result: unknown; view: View; powerLost: boolean };

export type Control = {
  kind: string;
  name: string;
  /** Error codes that are an answer and no failure. */
  refusals: readonly string[];
  plan(core: Core): Plan<unknown>;
  begin(): void;
  /** It happened. */
  done(outcome: Outcome): void;
  /** It did not. */
  undone(): void;
  /** In any case, last. */
  release(): void;
  /** Asked after a crash. */
  happened(view: View): boolean;
};

const RATES = [0, 0, 30, 50, 150] as const;

const weights = {
  createVolume: 6,
  snapshots: 22,
  clone: 10,
  createMapping: 12,
  prepare: 3,
  start: 16,
  sync: 22,
  stop: 4,
  deleteMapping: 4,
  rate: 6,
  grow: 5,
  deleteVolume: 14,
  repeat: 2,
  allocated: 4,
};

/** A control operation that makes sense now, or null. */
export function nextControl(h: History): Control | null {
  const volumes = [...h.model.volumes.values()];
  const { volumesMax } = h.shape;
  if (volumes.filter((volume) => !volume.readOnly).length < 2) return createVolume(h);
  const kind =
    volumes.length >= volumesMax && h.random.chance(h.shape.deletesWhenFull)
      ? 'deleteVolume'
      : h.random.weighted({ ...weights, ...h.shape.weights });
  if (volumes.length >= volumesMax && (kind === 'createVolume' || kind === 'clone' || kind === 'snapshots'))
    return null;
  return makers[kind](h);
}

const makers: Record<keyof typeof weights, (h: History) => Control | null> = {
  createVolume,
  snapshots,
  clone,
  createMapping,
  prepare,
  start,
  sync,
  stop: (h) => end(h, 'stop'),
  deleteMapping: (h) => end(h, 'deleteMapping'),
  rate,
  grow,
  deleteVolume,
  repeat,
  allocated,
};

const nothing = (): void => {};

function simple(kind: string, name: string, plan: Control['plan'], rest: Partial<Control> = {}): Control {
  return {
    kind,
    name: `${kind} ${name}`,
    refusals: [],
    plan,
    begin: nothing,
    done: nothing,
    undone: nothing,
    release: nothing,
    happened: () => false,
    ...rest,
  };
}

const some = (h: History, fits: (volume: ModelVolume) => boolean): ModelVolume | null => {
  const fitting = [...h.model.volumes.values()].filter((volume) => !volume.dying && fits(volume));
  return fitting.length === 0 ? null : h.random.pick(fitting);
};

const isSource = (volume: ModelVolume): boolean =>
  !volume.offline && !volume.unspecified && volume.exchanges % 2 === 0;

function createVolume(h: History): Control {
  const name = h.freshName('v');
  const grainsMax = h.shape.grainsMax(h.grain);
  const grains = h.random.between(Math.min(4, Math.ceil(grainsMax / 2)), grainsMax);
  // Sometimes the last grain is not whole.
  const short = h.grain > BLOCK && h.random.chance(0.3) ? h.random.int(h.grain / BLOCK) * BLOCK : 0;
  const sizeBytes = grains * h.grain - short;
  const provisioning = h.random.chance(0.2) ? 'thick' : 'thin';
  return creationOf(h, { name, sizeBytes, grainBytes: h.grain, provisioning });
}

export function creationOf(h: History, request: CreateVolume): Control {
  const { name, sizeBytes } = request;
  return simple('createVolume', `${name} ${sizeBytes}`, (core) => core.createVolume(request), {
    done: () => add(h, name, sizeBytes / BLOCK, false),
    happened: (view) => view.volumes.has(name),
  });
}

function add(h: History, name: string, blocks: number, readOnly: boolean, cells?: Cell[]): ModelVolume {
  const content = cells ?? new Array<number>(blocks).fill(0);
  const volume = new ModelVolume(name, h.grain, readOnly, content);
  h.model.volumes.set(name, volume);
  return volume;
}

/** A cut of one volume as it is asked for; what it shows is known when it is answered. */
class CutWatch {
  private readonly source: ModelVolume;
  private readonly watch: Watch;
  constructor(source: ModelVolume) {
    this.source = source;
    source.cutting++;
    this.watch = source.watch();
  }

  cells(blocks: number, instant: Instant): Cell[] {
    return ModelVolume.cellsAt(this.watch, blocks, instant);
  }

  /** The power went before the cut was reported. */
  looseCells(blocks: number): Cell[] {
    return Array.from({ length: blocks }, (_, b) => {
      if (b >= this.source.blocks) return 0;
      const writes = this.watch.writes.get(b) ?? [];
      const others = this.source.afterPowerLoss(b).map((tag) => ({ tag, submittedAt: 0, endedAt: PENDING }));
      return new Unknown(this.watch.before[b] ?? 0, [...writes, ...others], null);
    });
  }

  end(): void {
    this.source.cutting--;
    this.source.unwatch(this.watch);
  }
}

/** Several cuts at one instant. */
class Cuts {
  readonly from: number;
  /** Of each source, when the cut was asked for. */
  readonly exchanges: number[];
  private readonly h: History;
  private readonly watches: CutWatch[];
  private instant: Instant | null = null;
  constructor(h: History, sources: ModelVolume[]) {
    this.h = h;
    this.from = h.model.tick();
    this.exchanges = sources.map((source) => source.exchanges);
    this.watches = sources.map((source) => new CutWatch(source));
  }

  cells(what: string, i: number, blocks: number, outcome: Outcome): Cell[] {
    if (outcome.powerLost) return this.watches[i]!.looseCells(blocks);
    this.instant ??= new Instant(what, this.from, this.h.model.tick());
    return this.watches[i]!.cells(blocks, this.instant);
  }

  end(): void {
    for (const watch of this.watches) watch.end();
  }
}

function snapshots(h: History): Control | null {
  const sources: ModelVolume[] = [];
  for (let n = h.random.weighted({ 1: 60, 2: 30, 3: 10 }); sources.length < Number(n); ) {
    const source = some(h, (volume) => isSource(volume) && !sources.includes(volume));
    if (source === null) break;
    sources.push(source);
  }
  if (sources.length === 0) return null;
  const requests = sources.map((source) => ({
    name: h.freshName('s'),
    source: source.name,
    copyRate: h.random.pick(RATES),
  }));
  return snapshotsOf(h, sources, requests);
}

export function snapshotsOf(h: History, sources: ModelVolume[], requests: CreateSnapshot[]): Control {
  const names = requests.map((r) => `${r.name} of ${r.source}`).join(', ');
  let cuts: Cuts;
  return simple('snapshots', names, (core) => core.createSnapshots(requests), {
    refusals: sources.every((s) => s.growing) ? [] : ['VolumeNotFound'],
    begin: () => {
      cuts = new Cuts(h, sources);
    },
    done: (outcome) => {
      requests.forEach((request, i) => {
        const info = outcome.view.volumes.get(request.name);
        if (info === undefined) throw new Error(`snapshot ${request.name} was answered and is not there`);
        const blocks = info.sizeBytes / BLOCK;
        const volume = add(h, request.name, blocks, true, cuts.cells(names, i, blocks, outcome));
        volume.loose = outcome.powerLost;
        const { from, exchanges } = cuts;
        volume.cut = { of: sources[i]!, from, to: h.model.tick(), exchanges: exchanges[i]! };
      });
    },
    release: () => cuts.end(),
    happened: (view) => {
      const there = requests.filter((request) => view.volumes.has(request.name)).length;
      if (there !== 0 && there !== requests.length) throw new Error(`half a consistency group: ${names}`);
      return there > 0;
    },
  });
}

function someForClone(h: History): ModelVolume | null {
  const { cascades } = h.shape;
  const targets = cascades > 0 && h.random.chance(cascades);
  const target = targets ? some(h, (v) => isSource(v) && h.model.mappingTo(v.name) !== undefined) : null;
  return target ?? some(h, isSource);
}

function clone(h: History): Control | null {
  const source = someForClone(h);
  if (source === null) return null;
  const name = h.freshName('c');
  const incremental = h.random.chance(h.shape.incremental);
  const sizeBytes = h.random.chance(0.3)
    ? (source.blocks + h.random.between(1, h.shape.cloneExtraMax)) * BLOCK
    : 0;
  return cloneOf(h, source, { name, sizeBytes, copyRate: h.random.pick(RATES), incremental });
}

type Clone = Required<Pick<CloneVolume, 'name' | 'sizeBytes' | 'copyRate' | 'incremental'>>;

export function cloneOf(h: History, source: ModelVolume, request: Clone): Control {
  const { name, incremental } = request;
  let cuts: Cuts;
  return simple('clone', `${name} of ${source.name}`, (core) => core.cloneVolume(source.name, request), {
    // It may be growing past the size that was asked for, or on its way out.
    refusals: ['VolumeNotFound', 'InvalidArgument'],
    begin: () => {
      cuts = new Cuts(h, [source]);
    },
    done: (outcome) => {
      const blocks = (outcome.view.volumes.get(name) as CoreVolumeInfo).sizeBytes / BLOCK;
      const volume = add(h, name, blocks, false, cuts.cells(`clone ${name}`, 0, blocks, outcome));
      volume.loose = outcome.powerLost;
      const ends = { name, source: source.name, target: name, incremental };
      const rates = [request.copyRate];
      h.model.mappings.set(name, { ...ends, started: true, told: 'started', busy: 0, rates });
    },
    release: () => cuts.end(),
    happened: (view) => view.volumes.has(name),
  });
}

function createMapping(h: History): Control | null {
  const source = some(h, isSource);
  const target = some(h, (volume) => !volume.readOnly && volume !== source);
  if (source === null || target === null) return null;
  const name = h.freshName('m');
  const incremental = h.random.chance(0.7);
  const request = {
    name,
    source: source.name,
    target: target.name,
    copyRate: h.random.pick(RATES),
    incremental,
  };
  return simple(
    'createMapping',
    `${name} ${source.name} to ${target.name}`,
    (core) => core.createMapping(request),
    {
      refusals: ['InvalidArgument', 'TargetInUse', 'VolumeNotFound', 'WrongState'],
      done: () => {
        const ends = { name, source: source.name, target: target.name, incremental };
        const rates = [request.copyRate];
        if (h.model.volumes.has(source.name) && h.model.volumes.has(target.name))
          h.model.mappings.set(name, { ...ends, started: false, told: 'idle', busy: 0, rates });
      },
      happened: (view) => view.mappings.has(name),
    },
  );
}

const someMapping = (h: History, fits: (mapping: ModelMapping) => boolean): ModelMapping | null => {
  const fitting = [...h.model.mappings.values()].filter(fits);
  return fitting.length === 0 ? null : h.random.pick(fitting);
};

const MAPPING_REFUSALS = [
  'WrongState',
  'MappingNotFound',
  'VolumeNotFound',
  'InvalidArgument',
  'TargetInUse',
  'Suspended',
];

function prepare(h: History): Control | null {
  const mapping = someMapping(h, (m) => !m.started);
  if (mapping === null) return null;
  let told: 'prepared' | null = null;
  return simple('prepare', mapping.name, (core) => core.prepareMapping(mapping.name), {
    refusals: MAPPING_REFUSALS,
    begin: () => askMapping(mapping),
    done: () => {
      told = 'prepared';
    },
    undone: () => {
      told = null;
    },
    release: () => answerMapping(mapping, told),
  });
}

/** Both ends are there, the target is nobody else's business now, and the source is not being exchanged. */
function canExchange(h: History, mapping: ModelMapping): boolean {
  const target = h.model.volumes.get(mapping.target);
  const source = h.model.volumes.get(mapping.source);
  if (target === undefined || source === undefined) return false;
  return isFreeTarget(target) && isSource(source);
}

const isFreeTarget = (target: ModelVolume): boolean =>
  !target.dying && !target.growing && target.cutting === 0 && target.exchanges % 2 === 0;

function start(h: History): Control | null {
  const mappings: ModelMapping[] = [];
  for (let n = h.random.weighted({ 1: 70, 2: 30 }); mappings.length < Number(n); ) {
    const free = (m: ModelMapping): boolean =>
      !mappings.some((o) => [o.source, o.target].some((name) => name === m.source || name === m.target));
    const mapping = someMapping(
      h,
      (m) => canExchange(h, m) && free(m) && (!m.started || h.random.chance(0.2)),
    );
    if (mapping === null) break;
    mappings.push(mapping);
  }
  if (mappings.length === 0) return null;
  const names = mappings.map((mapping) => mapping.name);
  return exchange(h, 'start', mappings, (core) => core.startMappings(names));
}

function sync(h: History): Control | null {
  const mapping = someMapping(h, (m) => canExchange(h, m) && (m.incremental || h.random.chance(0.05)));
  if (mapping === null) return null;
  return syncOf(h, mapping);
}

export const syncOf = (h: History, mapping: ModelMapping): Control =>
  exchange(h, 'sync', [mapping], (core) => core.syncMapping(mapping.name));

/** The targets show another instant afterwards: start or sync. */
function exchange(h: History, kind: string, mappings: ModelMapping[], plan: Control['plan']): Control {
  const sources = mappings.map((mapping) => h.model.volumes.get(mapping.source)!);
  const targets = mappings.map((mapping) => h.model.volumes.get(mapping.target)!);
  const name = mappings.map((mapping) => `${mapping.name} ${mapping.source} to ${mapping.target}`).join(', ');
  let cuts: Cuts;
  let own: Watch[];
  let before: View;
  let told: 'started' | null = null;
  const sourceBlocks = sources.map((source) => source.blocks);
  return simple(kind, name, plan, {
    refusals: MAPPING_REFUSALS,
    begin: () => {
      cuts = new Cuts(h, sources);
      own = targets.map((target) => target.watch());
      before = h.view();
      for (const target of targets) target.exchanges++;
      for (const mapping of mappings) askMapping(mapping);
    },
    done: (outcome) => {
      told = 'started';
      targets.forEach((target, i) => {
        const cells = cuts.cells(`${kind} ${name}`, i, target.blocks, outcome);
        // Behind the source's end a start leaves zeros; a sync may leave the target's own writes.
        const kept = kind === 'sync' ? sourceBlocks[i]! : target.blocks;
        target.replace(cells, own[i]!, kept, h.model.tick());
        target.offline = false;
        target.unspecified = false;
        target.loose = outcome.powerLost;
        mappings[i]!.started = true;
      });
    },
    undone: () => {
      told = null;
    },
    release: () => {
      cuts.end();
      targets.forEach((target, i) => {
        target.unwatch(own[i]!);
        target.exchanges++;
      });
      for (const mapping of mappings) answerMapping(mapping, told);
    },
    happened: (view) => {
      const there = mappings.filter((mapping, i) => {
        const target = targets[i]!.name;
        // A started target has another file; a mapping that has ended meanwhile tells nothing.
        if (kind === 'start') return view.volumes.get(target)?.file !== before.volumes.get(target)?.file;
        const info = view.mappings.get(mapping.name);
        targets[i]!.unspecified ||= info === undefined;
        return info !== undefined && info.cutAt !== before.mappings.get(mapping.name)?.cutAt;
      }).length;
      if (there !== 0 && there !== mappings.length) throw new Error(`half a group was started: ${name}`);
      return there > 0;
    },
  });
}

/** Stop a mapping, or delete it with force. A target that was not complete has no content any more. */
function end(h: History, kind: 'stop' | 'deleteMapping'): Control | null {
  const mapping = someMapping(h, (m) => {
    const target = h.model.volumes.get(m.target);
    return target !== undefined && isFreeTarget(target) && (m.started || h.random.chance(0.2));
  });
  return mapping === null ? null : endOf(h, kind, mapping);
}

export function endOf(h: History, kind: 'stop' | 'deleteMapping', mapping: ModelMapping): Control {
  const target = h.model.volumes.get(mapping.target)!;
  let complete = false;
  let told: 'stopped' | null = null;
  const plan: Control['plan'] = (core) =>
    kind === 'stop' ? core.stopMapping(mapping.name) : core.deleteMapping(mapping.name, true);
  const look = (view: View): void => {
    const info = view.volumes.get(target.name)!;
    target.unspecified ||= !complete && kind === 'deleteMapping' && !view.mappings.has(mapping.name);
    target.offline = info.state !== 'online';
    if (target.offline && complete)
      throw new Error(`${target.name} was complete and lost its content: ${info.error}`);
  };
  return simple(kind, `${mapping.name} ${mapping.source} to ${mapping.target}`, plan, {
    refusals: MAPPING_REFUSALS,
    begin: () => {
      target.exchanges++;
      askMapping(mapping);
      const info = h.view().mappings.get(mapping.name);
      const whole = info === undefined || info.state === 'stopped' || info.remainingBytes === 0;
      complete = !target.offline && (whole || !mapping.started);
    },
    done: ({ view }) => {
      look(view);
      if (kind === 'stop') told = 'stopped';
      if (kind === 'deleteMapping') h.model.deleteMapping(mapping.name);
    },
    undone: () => {
      told = null;
      look(h.view());
    },
    release: () => {
      target.exchanges++;
      answerMapping(mapping, told);
    },
    happened: (view) => kind === 'deleteMapping' && !view.mappings.has(mapping.name),
  });
}

function rate(h: History): Control | null {
  const mapping = someMapping(h, () => true);
  return mapping === null ? null : rateOf(mapping, h.random.pick(RATES));
}

export function rateOf(mapping: ModelMapping, copyRate: number): Control {
  const others = mapping.rates;
  return simple('rate', `${mapping.name} ${copyRate}`, (core) => core.setCopyRate(mapping.name, copyRate), {
    refusals: ['MappingNotFound'],
    begin: () => {
      mapping.rates = [...others, copyRate];
    },
    // While two are under way either may be the last.
    done: () => {
      if (mapping.rates.length === 2) mapping.rates = [copyRate];
    },
    undone: () => {
      if (mapping.rates.length === 2) mapping.rates = others;
    },
    happened: (view) => view.mappings.get(mapping.name)?.copyRate === copyRate,
  });
}

function grow(h: History): Control | null {
  const volume = some(
    h,
    (v) => !v.readOnly && !v.growing && v.exchanges % 2 === 0 && v.blocks < h.shape.growMax,
  );
  if (volume === null) return null;
  const blocks = volume.blocks + h.random.between(1, (4 * h.grain) / BLOCK);
  return simple(
    'grow',
    `${volume.name} to ${blocks * BLOCK}`,
    (core) => core.growVolume(volume.name, blocks * BLOCK),
    {
      begin: () => {
        volume.growing = true;
      },
      done: () => volume.grow(blocks),
      release: () => {
        volume.growing = false;
      },
      happened: (view) => view.volumes.get(volume.name)?.sizeBytes === blocks * BLOCK,
    },
  );
}

function deleteVolume(h: History): Control | null {
  const volume = some(h, (v) => !v.growing && v.exchanges % 2 === 0);
  return volume === null ? null : deletionOf(h, volume);
}

export function deletionOf(h: History, volume: ModelVolume): Control {
  const plan: Control['plan'] = (core) =>
    volume.readOnly ? core.deleteSnapshot(volume.name) : core.deleteVolume(volume.name);
  return simple('delete', volume.name, plan, {
    begin: () => {
      volume.dying = true;
    },
    done: () => h.model.forget(volume.name),
    undone: () => {
      volume.dying = false;
    },
    happened: (view) => !view.volumes.has(volume.name),
  });
}

/** The same request again gets what is there. */
function repeat(h: History): Control | null {
  const volume = some(h, (v) => !v.readOnly && v.name.startsWith('v') && !v.growing);
  if (volume === null) return null;
  const info = h.view().volumes.get(volume.name)!;
  const { name, sizeBytes, grainBytes, provisioning } = info;
  return simple('repeat', name, (core) => core.createVolume({ name, sizeBytes, grainBytes, provisioning }), {
    // As a target it is somebody's copy, which a plain request does not ask for.
    refusals: ['AlreadyExists'],
    done: ({ result }) => {
      if ((result as CoreVolumeInfo).id !== info.id) throw new Error(`${name} was made a second time`);
    },
  });
}

/** Where a snapshot has data, asked while everything goes on. */
function allocated(h: History): Control | null {
  const volume = some(h, (v) => v.readOnly);
  if (volume === null) return null;
  return simple('allocated', volume.name, (core) => allocatedPages(core, h, volume), {
    refusals: ['VolumeNotFound'],
    done: ({ result }) => {
      if (result !== null) checkAllocated(volume, result as Parameters<typeof checkAllocated>[1]);
    },
  });
}
