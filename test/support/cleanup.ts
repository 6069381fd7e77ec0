/**
 * Undoing what was done to the machine, whatever happens: mounts, loop devices, processes, directories.
 *
 * Each thing is deferred when it comes to be and undone in reverse order, each once. A step that fails does not keep
 * the others from being done; all failures are told at the end, because a thing that is left is a failure.
 */
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** For how long what was interrupted may go on until it notices. */
const LET_GO_MS = 2000;

export class Cleanup {
  readonly #steps: { what: string; undo: () => unknown }[] = [];
  #interrupted = false;

  /** The program was told to end in the midst of what it did, so devices may still be open. */
  get interrupted(): boolean {
    return this.#interrupted;
  }

  /** Undoes this one thing, now; deferred no more. */
  defer(what: string, undo: () => unknown): () => Promise<void> {
    const step = { what, undo };
    this.#steps.push(step);
    // Ends what was interrupted at the next thing that it would have to undo, this one being noted already.
    if (this.#interrupted) throw new Error(`interrupted, before: ${what}`);
    return async () => {
      const at = this.#steps.indexOf(step);
      if (at < 0) return;
      this.#steps.splice(at, 1);
      await undo();
    };
  }

  async all(): Promise<void> {
    const failures: Error[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (cause) {
        failures.push(new Error(`could not ${step.what}: ${(cause as Error).message}`, { cause }));
      }
    }
    if (failures.length > 0) {
      throw new AggregateError(failures, failures.map((failure) => failure.message).join('\n'));
    }
  }

  /**
   * Runs a program's body, then undoes everything, also after a failure and on SIGINT, SIGTERM and SIGHUP, and sets the
   * exit status. Only for programs that own their process.
   */
  async guard(body: () => Promise<void>): Promise<void> {
    const interruption = this.#interruption();
    const failed = body().then(
      () => false,
      (error: Error) => {
        // After an interruption everything fails, because it is being taken away.
        if (!this.#interrupted) console.error(error instanceof ClaimFailed ? `\n${error.message}` : error);
        return true;
      },
    );
    const signal = await Promise.race([interruption, failed.then(() => 0)]);
    if (signal > 0) await Promise.race([failed, sleep(LET_GO_MS)]);
    const clean = await this.#finish();
    process.exit(signal > 0 ? 128 + signal : clean && !(await failed) ? 0 : 1);
  }

  /** The number of the first signal. Later ones are ignored: an interrupted clean-up leaves mounts behind. */
  #interruption(): Promise<number> {
    return new Promise((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
        process.on(signal, () => {
          if (!this.#interrupted) process.stderr.write(`\n${signal}: cleaning up\n`);
          this.#interrupted = true;
          resolve(constants.signals[signal]);
        });
      }
    });
  }

  async #finish(): Promise<boolean> {
    try {
      await this.all();
      return true;
    } catch (error) {
      console.error((error as Error).message);
      return false;
    }
  }
}

/** Something that was to be shown is not so. Its message is all that a reader needs. */
export class ClaimFailed extends Error {}
