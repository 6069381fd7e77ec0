/**
 * Histories that are written out, for places that those by chance come to too seldom: each goes where something of the core
 * is the only thing between the host and a loss, as the mutants (test/mutants) show. They are run like the others, by
 * seed, by the power-loss simulator and by the model check.
 */
import type { History, Scenario } from './history.ts';
import type { ModelVolume } from './model.ts';
import { type Shape, SMALL } from './shape.ts';
import { BLOCK } from './sim-file.ts';
import { WORDS_FEW } from './sim-world.ts';
import { Stage } from './stage.ts';

const TINY: Shape = { ...SMALL, grains: [BLOCK], crashes: [0], words: WORDS_FEW };

const scenario = (by: Scenario['by'], name: string, play: (s: Stage) => void): Scenario => ({
  name,
  by,
  shape: TINY,
  play: (history: History) => play(new Stage(history)),
});

export const SCENARIOS: readonly Scenario[] = [
  scenario('power', 'a copy that the writes to its source have made whole is stopped', (s) => {
    for (let round = 0; round < 3; round++) {
      const source = s.volume(4);
      const copy = s.clone(source, 0);
      s.write(source);
      s.wait();
      s.stop(copy);
      s.wait();
      s.flush(source);
      s.quiet();
      s.deleteAll(copy, source);
    }
  }),

  scenario(
    'power',
    'a half-copied target is stopped, and the one that is copied from it has all it needs',
    (s) => {
      const source = s.volume(4);
      const target = s.clone(source, 0);
      s.write(target, 0, 2);
      s.wait();
      s.flush(target);
      s.wait();
      s.clone(target, 150);
      s.settle();
      s.stop(target);
      s.quiet();
    },
  ),

  scenario('power', 'a source goes, and what its snapshot got is in the log only', (s) => {
    for (let round = 0; round < 3; round++) {
      const source = s.volume(4);
      s.snapshot(source);
      s.write(source, 1, 2);
      s.wait();
      s.deleteAll(source);
      s.settle();
    }
  }),

  scenario('power', 'a half-copied target is given up', (s) => {
    const source = s.volume(4);
    s.snapshot(source);
    const target = s.clone(source, 0);
    s.write(source, 0, 2);
    s.wait();
    s.giveUp(target);
    s.quiet();
    s.write(target, 1, 2);
    s.quiet();
  }),

  scenario('power', 'a target of a target does not have what a sync changes in that', (s) => {
    const source = s.volume(6);
    const target = s.clone(source, 0);
    s.clone(target, 0);
    for (let block = 0; block < 6; block += 2) {
      s.write(source, block, 1 + s.some(1));
      s.wait();
      s.sync(target);
      s.wait();
      s.flush(source);
      s.quiet();
    }
  }),

  scenario('power', 'a checkpoint comes between the mark of a write and the write', (s) => {
    const source = s.volume(4);
    const target = s.clone(source, 150);
    for (let block = 0; block < 4; block++) {
      s.settle();
      s.write(source, block, 1);
      s.until(() => s.logIsFlushed);
      s.until(() => !s.logIsFlushed);
      s.checkpoint();
      s.wait();
      s.flush(source);
      s.quiet();
      s.sync(target);
      s.wait();
    }
  }),

  scenario('power', 'the log is cut while others commit, and what it had is written anew', (s) => {
    const source = s.volume(4);
    const others = [s.clone(source, 0), s.clone(source, 0)];
    const target = s.clone(source, 0);
    for (let round = 0; round < 8; round++) {
      const block = round % 4;
      if (round > 0) s.sync(target);
      s.wait();
      s.write(source, block, 1);
      s.wait();
      s.checkpoint();
      // Commits all the time.
      s.until(() => {
        if (s.controls < 2) s.rate(others[s.some(1)]!, s.some(1));
        return s.logIsEmpty;
      });
      s.write(target, block, 1);
      s.waitForHost();
      s.flush(target);
      s.wait();
    }
  }),

  scenario('power', 'the engine dies while it writes to the log', (s) => {
    const source = s.volume(4);
    for (let round = 0; round < 12; round++) {
      const snapshot = s.snapshot(source);
      s.write(source, s.some(3), 1);
      s.until(() => s.logIsFlushed);
      s.die();
      s.wait();
      s.deleteAll(snapshot);
      s.settle();
    }
  }),

  scenario('power', 'the engine dies before a cut is reported', (s) => {
    for (let round = 0; round < 6; round++) {
      const source = s.volume(4);
      s.write(source);
      s.wait();
      s.beginSnapshot(source);
      s.until(() => s.dataIsFlushed);
      s.die();
      s.wait();
      s.quiet();
      s.deleteAll(source);
    }
  }),

  scenario('model', 'a snapshot is read while its source is written', (s) => {
    const source = s.volume(8);
    for (let round = 0; round < 24; round++) {
      const snapshot = s.snapshot(source);
      for (let block = 0; block < 8; block++) {
        s.read(snapshot, block, 1);
        s.write(source, block, 1);
        s.advance(s.some(6));
      }
      s.wait();
      s.deleteAll(snapshot);
      s.settle();
    }
  }),

  scenario('power', 'a copy begins before its source is flushed', (s) => {
    const source = s.volume(4);
    const target = s.clone(source, 150);
    s.settle();
    s.slowFlushes(source);
    for (let round = 0; round < 8; round++) {
      s.write(source, round % 4, 1);
      s.wait();
      const { cuts } = s;
      s.sync(target);
      s.until(() => s.cuts > cuts);
      s.rate(target, 150);
      s.advance(s.some(100));
      s.checkpoint();
      s.wait();
      s.settle();
    }
  }),

  scenario(
    'power',
    'the engine dies while it copies, and what it had copied is overwritten in the source',
    (s) => {
      const source = s.volume(4);
      for (let round = 0; round < 3; round++) {
        const copy = s.clone(source, 0);
        const { copied } = s;
        s.rate(copy, 150);
        s.until(() => s.copied > copied);
        s.die();
        s.write(source);
        s.waitForHost();
        s.flush(source);
        s.wait();
        s.deleteAll(copy);
      }
    },
  ),

  scenario('power', 'the engine dies before a record of the log counts, and dies again', (s) => {
    const source = s.volume(4);
    for (let round = 0; round < 6; round++) {
      const older = s.snapshot(source);
      const newer = s.snapshot(source);
      s.write(source, s.some(3), 1);
      s.until(() => s.logIsFlushed);
      s.die();
      s.wait();
      s.die();
      s.quiet();
      s.deleteAll(newer, older);
      s.settle();
    }
  }),

  scenario('model', 'a snapshot goes while its source is written, and an older one reads through it', (s) => {
    const source = s.volume(32);
    let older: ModelVolume = s.snapshot(source);
    for (let round = 0; round < 24; round++) {
      s.write(source, s.some(31), 1);
      s.wait();
      const newer = s.snapshot(source);
      s.delete(newer);
      for (let writes = 0; writes < 48 && (writes < 8 || s.retired > 0); writes++) {
        s.write(source, s.some(31), 1);
        s.advance(s.some(30));
      }
      s.quiet();
      s.settle();
      if (round % 6 !== 5) continue;
      s.deleteAll(older);
      older = s.snapshot(source);
    }
  }),

  scenario(
    'model',
    'a snapshot of a copy goes while that is written, and an older copy reads through it',
    (s) => {
      const source = s.volume(24);
      for (let round = 0; round < 12; round++) {
        const older = s.clone(source, 0);
        const newer = s.clone(source, 0);
        const snapshot = s.snapshot(newer);
        // It lacks every other block: many copies that are under way together, and the write waits for the slowest.
        for (let block = 0; block < 24; block += 2) s.write(older, block, 1);
        s.wait();
        s.rate(older, 150);
        s.wait();
        s.advance(s.some(60));
        s.delete(snapshot);
        s.write(newer);
        s.wait();
        s.quiet();
        s.deleteAll(older, newer);
        s.settle();
      }
    },
  ),
];

export function scenarioNamed(name: string): Scenario {
  const found = SCENARIOS.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no written-out history ${JSON.stringify(name)}`);
  return found;
}
