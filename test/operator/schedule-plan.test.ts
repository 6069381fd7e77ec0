/** When schedules are due and what of what they made is too much (src/operator/schedule-plan.ts). */
import assert from 'node:assert/strict';
import type { FlashCopySchedule } from '../../src/operator/resources.ts';
import { type Made, nameOfRun, namesOfRun, planRun, surplus } from '../../src/operator/schedule-plan.ts';

const at = (text: string) => Date.parse(text);

function schedule(
  spec: Partial<FlashCopySchedule['spec']>,
  decidedTime: string,
  status: FlashCopySchedule['status'] = { decidedTime },
): FlashCopySchedule {
  return {
    metadata: { name: 's', uid: 'u', resourceVersion: '1', creationTimestamp: decidedTime },
    spec: {
      schedule: '0 3 * * *',
      timeZone: 'Etc/UTC',
      suspend: false,
      retention: { keepLast: 7 },
      historyLimit: 10,
      ...spec,
    },
    status,
  };
}

describe('A schedule', () => {
  const nightly = schedule({}, '2026-01-01T03:00:00Z');

  it('is due at its time, not before, and not twice', () => {
    assert.equal(planRun(nightly, at('2026-01-02T02:59:59Z')).dueAt, undefined);
    assert.equal(planRun(nightly, at('2026-01-02T03:00:00Z')).dueAt, at('2026-01-02T03:00:00Z'));
    const done = schedule({}, '2026-01-02T03:00:00Z');
    assert.equal(planRun(done, at('2026-01-02T03:00:00.900Z')).dueAt, undefined);
    assert.equal(planRun(done, at('2026-01-02T12:00:00Z')).nextAt, at('2026-01-03T03:00:00Z'));
  });

  it('that is new is not due for what was before it', () => {
    const young = schedule({}, '2026-01-01T12:00:00Z', {});
    assert.equal(planRun(young, at('2026-01-01T12:00:01Z')).dueAt, undefined);
  });

  it('makes up for runs that were missed once, with the latest one', () => {
    assert.equal(planRun(nightly, at('2026-02-10T10:00:00Z')).dueAt, at('2026-02-10T03:00:00Z'));
  });

  it('leaves out a run that is later than its deadline', () => {
    const strict = schedule({ startingDeadlineSeconds: 600 }, '2026-01-01T03:00:00Z');
    assert.equal(planRun(strict, at('2026-01-02T03:10:00Z')).leftOut, undefined);
    assert.equal(planRun(strict, at('2026-01-02T03:10:01Z')).leftOut, 'too late');
  });

  it('that is suspended decides about its runs, so that they are not made up for', () => {
    const { dueAt, leftOut } = planRun(
      schedule({ suspend: true }, '2026-01-01T03:00:00Z'),
      at('2026-01-02T04:00:00Z'),
    );
    assert.deepEqual([dueAt, leftOut], [at('2026-01-02T03:00:00Z'), 'suspended']);
  });

  it('is meant in its time zone, through changes of the clocks', () => {
    const berlin = { schedule: '30 2 * * *', timeZone: 'Europe/Berlin' };
    const winter = planRun(schedule(berlin, '2026-01-14T12:00:00Z'), at('2026-01-15T12:00:00Z'));
    assert.equal(winter.dueAt, at('2026-01-15T01:30:00Z'));
    const summer = planRun(schedule(berlin, '2026-07-14T12:00:00Z'), at('2026-07-15T12:00:00Z'));
    assert.equal(summer.dueAt, at('2026-07-15T00:30:00Z'));
    // 02:30 is there twice on 2026-10-25, and the copy is made once.
    const twice = schedule(berlin, '2026-10-25T00:30:00Z');
    assert.equal(planRun(twice, at('2026-10-25T01:30:00Z')).dueAt, undefined);
    // and not at all on 2026-03-29: the run is not lost
    const never = planRun(schedule(berlin, '2026-03-28T12:00:00Z'), at('2026-03-29T12:00:00Z'));
    assert.equal(new Date(never.dueAt!).toISOString().slice(0, 10), '2026-03-29');
  });

  it('knows the short forms', () => {
    const hourly = planRun(
      schedule({ schedule: '@hourly' }, '2026-01-01T03:00:00Z'),
      at('2026-01-01T04:30:00Z'),
    );
    assert.equal(hourly.dueAt, at('2026-01-01T04:00:00Z'));
  });

  it('that means nothing is refused', () => {
    assert.throws(() => planRun(schedule({ schedule: '61 3 * * *' }, '2026-01-01T03:00:00Z'), 0));
    assert.throws(() => planRun(schedule({ timeZone: 'Europe/Atlantis' }, '2026-01-01T03:00:00Z'), 0));
  });
});

