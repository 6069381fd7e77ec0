/**
 * Carries plans over a simulated disk: which ready plan goes on next, and which I/O ends next, the seed decides. Or, `inOrder`, as
 * in the engine: plans go on in the order in which they became ready, and no I/O ends before all wait.
 *
 * `call` starts a plan that somebody waits for; `runUntil` goes on until a condition holds and fails when it never can:
 * when calls wait and nothing is under way (deadlock), or when time passes and none of them ends.
 */
import { type Plan, Runner, type Task } from '../../src/core/ops.ts';
import type { Random } from './random.ts';
import type { SimDisk } from './sim-disk.ts';

const STEPS_WITHOUT_TIME_MAX = 2_000_000;
const WAIT_MAX_US = 3600 * 1e6;

export class SimRunner extends Runner {
  private readonly random: Random;
  private readonly disk: SimDisk;
  /** Calls that are not answered: what they are, and since when. */
  private readonly waiting = new Map<object, { name: string; since: number }>();
  private waitsCheckedAt = 0;
  private readonly inOrder: boolean;

  constructor(disk: SimDisk, random: Random, inOrder: boolean) {
    super(disk);
    this.inOrder = inOrder;
    this.disk = disk;
    this.random = random;
    disk.attach(this);
  }

  /** Start a plan; `ended` is told how it ended, and what it returned. */
  call<T>(name: string, plan: Plan<T>, ended: (error: unknown, result: T) => void): void {
    const key = {};
    this.waiting.set(key, { name, since: this.disk.now });
    this.spawn(plan, (error, result) => {
      this.waiting.delete(key);
      ended(error, result);
    });
  }

  get calls(): number {
    return this.waiting.size;
  }

  protected override pick(): Task | undefined {
    const n = this.ready.length;
    if (n === 0) return undefined;
    if (this.inOrder) return this.ready.shift();
    const i = n === 1 ? 0 : this.random.int(n);
    const task = this.ready[i]!;
    const last = this.ready.pop()!;
    if (i < n - 1) this.ready[i] = last;
    return task;
  }

  /** One step of one plan, or one event of the disk. False when there is neither. */
  advance(): boolean {
    if (this.ready.length > 0 && (this.inOrder || !this.random.chance(0.1))) {
      this.step(this.pick()!);
      return true;
    }
    if (this.disk.step()) return true;
    const task = this.pick();
    if (task !== undefined) this.step(task);
    return task !== undefined;
  }

  advanceOrFail(): void {
    if (!this.advance()) throw new Error(`nothing is under way, but these wait: ${this.names()}`);
  }

  /** Go on until `done()`. */
  runUntil(done: () => boolean): void {
    let steps = 0;
    let now = this.disk.now;
    while (!done()) {
      this.advanceOrFail();
      if (this.disk.now !== now) {
        now = this.disk.now;
        steps = 0;
        this.checkWaits();
      } else if (++steps > STEPS_WITHOUT_TIME_MAX)
        throw new Error(`plans run in a circle; waiting: ${this.names()}`);
    }
  }

  /** Go on until all calls are answered. */
  runUntilAnswered(): void {
    this.runUntil(() => this.waiting.size === 0);
  }

  /** Go on for a time, or until nothing is under way any more. */
  runFor(ms: number): void {
    const end = this.disk.now + ms * 1000;
    while (this.disk.now < end && this.advance());
  }

  /** Run one plan to its end. */
  run<T>(name: string, plan: Plan<T>): T {
    let outcome: { error: unknown; result: T } | null = null;
    this.call(name, plan, (error, result) => {
      outcome = { error, result };
    });
    this.runUntil(() => outcome !== null);
    const { error, result } = outcome! as { error: unknown; result: T };
    if (error !== null) throw error;
    return result;
  }

  private checkWaits(): void {
    if (this.disk.now - this.waitsCheckedAt < WAIT_MAX_US / 10) return;
    this.waitsCheckedAt = this.disk.now;
    for (const { name, since } of this.waiting.values()) {
      if (this.disk.now - since > WAIT_MAX_US)
        throw new Error(`${name} has waited for an hour; all: ${this.names()}`);
    }
  }

  private names(): string {
    return [...this.waiting.values()].map((call) => call.name).join(', ') || '(none)';
  }
}
