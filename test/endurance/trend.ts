/**
 * Whether something grows for good, told from samples that come and go.
 *
 * The slope of the least-squares line through the samples after a warm-up, per hour. What scatters gives a slope by chance:
 * its standard error says how much. A thing grows if even the lower bound of its slope is above what it may grow. The error
 * is that of samples of which each resembles the one before (work under way, caches): it is widened by their correlation, else
 * a slow swing would be taken for growth.
 */
export type Sample = { hours: number; value: number };

export type Trend = {
  /** Per hour. */
  slope: number;
  /** The least that it grows by, with near certainty. */
  atLeast: number;
  samples: number;
};

/** Of the time: caches fill, pools of memory come to their size. */
const WARM_UP_PART = 0.25;
export const SAMPLES_MIN = 12;
/** Standard errors below the slope: of ten thousand flat series hardly one lies outside. */
const ERRORS = 4;
/** More would make the error boundless. */
const CORRELATION_MAX = 0.9;

/** Undefined: too few samples to tell. */
export function trendOf(all: readonly Sample[]): Trend | undefined {
  const [begin, end] = [all[0]?.hours ?? 0, all.at(-1)?.hours ?? 0];
  const samples = all.filter(({ hours }) => hours >= begin + (end - begin) * WARM_UP_PART);
  const n = samples.length;
  if (n < SAMPLES_MIN) return undefined;
  const meanHours = mean(samples.map(({ hours }) => hours));
  const meanValue = mean(samples.map(({ value }) => value));
  const spread = sum(samples.map(({ hours }) => (hours - meanHours) ** 2));
  const slope = sum(samples.map(({ hours, value }) => (hours - meanHours) * (value - meanValue))) / spread;
  const left = samples.map(({ hours, value }) => value - meanValue - slope * (hours - meanHours));
  const squares = sum(left.map((each) => each ** 2));
  const error = Math.sqrt(squares / (n - 2) / spread) * widening(left, squares);
  return { slope, atLeast: slope - ERRORS * error, samples: n };
}

/** By how much neighbours that resemble each other make the error larger than it looks. */
function widening(left: readonly number[], squares: number): number {
  if (squares === 0) return 1;
  const products = sum(left.slice(1).map((each, i) => each * left[i]!));
  const correlation = Math.min(CORRELATION_MAX, Math.max(0, products / squares));
  return Math.sqrt((1 + correlation) / (1 - correlation));
}

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;
