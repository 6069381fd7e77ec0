/** Trials one after the other, each with a seed of its own, and what came of them. */
import path from 'node:path';
import { log } from '../../src/base/log.ts';
import { checkPool } from '../../src/engine/check/check-pool.ts';
import { Random } from '../sim/random.ts';
import { closedPool, crashedPool, type SoundPool, youngPool } from '../support/sound-pool.ts';
import { type Outcome, trial, Violation } from './trial.ts';

export class Trials {
  readonly outcomes: Record<Outcome, number> = { unharmed: 0, suspended: 0, refused: 0 };
  readonly files = new Map<string, number>();
  count = 0;
  bytes = 0;
  repaired = 0;
  violations = 0;
  private readonly pools: SoundPool[];
  private readonly dir: string;
  private seed: number;

  constructor(top: string, seed: number) {
    log.silent = true; // what is damaged is told a thousand times
    this.pools = [
      closedPool(path.join(top, 'closed')),
      crashedPool(path.join(top, 'crashed')),
      youngPool(path.join(top, 'young')),
    ];
    for (const { dir } of this.pools) checkPool(dir, { repair: true }); // the reserve
    this.dir = path.join(top, 'damaged');
    this.seed = seed;
  }

  end(): void {
    log.silent = false;
  }

  /** What was wrong, or null. */
  next(): string | null {
    const seed = this.seed++;
    const random = new Random(seed);
    this.count++;
    try {
      const sound = random.pick(this.pools);
      const others = this.pools.filter((each) => each !== sound).map(({ dir }) => path.join(dir, 'log'));
      const done = trial(sound, `${this.dir}-${seed}`, others, random);
      this.outcomes[done.outcome]++;
      this.bytes += done.wound.bytes;
      this.repaired += done.repaired;
      const kind = done.wound.file.split('/')[0]!;
      this.files.set(kind, (this.files.get(kind) ?? 0) + 1);
      return null;
    } catch (error) {
      this.violations++;
      const text = error instanceof Violation ? error.message : String((error as Error).stack ?? error);
      return `seed ${seed}: ${text}`;
    }
  }
}

export function summary(trials: Trials): string {
  const { count, bytes, outcomes, repaired, violations } = trials;
  const files = [...trials.files].map(([name, n]) => `${n} of ${name}`).join(', ');
  return (
    `${count} damages (${files}), ${bytes} bytes turned over, zeroed or lost: ` +
    `${outcomes.unharmed} unharmed, ${outcomes.suspended} with volumes suspended, ${outcomes.refused} refused, ` +
    `${repaired} findings repaired; ${violations} violations`
  );
}
