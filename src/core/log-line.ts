/**
 * The line of those who wait for room in the undo log: who has waited longest comes first, and whoever comes meanwhile waits behind.
 * Else small requests would take each bit of room, and a large one would wait for ever.
 *
 * Whoever is called leaves the line to look whether there is room, and stands in it again, at the same place, if there is too little.
 * So one who has to wait at a gate first keeps nobody else waiting.
 */
import { FlashCopyError } from '../base/errors.ts';
import { type Plan, type Runner, Signal } from './ops.ts';

/**
 * Who came earlier has the smaller number, and keeps it until the request is done. `isTold`: nothing could make room while it stood
 * in the line.
 */
export type Place = { number: number; signal: Signal; isTold: boolean };

export class Line {
  /** What keeps checkpoints from making room, since the last one that did. */
  stalled: FlashCopyError | null = null;
  private stalls = 0;
  /** By their numbers. */
  private readonly places: Place[] = [];
  private given = 0;
  private readonly runner: Runner;

  constructor(runner: Runner) {
    this.runner = runner;
  }

  get length(): number {
    return this.places.length;
  }

  /** Nobody stands there who came earlier. Null: one who has just come. */
  hasTurn(place: Place | null): boolean {
    const first = this.places[0];
    return first === undefined || (place !== null && place.number < first.number);
  }

  /** Returns with its place when it is the first and was called. Throws where it found too little then, and nothing can make room. */
  *stand(place: Place | null): Plan<Place> {
    const mine = place ?? { number: ++this.given, signal: new Signal(), isTold: false };
    if (mine.isTold && this.stalled !== null) {
      const { code, message } = this.stalled;
      throw new FlashCopyError(code, `the undo log cannot be emptied: ${message}`);
    }
    const before = this.stalls;
    const { places } = this;
    places.splice(places.findLastIndex((other) => other.number < mine.number) + 1, 0, mine);
    do yield mine.signal;
    while (places[0] !== mine);
    places.shift();
    mine.isTold = this.stalls !== before && this.stalled !== null;
    // There may be room for more than one. If it is too little for this one, it stands here again before the next one looks.
    this.callFirst();
    return mine;
  }

  callFirst(): void {
    const first = this.places[0];
    if (first !== undefined) this.runner.fire(first.signal);
  }

  /** A checkpoint has failed, or has not. */
  stall(error: FlashCopyError | null): void {
    this.stalled = error;
    this.stalls++;
    this.callFirst();
  }
}
