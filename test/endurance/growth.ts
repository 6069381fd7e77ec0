/**
 * What a soak's processes and pools may have more of from hour to hour, and whether they do.
 *
 * What is of one process is measured anew when another takes its place: it is told of each process that lived long enough.
 */
import { MiB } from '../support/disks.ts';
import { SAMPLES_MIN, type Sample, type Trend, trendOf } from './trend.ts';

/**
 * More than this in an hour is growth. A heap's pages are given back late, and the load makes and deletes volumes by chance:
 * a little is no leak that a day would show.
 */
export const LIMITS = {
  supervisorBytes: 16 * MiB,
  supervisorFds: 0.5,
  engineBytes: 16 * MiB,
  engineFds: 4,
  files: 16,
  fullDiskBytes: 8 * MiB,
};

export type Measured = keyof typeof LIMITS;
/** What there is of each at one time. */
export type Measures = Record<Measured, number>;

/** In less time, what fills once looks like what grows for good. */
export const HOURS_MIN = 0.3;

/** `limit`: per hour. */
export function isGrowing(samples: readonly Sample[], limit: number): boolean {
  const trend = trendFor(samples);
  return trend !== undefined && trend.atLeast > limit;
}

function trendFor(samples: readonly Sample[]): Trend | undefined {
  const hours = (samples.at(-1)?.hours ?? 0) - (samples[0]?.hours ?? 0);
  return hours < HOURS_MIN ? undefined : trendOf(samples);
}

const OF_ENGINE = ['engineBytes', 'engineFds'] as const;

export class Growth {
  readonly #series = new Map<Measured, Sample[]>();
  #enginePid = 0;

  add(hours: number, enginePid: number, measures: Measures): void {
    if (enginePid !== this.#enginePid) for (const what of OF_ENGINE) this.#series.delete(what);
    this.#enginePid = enginePid;
    for (const what of Object.keys(LIMITS) as Measured[]) {
      const series = this.#series.get(what) ?? [];
      series.push({ hours, value: measures[what] });
      this.#series.set(what, series);
    }
  }

  /** One line for each thing that grows. */
  found(): string[] {
    return this.#all().flatMap(([what, samples]) =>
      isGrowing(samples, LIMITS[what])
        ? [
            `${what} grows by ${shown(what, trendFor(samples)!.slope)} an hour, from ${shown(what, samples[0]!.value)}`,
          ]
        : [],
    );
  }

  /** One line for each thing, with what it grew by, or that nothing can be told. */
  told(): string[] {
    return this.#all().map(([what, samples]) => {
      const trend = trendFor(samples);
      if (trend === undefined)
        return `${what}: no trend without ${SAMPLES_MIN} samples in ${HOURS_MIN * 60} minutes of one process`;
      const [slope, atLeast, limit] = [trend.slope, trend.atLeast, LIMITS[what]].map((each) =>
        shown(what, each),
      );
      return `${what}: ${slope} an hour, surely ${atLeast}, allowed ${limit} (${trend.samples} samples)`;
    });
  }

  #all(): [Measured, Sample[]][] {
    return [...this.#series];
  }
}

function shown(what: Measured, value: number): string {
  return what.endsWith('Bytes') ? `${(value / MiB).toFixed(1)} MiB` : value.toFixed(1);
}
