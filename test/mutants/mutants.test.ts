/**
 * The simulators are worth what they notice: they run on cores that are broken in one place each, and every one must be
 * noticed. A core that is broken nowhere must not.
 *
 * Each mutant gets the history that caught it last (caught.json), and, should that not notice it any more, all others.
 * `npm run mutants` looks for those anew and keeps them.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { SMALLER } from './mutants.ts';
import { allMutants, allTrials, hints, inLanes, trialOf } from './plan.ts';
import { type Caught, editsOf, firstComplaint, type Trial } from './trial.ts';
import { UNNOTICED } from './unnoticed.ts';

const AT_ONCE = 2;
const BY = { power: '', model: 'model check, ', pool: 'pool, ' };
const core = path.resolve(import.meta.dirname, '../../src/core');
const known = hints();
const noticeable = allMutants().filter(({ what }) => UNNOTICED[what] === undefined);

describe('The simulators notice when', function () {
  this.timeout(1_200_000);
  const results = new Map<string, PromiseWithResolvers<Caught | null>>();
  /** Those that another history has caught. */
  const moved: string[] = [];

  before(() => {
    for (const { what } of noticeable) results.set(what, Promise.withResolvers());
    void inLanes(AT_ONCE, noticeable, async (mutant) => {
      const { what } = mutant;
      const { resolve, reject } = results.get(what)!;
      const hint = known[what];
      const first = hint === undefined ? [] : [trialOf(hint)];
      await firstComplaint(editsOf(mutant), [...first, ...allTrials()]).then(resolve, reject);
    });
  });

  for (const { what } of noticeable)
    it(what, async function () {
      const caught = await results.get(what)!.promise;
      assert.ok(caught !== null, 'no history complains: see docs/verification.md, "Mutants"');
      // What does not even load would prove nothing.
      assert.match(caught.said, /^seed \d+( of ".*")?(, after|: )|^it hung$/);
      if (!isDeepStrictEqual(trialOf(caught), known[what] && trialOf(known[what]))) moved.push(what);
      this.test!.title = `${what}\n          ${BY[caught.by]}${caught.said}`;
    });

  after(() => {
    if (moved.length > 0)
      console.log(
        `      ${moved.length} were caught by other histories than before: refresh with \`npm run mutants\``,
      );
  });
});

describe('They notice nothing', function () {
  this.timeout(1_200_000);
  const trials = (of: readonly string[]): Trial[] => {
    const some = new Map(
      of.flatMap((what) => known[what] ?? []).map((c) => [JSON.stringify(trialOf(c)), trialOf(c)]),
    );
    return [...some.values()];
  };
  let control: Promise<(Caught | null)[]>;
  before(() => {
    const all = trials(Object.keys(known));
    const halves = [all.filter((_, i) => i % 2 === 0), all.filter((_, i) => i % 2 === 1)];
    control = Promise.all(halves.map((half) => firstComplaint([], half)));
  });

  it('where nothing is broken, in all those histories', async () => {
    assert.deepEqual(await control, [null, null]);
  });

  it('where limits are only smaller', async () => {
    assert.equal(await firstComplaint(Object.values(SMALLER).flat(), trials(Object.keys(SMALLER))), null);
  });
});

describe('Every flush of the core', () => {
  it('has a mutant without it', () => {
    const text = readdirSync(core)
      .filter((file) => file.endsWith('.ts') && file !== 'ops.ts')
      .map((file) => readFileSync(path.join(core, file), 'utf8'))
      .join('\n');
    const flushes = text.match(/\bop\.flush\(/g)!.length;
    const mutants = allMutants().filter(({ what }) => /: yield op\.flush\(.* is left out/.test(what)).length;
    assert.equal(mutants, flushes);
  });

  it('or a reason why nobody would notice, and those are of mutants that there are', () => {
    const there = new Set(allMutants().map(({ what }) => what));
    assert.deepEqual(
      Object.keys(UNNOTICED).filter((what) => !there.has(what)),
      [],
    );
  });
});
