/**
 * When a FlashCopySchedule is due, what its objects are called, and which of them are too many. No I/O here.
 *
 * Runs that were missed become one: the latest. What a run makes has names that follow from the schedule and its time, so
 * a run that is made twice makes the same objects.
 */
import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import type { FlashCopySchedule } from './resources.ts';

const NAME_MAX = 253;

export type Due = {
  /** The latest time up to now that nothing was decided about yet. */
  dueAt: number | undefined;
  /** Why nothing is made then. */
  leftOut: 'suspended' | 'too late' | undefined;
  nextAt: number | undefined;
};

/** Throws what is wrong with the schedule or the time zone. */
export function cronOf({ spec }: FlashCopySchedule): Cron {
  return new Cron(spec.schedule, {
    timezone: spec.timeZone,
    paused: true,
    ...(!spec.schedule.startsWith('@') && { mode: '5-part' }),
  });
}

export function planRun(schedule: FlashCopySchedule, now: number): Due {
  const { spec, status, metadata } = schedule;
  const cron = cronOf(schedule);
  const since = Date.parse(status?.decidedTime ?? metadata.creationTimestamp);
  // Runs are on full seconds; one of this very second is due.
  const latest = cron.previousRuns(1, new Date(Math.floor(now / 1000) * 1000 + 1000))[0]?.getTime();
  const nextAt = cron.nextRun(new Date(now))?.getTime();
  const dueAt = latest !== undefined && latest > since && latest <= now ? latest : undefined;
  return { dueAt, leftOut: dueAt === undefined ? undefined : reasonToLeaveOut(spec, dueAt, now), nextAt };
}

function reasonToLeaveOut(
  { suspend, startingDeadlineSeconds }: FlashCopySchedule['spec'],
  dueAt: number,
  now: number,
): Due['leftOut'] {
  if (suspend) return 'suspended';
  const isLate = startingDeadlineSeconds !== undefined && now - dueAt > startingDeadlineSeconds * 1000;
  return isLate ? 'too late' : undefined;
}

/** "nightly-db-20260102-0300", of UTC; one that would be too long ends with a hash of it all. */
export function nameOfRun(schedule: string, claim: string | undefined, dueAt: number): string {
  const stamp = new Date(dueAt).toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 13);
  const name = [schedule, claim, stamp].filter((part) => part !== undefined).join('-');
  if (name.length <= NAME_MAX) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 10);
  // No part between dots may end with a hyphen or begin with one.
  return `${name.slice(0, NAME_MAX - stamp.length - 12).replace(/[.-]+$/, '')}-${hash}-${stamp}`;
}

/**
 * What its object of a run can be called. The first one, which people read, may be another schedule's: "db" of the claim
 * "prod-data" and "db-prod" of "data". The second one is nobody else's.
 */
export function namesOfRun(schedule: string, claim: string | undefined, dueAt: number): [string, string] {
  const hash = createHash('sha256')
    .update(`${schedule}/${claim ?? ''}`)
    .digest('hex')
    .slice(0, 10);
  const apart = claim === undefined ? hash : `${claim}-${hash}`;
  return [nameOfRun(schedule, claim, dueAt), nameOfRun(schedule, apart, dueAt)];
}

/** Something that a schedule made. `good`: a snapshot that can be restored, a sync that is over. */
export type Made = { name: string; createdAt: number; good: boolean };
export type Retention = { keepLast: number; maxAgeMs: number | undefined };

/**
 * Those that are to be deleted, of one claim. What is no good never counts as one of those that are kept, and the newest
 * good one stays whatever its age: there is never less than there was to go back to.
 */
export function surplus(made: readonly Made[], { keepLast, maxAgeMs }: Retention, now: number): Made[] {
  let good = 0;
  return [...made]
    .sort((a, b) => b.createdAt - a.createdAt || (a.name < b.name ? 1 : -1))
    .filter((each) => {
      const isTooOld = maxAgeMs !== undefined && now - each.createdAt > maxAgeMs;
      const isExtra = good >= keepLast || (isTooOld && good > 0);
      if (each.good) good += 1;
      return isExtra;
    });
}
