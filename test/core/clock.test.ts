/** Somebody sets the clock back by an hour. */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const GRAINS = 64;
/** An hour of the longest naps is 18000. */
const NAPS_MAX = 100;

/** `c` is a copy of `v`. */
function pool(): SmallPool {
  const made = new SmallPool(1);
  made.volume('v', GRAINS, 1);
  made.clone('c', 'v');
  return made;
}

/** How often somebody sleeps from then on. */
function setClockBack({ world: { clock, disk } }: SmallPool): () => number {
  const now = clock.now.bind(clock);
  clock.now = () => now() - 3600_000;
  const sleeps = () => disk.submitted.get('sleep') ?? 0;
  const before = sleeps();
  return () => sleeps() - before;
}

describe('A clock that is set back', () => {
  it('does not stop a copy that keeps to its rate', () => {
    const made = pool();
    const { core, runner } = made.world;
    made.world.run('rate', core.setCopyRate('c', 50));
    const { held } = made.found('c');
    // It has everything, and goes on when that has taken its time.
    runner.runUntil(() => held!.count === GRAINS);
    runner.runFor(20);
    const naps = setClockBack(made);
    made.awaitCopied('c');
    assert.ok(naps() < NAPS_MAX, `${naps()} naps`);
  });

  it('does not stop a copy that is to be tried again', () => {
    const made = pool();
    const { core, disk, runner } = made.world;
    const path = fileOf(made.found('c'));
    disk.faults = [{ kinds: ['write'], path, errno: EIO, times: Number.POSITIVE_INFINITY }];
    made.world.run('rate', core.setCopyRate('c', 50));
    runner.runUntil(() => core['state'].findMapping('c').row.error !== '');
    disk.faults = [];
    const naps = setClockBack(made);
    made.awaitCopied('c');
    assert.ok(naps() < NAPS_MAX, `${naps()} naps`);
  });

  it('does not stop a scrub', () => {
    const made = pool();
    const { core, runner } = made.world;
    made.world.run('scrub', core.startScrub(64 * 1024, []));
    const scrub = () => core['state'].scrub!;
    runner.runUntil(() => scrub().offset > 0);
    const naps = setClockBack(made);
    runner.runUntil(() => scrub().state === 'done');
    assert.ok(naps() < NAPS_MAX, `${naps()} naps`);
  });
});
