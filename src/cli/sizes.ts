/**
 * Sizes and rates as people write and read them. Units are Kubernetes': Ki, Mi, Gi, Ti, Pi are powers of 1024, and
 * k, M, G, T, P powers of 1000. Nothing is rounded silently on the way in.
 */
import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50,
}; // biome-ignore format: a table

const SHOWN = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi'];

export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kKMGTP]i?)?B?$/.exec(text);
  const unit = UNITS[match?.[2] ?? ''];
  if (!match || unit === undefined) {
    throw new InvalidArgumentError('Write a size like 4096, 512Mi, 10Gi or 1T.');
  }
  const bytes = Number(match[1]) * unit;
  if (!Number.isSafeInteger(bytes))
    throw new InvalidArgumentError('It is not a whole number of bytes below 8Pi.');
  return bytes;
}

export function parseRate(text: string): number {
  const rate = Number(text);
  if (/^\d+$/.test(text) && rate <= 150) return rate;
  throw new InvalidArgumentError(
    'A copy rate is 0 (no background copy) to 150: 10 is 128 KiB/s, every further ten doubles it, 50 is 2 MiB/s.',
  );
}

/** At most one decimal: 10Gi, 1.5Gi, 4Ki, 512. */
export function showSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < SHOWN.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toFixed(1))}${SHOWN[unit]}`;
}

export function showTime(milliseconds: number): string {
  return milliseconds === 0 ? '-' : new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Rounded down, so that 100 means done. */
export function showPercent(part: number, whole: number): string {
  return `${whole === 0 ? 100 : Math.floor((part / whole) * 100)}%`;
}