describe('The name of what a run makes', () => {
  it('tells the schedule, the claim and the time, and is the same for the same run', () => {
    assert.equal(nameOfRun('nightly', 'db', at('2026-01-02T03:00:00Z')), 'nightly-db-20260102-0300');
    assert.equal(nameOfRun('nightly', undefined, at('2026-01-02T03:00:00Z')), 'nightly-20260102-0300');
  });

  it('is short enough for Kubernetes, and still another for another claim', () => {
    const long = (last: string) =>
      nameOfRun('s'.repeat(52), 'c'.repeat(252) + last, at('2026-01-02T03:00:00Z'));
    assert.ok(long('a').length <= 253);
    assert.notEqual(long('a'), long('b'));
    assert.match(long('a'), /-20260102-0300$/);
    const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
    for (let dot = 1; dot < 240; dot++) {
      const claim = `${'c'.repeat(dot)}.${'c'.repeat(251 - dot)}`;
      assert.match(nameOfRun('nightly', claim, at('2026-01-02T03:00:00Z')), subdomain);
    }
  });
});

describe('The second name of what a run makes', () => {
  it("is nobody else's, where two schedules would call theirs the same", () => {
    const dueAt = at('2026-01-02T03:00:00Z');
    const [mine, yours] = [namesOfRun('db', 'prod-data', dueAt), namesOfRun('db-prod', 'data', dueAt)];
    assert.equal(mine[0], yours[0]);
    assert.equal(new Set([...mine, ...yours]).size, 3);
    assert.match(mine[1], /^db-prod-data-[0-9a-f]{10}-20260102-0300$/);
    const long = namesOfRun('s'.repeat(52), 'c'.repeat(253), dueAt);
    assert.ok(long.every((name) => name.length <= 253) && long[0] !== long[1]);
  });
});

describe('What a schedule deletes', () => {
  const DAY = 86_400_000;
  const made = (age: number, good = true): Made => ({ name: `age-${age}`, createdAt: -age * DAY, good });
  const names = (all: Made[], keepLast: number, maxAgeDays?: number) =>
    surplus(all, { keepLast, maxAgeMs: maxAgeDays === undefined ? undefined : maxAgeDays * DAY }, 0)
      .map(({ name }) => name)
      .sort();

  it('is what is more than it keeps, the oldest first', () => {
    assert.deepEqual(names([made(3), made(1), made(2)], 2), ['age-3']);
    assert.deepEqual(names([made(1), made(2)], 2), []);
  });

  it('never has good ones make room for such as are not', () => {
    assert.deepEqual(names([made(1, false), made(2, false), made(3), made(4), made(5)], 2), ['age-5']);
    assert.deepEqual(names([made(1, false), made(2)], 1), []);
  });

  it('is what is too old, but never the last good one', () => {
    assert.deepEqual(names([made(1), made(9), made(11)], 7, 10), ['age-11']);
    assert.deepEqual(names([made(20), made(30)], 7, 10), ['age-30']);
    assert.deepEqual(names([made(1, false), made(20)], 7, 10), []);
  });

  it('are bad ones too, when there are enough newer good ones', () => {
    assert.deepEqual(names([made(1), made(2), made(3, false), made(4)], 2), ['age-3', 'age-4']);
  });
});
