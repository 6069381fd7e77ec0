/** Whether an engine works: what its own health server, the CSI services and their probes ask. */
import { access, constants } from 'node:fs/promises';
import { FlashCopyError } from '../base/errors.ts';
import type { EngineApi } from './engine-api.ts';

/** It answers. All that somebody can ask who does not have its pool, like the node service in a container of its own. */
export async function checkAnswers(engine: EngineApi): Promise<void> {
  await engine.pool();
}

/** The engine of this machine answers, and its pool can be written. */
export async function checkEngine(engine: EngineApi): Promise<void> {
  const { path } = await engine.pool();
  try {
    await access(path, constants.W_OK);
  } catch (error) {
    throw new FlashCopyError(
      'IoError',
      `The pool ${path} cannot be written (${(error as NodeJS.ErrnoException).code}). Look at its filesystem.`,
      { cause: error },
    );
  }
}
