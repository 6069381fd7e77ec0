/** A thread with a core that differs in some texts: makes the trials that it is given, up to the first that complains. */
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import type { Texts, Told, Trial } from './trial.ts';

const OPERATIONS = 800;
/** Characters: rows that are left behind may be many. */
const SAID_MAX = 500;

const { texts, trials } = workerData as { texts: Texts; trials: readonly Trial[] };

registerHooks({
  load: (url, context, next) => {
    const loaded = next(url, context);
    const text = url.startsWith('file:') ? texts[fileURLToPath(url)] : undefined;
    return text === undefined ? loaded : { ...loaded, source: text };
  },
});

const { runHistory } = await import('../sim/history.ts');
const { scenarioNamed } = await import('../sim/scenarios.ts');
const { poolHistoryNamed } = await import('../sim/pool-histories.ts');
const { explore } = await import('../powerloss/explore.ts');

function make({ by, seed, scenario }: Trial): void {
  if (by === 'power') explore({ seed, ...(scenario !== undefined && { scenario }) });
  else if (by === 'pool') poolHistoryNamed(scenario!).play(seed);
  else
    runHistory({
      seed,
      operations: OPERATIONS,
      ...(scenario !== undefined && { scenario: scenarioNamed(scenario) }),
    });
}

function firstComplaint(): Told {
  for (const trial of trials) {
    parentPort!.postMessage(trial satisfies Told);
    try {
      make(trial);
    } catch (error) {
      return { ...trial, said: (error as Error).message.split('\n')[0]!.slice(0, SAID_MAX) };
    }
  }
  return 'ended';
}

parentPort!.postMessage(firstComplaint());
// The message is on its way until somebody ends this thread.
setInterval(() => {}, 1000);
