/** How copies, and scrubs, keep to their rate: after each batch a sleep, as long as the batch takes at that rate. */
import { op, type Plan } from './ops.ts';
import type { State } from './state.ts';

/** The longest sleep in one go, so that a changed rate or state is seen soon. */
export const NAP_MS = 200;

/** The rate may change meanwhile, and what it is for may end: `goesOn`. */
export function* pace(
  state: State,
  bytes: number,
  bytesPerSecond: () => number,
  goesOn: () => boolean,
): Plan<void> {
  const started = state.clock.micros();
  const left = () => (bytes * 1000) / bytesPerSecond() - (state.clock.micros() - started) / 1000;
  while (goesOn() && left() > 0) yield op.sleep(Math.max(1, Math.min(NAP_MS, Math.ceil(left()))));
}
