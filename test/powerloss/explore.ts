/**
 * The power-loss simulator: a random history on the simulated machine, and at each moment of it every kind of state that a
 * power cut could leave. A fresh engine recovers each, and all that it shows is compared with what the host was told.
 *
 * A state is what the files that the catalog names and the catalog hold when the power is back, and which other files there
 * are. The same state of the same history is counted once, however often it comes up; it is looked at again only when the host
 * was told something new.
 *
 * From some states the engine recovers as slowly as a real one, with its background work, and the power is cut again at each
 * moment of that, and again from there.
 */
import { type History, runHistory } from '../sim/history.ts';
import { Random } from '../sim/random.ts';
import { scenarioNamed } from '../sim/scenarios.ts';
import { CHAINED, COARSE, MANY, RESTORE, type Shape, SMALL } from '../sim/shape.ts';
import type { SimDisk } from '../sim/sim-disk.ts';
import { SimFile } from '../sim/sim-file.ts';
import { SimWorld, WORDS_FEW } from '../sim/sim-world.ts';
import { textKey } from './digest.ts';
import type { Image } from './image.ts';
import { StateMachine } from './machine.ts';
import { Moment, type Survival } from './moment.ts';

export type ExploreOptions = {
  seed: number;
  /** Host I/Os and control operations of the history. */
  operations?: number;
  /** The name of one that is written out, instead. */
  scenario?: string;
  /** Only this state and what leads to it, as a violation names it. */
  only?: string;
  /** No more states than this. */
  statesMax?: number;
};

export type ExploreReport = {
  /** Different states by kind of power cut, at its first, second ... time. */
  kinds: Map<string, number>;
  depths: number[];
  moments: number;
  /** Looked at, also more than once. */
  compared: number;
};

const OPERATIONS = 60;
const CHAINED_ONE_IN = 4;
/** Of so many seeds these have shapes of their own. */
const SHAPES_IN = 16;
const SHAPES: Readonly<Record<number, Shape>> = { 5: MANY, 7: RESTORE, 13: COARSE };
/** One state of so many is recovered slowly: of those at the first power cut, and at the second. Few lead to many. */
const NESTED_ONE_IN = [150, 50];
/** Steps of recovery and what follows it. */
const NESTED_STEPS = 400;

/** Explore one history; throws with the seed and the state at the first violation. */
export function explore(options: ExploreOptions): ExploreReport {
  const report: ExploreReport = { kinds: new Map(), depths: [0, 0, 0], moments: 0, compared: 0 };
  const operations = options.operations ?? OPERATIONS;
  const scenario = options.scenario === undefined ? undefined : scenarioNamed(options.scenario);
  const which = scenario === undefined ? `--operations ${operations}` : `--scenario "${scenario.name}"`;
  const command = `npm run test:powerloss -- --seed ${options.seed} ${which}`;
  try {
    runHistory({
      seed: options.seed,
      operations,
      ...(scenario !== undefined && { scenario }),
      shape: shapeOf(options.seed),
      replay: command,
      prepare: (history) => new Explorer(history, report, options).begin(),
    });
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
  return report;
}

const shapeOf = (seed: number): Shape =>
  SHAPES[seed % SHAPES_IN] ?? (seed % CHAINED_ONE_IN === 0 ? CHAINED : SMALL);

/** As many states as were asked for. */
class Enough extends Error {}

class Explorer {
  private readonly history: History;
  private readonly report: ExploreReport;
  private readonly options: ExploreOptions;
  /** Digest of a state -> what the host had been told when it was looked at. */
  private readonly seen = new Map<number, number>();
  private states = 0;

  constructor(history: History, report: ExploreReport, options: ExploreOptions) {
    this.history = history;
    this.report = report;
    this.options = options;
  }

  begin(): void {
    const { disk } = this.history.world;
    let number = 0;
    disk.beforeDurable = () => {
      if (!this.history.ending) this.moment(disk, `${++number}`, 0);
    };
  }

  private moment(disk: SimDisk, label: string, depth: number): void {
    this.report.moments++;
    this.allCuts(new Moment(disk, null), label, depth);
    const { nextCommit } = disk;
    if (nextCommit !== null) this.allCuts(new Moment(disk, nextCommit), `${label} committed`, depth);
  }

  private allCuts(moment: Moment, label: string, depth: number): void {
    for (const cut of moment.cuts()) this.present(moment, cut, `${label} ${cut.label}`, depth);
  }

  private present(moment: Moment, cut: Survival, label: string, depth: number): void {
    const { only, statesMax, seed } = this.options;
    const { report, history } = this;
    if (only !== undefined && only !== label && !only.startsWith(`${label} > `)) return;
    const random = new Random(seed * 2 ** 20 + (textKey(label) >>> 0));
    const found = moment.after(cut, random);
    const told = this.seen.get(found.digest);
    if (told === history.told && only === undefined) return;
    this.seen.set(found.digest, history.told);
    if (told === undefined) this.count(cut, depth);
    report.compared++;
    try {
      history.rehearse(new StateMachine(found.image(), history.world.logBytes), random);
    } catch (error) {
      throw new Error(`power cut at "${label}": ${(error as Error).message}`, { cause: error });
    }
    const oneIn = NESTED_ONE_IN[depth];
    const slowly = oneIn !== undefined && random.int(oneIn) === 0 && told === undefined;
    if (only === undefined ? slowly : only.startsWith(`${label} > `))
      this.again(found.image(), label, depth + 1, random);
    if (statesMax !== undefined && this.states >= statesMax) throw new Enough();
  }

  private count(cut: Survival, depth: number): void {
    const kind = cut.label.replace(/( of)? \d+$/, '');
    const { kinds, depths } = this.report;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    depths[depth] = depths[depth]! + 1;
    this.states++;
  }

  /** Recover from the state with everything in flight, and cut the power at each moment of it. */
  private again(image: Image, label: string, depth: number, random: Random): void {
    const { history } = this;
    let number = 0;
    const world = worldOn(image, random, history.world.logBytes);
    world.disk.beforeDurable = () => this.moment(world.disk, `${label} > ${++number}`, depth);
    let opened = false;
    world.beginOpen(() => {
      opened = true;
    });
    for (let step = 0; step < NESTED_STEPS || !opened; step++) if (!world.runner.advance()) break;
    world.disk.beforeDurable = () => {};
    try {
      history.rehearse(world, random);
    } catch (error) {
      throw new Error(`after the power cut at "${label}" and a while: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

function worldOn(image: Image, random: Random, logBytes: number): SimWorld {
  const world = new SimWorld(random.fork(), logBytes, WORDS_FEW);
  const { disk } = world;
  disk.files.clear();
  for (const [path, file] of image.files) disk.files.set(path, SimFile.durable(file.size, file.blocks()));
  for (const [name, json] of image.catalog) disk.catalog.set(name, json);
  return world;
}
