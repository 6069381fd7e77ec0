/**
 * Tries a mutant: a thread in which the core is broken in that place goes through the power-loss simulator and the model
 * check until one of them complains. The broken text is put in as the module is loaded (thread.ts); no file has it.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Edit, Mutant } from './mutants.ts';

const core = path.resolve(import.meta.dirname, '../../src/core');
/** A trial that says nothing for so long hangs, and that is noticed too. */
const TRIAL_MAX_MS = 120_000;

/**
 * `power`: all power cuts of a short history; `model`: a long one with random deaths; `pool`: one that checks itself.
 * `scenario`: the name of the one that is written out.
 */
export type Trial = { by: 'power' | 'model' | 'pool'; seed: number; scenario?: string };

/** What noticed the mutant, and what it said. */
export type Caught = Trial & { said: string };

/** The texts of the core's files that differ, by their paths. */
export type Texts = Record<string, string>;

/** What the thread tells: a trial begins, one complains, or all have ended. */
export type Told = Trial | Caught | 'ended';

/** The first trial that complains; null if none does. `edits`: none, and nothing is broken. */
export async function firstComplaint(
  edits: readonly Edit[],
  trials: readonly Trial[],
): Promise<Caught | null> {
  const worker = new Worker(new URL('./thread.ts', import.meta.url), {
    workerData: { texts: textsWith(edits), trials },
  });
  let begun: Trial | null = null;
  try {
    return await new Promise<Caught | null>((resolve, reject) => {
      const limit = setTimeout(() => resolve(begun && { ...begun, said: 'it hung' }), TRIAL_MAX_MS);
      worker.on('message', (told: Told) => {
        limit.refresh();
        if (told === 'ended') resolve(null);
        else if ('said' in told) resolve(told);
        else begun = told;
      });
      worker.once('error', reject);
      worker.once('exit', () => clearTimeout(limit));
    });
  } finally {
    await worker.terminate();
  }
}

export const editsOf = (mutant: Mutant): Edit[] => [mutant, ...(mutant.also ?? [])];

function textsWith(edits: readonly Edit[]): Texts {
  const texts: Texts = {};
  // Places are those of the text as it is: the last one first.
  const inOrder = edits
    .map((edit) => ({ ...edit, at: edit.at ?? onlyPlace(edit) }))
    .sort((a, b) => b.at - a.at);
  for (const { file, find, replace, at } of inOrder) {
    const where = path.join(core, file);
    const text = texts[where] ?? readFileSync(where, 'utf8');
    assert.equal(text.slice(at, at + find.length), find, `src/core/${file} has no ${find}`);
    texts[where] = text.slice(0, at) + replace + text.slice(at + find.length);
  }
  return texts;
}

/** Where the text is, that has to be there once. */
function onlyPlace({ file, find }: Edit): number {
  const text = readFileSync(path.join(core, file), 'utf8');
  const at = text.indexOf(find);
  assert.notEqual(at, -1, `src/core/${file} has no ${find}: move the mutant with it`);
  assert.equal(text.indexOf(find, at + 1), -1, `src/core/${file} has twice ${find}`);
  return at;
}
