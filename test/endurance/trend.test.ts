/** What the soak calls growth: series like its own, made up. */
import assert from 'node:assert/strict';
import { Random } from '../sim/random.ts';
import { MiB } from '../support/disks.ts';
import { Growth, isGrowing, LIMITS, type Measures } from './growth.ts';
import { SAMPLES_MIN, type Sample, trendOf } from './trend.ts';

const MINUTES = 60;

/** A sample each minute. */
function series(valueAt: (minute: number) => number, minutes = MINUTES): Sample[] {
  return Array.from({ length: minutes }, (_, i) => ({ hours: (i + 1) / 60, value: valueAt(i + 1) }));
}

/** Around 0, most within one. */
const noise = (random: Random): number =>
  (random.int(1000) + random.int(1000) + random.int(1000)) / 1000 - 1.5;

describe('The soak', () => {
  const memory = LIMITS.engineBytes;

  describe('takes for growth', () => {
    it('1 MiB a minute in one hour, also where it scatters by 12 MiB', () => {
      for (let seed = 0; seed < 200; seed++) {
        const random = new Random(seed);
        const leaking = series((minute) => 300 * MiB + minute * MiB + noise(random) * 12 * MiB);
        assert.ok(isGrowing(leaking, memory), `seed ${seed}: ${JSON.stringify(trendOf(leaking))}`);
      }
    });

    it('1 MiB a minute after caches that fill in the first minutes', () => {
      const random = new Random(1);
      const filling = (minute: number): number => 100 * MiB * (1 - Math.exp(-minute / 4));
      const leaking = series(
        (minute) => 200 * MiB + filling(minute) + minute * MiB + noise(random) * 10 * MiB,
      );
      assert.ok(isGrowing(leaking, memory));
    });

    it('1 MiB a minute in a process that is killed every other minute', () => {
      // A new one has less: what is left is that every second sample is of an old one.
      const random = new Random(2);
      const leaking = series(
        (minute) => 250 * MiB + (minute % 2) * 20 * MiB + minute * MiB + noise(random) * 5 * MiB,
      );
      assert.ok(isGrowing(leaking, memory));
    });

    it('one descriptor every two minutes, and one file a minute', () => {
      const random = new Random(3);
      const descriptors = series((minute) => 90 + Math.floor(minute / 2) + Math.round(noise(random) * 3));
      assert.ok(isGrowing(descriptors, LIMITS.engineFds));
      const files = series((minute) => 700 + minute + Math.round(noise(random) * 10));
      assert.ok(isGrowing(files, LIMITS.files));
    });

    it('a descriptor of the supervisor, which has always the same, that is never given back', () => {
      const descriptors = series((minute) => 30 + (minute > 40 ? 1 : 0) + Math.floor(minute / 20));
      assert.ok(isGrowing(descriptors, LIMITS.supervisorFds));
    });
  });

  describe('takes for none', () => {
    const flat = (
      what: string,
      valueAt: (minute: number, random: Random) => number,
      minutes = MINUTES,
    ): void => {
      it(what, () => {
        const growing: number[] = [];
        for (let seed = 0; seed < 500; seed++) {
          const random = new Random(seed);
          const samples = series((minute) => valueAt(minute, random), minutes);
          if (isGrowing(samples, memory)) growing.push(seed);
        }
        assert.deepEqual(growing, []);
      });
    };

    flat('what is always the same', () => 300 * MiB);
    flat('what scatters by 100 MiB', (_minute, random) => 300 * MiB + noise(random) * 100 * MiB);
    flat('what scatters by 100 MiB in ten minutes', (_, random) => 300 * MiB + noise(random) * 100 * MiB, 10);
    flat(
      'what jumps up now and then',
      (_minute, random) => 300 * MiB + (random.int(10) === 0 ? 200 * MiB : 0),
    );
    flat(
      'a swing of half an hour',
      (minute, random) => (300 + 60 * Math.sin(minute / 5) + noise(random) * 10) * MiB,
    );
    flat('caches that fill and stay', (minute, random) => (200 + 150 * (1 - Math.exp(-minute / 4)) + noise(random) * 20) * MiB); // biome-ignore format: one line
    flat('what becomes less', (minute, random) => (400 - minute + noise(random) * 20) * MiB);
    flat(
      'what grows by 10 MiB in an hour',
      (minute, random) => (300 + minute / 6 + noise(random) * 10) * MiB,
    );

    it('so few samples that nothing can be told, and says so', () => {
      const few = series((minute) => minute * 10 * MiB, SAMPLES_MIN - 1);
      assert.equal(trendOf(few), undefined);
      assert.ok(!isGrowing(few, memory));
    });
  });

  it('looks at each engine for itself, and at what outlives it as a whole', () => {
    const growth = new Growth();
    const flat: Measures = {
      ...{ supervisorBytes: 80 * MiB, supervisorFds: 30, engineBytes: 0, engineFds: 60 },
      ...{ files: 700, fullDiskBytes: 90 * MiB },
    };
    const add = (minute: number, pid: number, more: Partial<Measures>): void =>
      growth.add(minute / 60, pid, { ...flat, ...more });
    // Killed again and again, and then left alone.
    for (let minute = 1; minute <= 15; minute++) add(minute, minute, { engineBytes: 200 * MiB });
    for (let minute = 16; minute <= 60; minute++) add(minute, 99, { engineBytes: 200 * MiB });
    assert.deepEqual(growth.found(), []);
    assert.match(
      growth.told().join('\n'),
      /engineBytes: 0\.0 MiB an hour, surely 0\.0 MiB, allowed 16\.0 MiB/,
    );
    for (let minute = 61; minute <= 100; minute++)
      add(minute, 100, { engineBytes: (200 + (minute - 60) * 2) * MiB, files: 700 + minute });
    const [engine, files, ...others] = growth.found().sort();
    assert.equal(engine, 'engineBytes grows by 120.0 MiB an hour, from 202.0 MiB');
    assert.match(files!, /^files grows by \d+\.\d an hour, from 700\.0$/);
    assert.deepEqual(others, []);
  });

  it('says of a short run that it cannot tell', () => {
    const growth = new Growth();
    for (let sample = 0; sample < 40; sample++)
      growth.add(sample / 1200, 1, {
        ...{ supervisorBytes: sample * MiB, supervisorFds: 30, engineBytes: 0, engineFds: 60 },
        ...{ files: 700, fullDiskBytes: 0 },
      });
    assert.deepEqual(growth.found(), []);
    assert.match(growth.told().join('\n'), /supervisorBytes: no trend without/);
  });

  it('seldom calls a random walk without a drift growth', () => {
    let growing = 0;
    for (let seed = 0; seed < 500; seed++) {
      const random = new Random(seed);
      let value = 300 * MiB;
      const walk = series(() => {
        value += noise(random) * 4 * MiB;
        return value;
      });
      if (isGrowing(walk, memory)) growing++;
    }
    assert.ok(growing < 25, `${growing} of 500`);
  });
});
