/** What the operator's work queue promises (src/operator/work-queue.ts). */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkQueue } from '../../src/operator/work-queue.ts';
import { until } from '../support/commands.ts';

describe('A work queue', () => {
  it('handles a key that is added many times before its turn once', async () => {
    const handled: string[] = [];
    const queue = new WorkQueue({
      most: 1,
      handle: async (key) => {
        handled.push(key);
        return undefined;
      },
    });
    for (const key of ['a', 'b', 'a', 'b', 'a']) queue.add(key);
    await until('both are handled', () => handled.length === 2);
    await queue.stop();
    assert.deepEqual(handled, ['a', 'b']);
  });

  it('handles a key that is added while it is handled once more, and never twice at a time', async () => {
    let now = 0;
    let most = 0;
    let times = 0;
    const queue = new WorkQueue({
      most: 4,
      handle: async () => {
        most = Math.max(most, ++now);
        times += 1;
        await sleep(300);
        now -= 1;
        return undefined;
      },
    });
    queue.add('a');
    await until('it is being handled', () => now === 1);
    queue.add('a');
    queue.add('a');
    await until('it is handled again', () => times === 2 && now === 0);
    await sleep(400);
    await queue.stop();
    assert.deepEqual([times, most], [2, 1]);
  });

  it('handles at most so many keys at a time', async () => {
    let now = 0;
    let most = 0;
    let times = 0;
    const queue = new WorkQueue({
      most: 3,
      handle: async () => {
        most = Math.max(most, ++now);
        await sleep(100);
        now -= 1;
        times += 1;
        return undefined;
      },
    });
    for (let i = 0; i < 20; i++) queue.add(`key-${i}`);
    await until('some are being handled', () => now > 0);
    assert.equal(queue.depth, 17);
    await until('all are handled', () => times === 20);
    await queue.stop();
    assert.equal(most, 3);
  });

  it('tries a key that fails again, later each time, and others meanwhile', async () => {
    const at: number[] = [];
    let others = 0;
    const queue = new WorkQueue({
      most: 1,
      handle: async (key) => {
        if (key === 'other') {
          others += 1;
          return undefined;
        }
        at.push(performance.now());
        if (at.length < 4) throw new Error('not yet');
        return undefined;
      },
    });
    queue.add('bad');
    queue.add('other');
    await until('the other one is handled', () => others === 1);
    assert.equal(at.length, 1);
    await until('it succeeds at last', () => at.length === 4);
    await queue.stop();
    const pauses = at.slice(1).map((each, i) => each - at[i]!);
    assert.ok(pauses[0]! >= 350 && pauses[1]! >= 700 && pauses[2]! >= 1400, `${pauses}`);
  });

  it('looks again after the time that the handler names', async () => {
    let times = 0;
    const queue = new WorkQueue({ most: 1, handle: async () => (++times < 3 ? 10 : undefined) });
    queue.add('a');
    await until('it is handled three times', () => times === 3);
    await sleep(50);
    await queue.stop();
    assert.equal(times, 3);
  });

  it('begins nothing after it was stopped, and ends when what is under way has ended', async () => {
    let begun = 0;
    let ended = 0;
    const queue = new WorkQueue({
      most: 1,
      handle: async () => {
        begun += 1;
        await sleep(50);
        ended += 1;
        return 1;
      },
    });
    queue.add('a');
    queue.add('b');
    await until('the first is under way', () => begun === 1);
    await queue.stop();
    assert.deepEqual([begun, ended], [1, 1]);
    queue.add('c');
    await sleep(60);
    assert.equal(begun, 1);
  });
});
