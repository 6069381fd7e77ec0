/** Parts of a status that all custom resources have in common, and whether it is another than before. */
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../kube/objects.ts';

export type Condition = {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  observedGeneration?: number;
  lastTransitionTime: string;
  reason: string;
  message: string;
};
/** What is the case; since when is found by looking at what was the case before. */
export type Finding = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

export const timeText = (milliseconds: number): string =>
  new Date(milliseconds).toISOString().replace(/\.\d+/, '');

/** Others' conditions stay. */
export function conditionsWith(
  before: readonly Condition[] = [],
  findings: readonly Finding[],
  generation: number | undefined,
  now: number,
): Condition[] {
  const fresh = findings.map((finding): Condition => {
    const same = before.find(({ type }) => type === finding.type);
    const since = same?.status === finding.status ? same.lastTransitionTime : timeText(now);
    return {
      ...finding,
      ...(generation !== undefined && { observedGeneration: generation }),
      lastTransitionTime: since,
    };
  });
  return [...before.filter(({ type }) => !fresh.some((each) => each.type === type)), ...fresh];
}

/** Without the fields that are undefined, as the API server keeps it. */
export function plain<Status extends object>(status: Status): Status {
  return JSON.parse(JSON.stringify(status)) as Status;
}

export function differs(before: object | undefined, after: object): boolean {
  return !isDeepStrictEqual(before ?? {}, plain(after));
}

/** Whole percents, 100 only when it is everything. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return '100%';
  return `${Math.min(100, Math.floor((part * 100) / whole))}%`;
}

/** "namespace/name", the key of a work queue. */
export const keyOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** Of a text that the schema lets through, like 1h30m. */
export function durationMs(text: string): number {
  let total = 0;
  for (const [, number, unit] of text.matchAll(/([0-9.]+)(s|m|h)/g)) total += Number(number) * UNITS[unit!]!;
  return total;
}
