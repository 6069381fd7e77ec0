/**
 * The states of a mapping (SVC's names) and the only changes between them.
 *
 *   idle ──prepare──► preparing ──► prepared ──start──► copying ──all held──► copied (incremental) or gone (plain)
 *    ▲ │start                                             ▲  │ │                │
 *    │ └────────────────────────────────────────────────►─┘  │ └──stop──┐       │ sync: copying
 *    │                                                       │          ▼       ▼
 *    └── (start again from stopped: copying)                 │       stopping ──► stopped
 *                                                            └── metadata or data lost: suspended ──delete──► stopping
 */
import { FlashCopyError } from '../base/errors.ts';
import type { MappingState } from '../base/model.ts';

const allowed: Readonly<Record<MappingState, readonly MappingState[]>> = {
  idle: ['preparing', 'copying', 'suspended'],
  // Asked again, as with stopping. What it was before, if the source cannot be flushed.
  preparing: ['preparing', 'prepared', 'idle', 'stopped', 'suspended'],
  prepared: ['copying', 'idle', 'suspended'],
  copying: ['copied', 'copying', 'stopping', 'stopped', 'suspended'],
  copied: ['copying', 'stopping', 'stopped', 'suspended'],
  // Asked again: by somebody else at the same time, or after the engine that was doing it has died.
  stopping: ['stopping', 'stopped', 'suspended'],
  stopped: ['preparing', 'copying', 'suspended'],
  // To be deleted.
  suspended: ['stopping'],
};

/** The new state, or WrongState. Nothing else decides about it. */
export function transition(name: string, from: MappingState, to: MappingState): MappingState {
  if (!allowed[from].includes(to)) {
    const can = allowed[from].join(', ');
    throw new FlashCopyError(
      'WrongState',
      `mapping ${name} is ${from}: it cannot become ${to} (only ${can})`,
    );
  }
  return to;
}

export const isState = (state: string): boolean => Object.hasOwn(allowed, state);
