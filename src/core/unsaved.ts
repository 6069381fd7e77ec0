/**
 * Volumes that are offline, which the catalog does not say yet.
 *
 * Their ids are in the shared memory as well (B6): should the process die before the catalog has them, the next engine would
 * take a file whose flush failed for a whole one (B3).
 */
import { type Arena, UNSAVED_ID } from './arena.ts';
import { Bitmap } from './bitmap.ts';
import type { Volume } from './volume.ts';

const IDS = 2 ** 30;

export class Unsaved {
  /** By volume id. Never written to a file. */
  readonly ids: Bitmap;
  private readonly volumes = new Set<Volume>();

  constructor(arena: Arena) {
    this.ids = new Bitmap(arena, UNSAVED_ID, IDS);
  }

  get size(): number {
    return this.volumes.size;
  }

  has(volume: Volume): boolean {
    return this.volumes.has(volume);
  }

  add(volume: Volume): void {
    this.ids.setRange(volume.id, 1);
    this.volumes.add(volume);
  }

  /** The catalog says it. */
  delete(volume: Volume): void {
    this.volumes.delete(volume);
    this.ids.clearRange(volume.id, 1);
  }

  all(): Volume[] {
    return [...this.volumes];
  }

  /** Ids that an engine left which died. */
  left(): number[] {
    // There are none, nearly always, and room for a thousand million.
    if (this.ids.count === 0) return [];
    return [...this.ids.runs()].flatMap(({ first, count }) =>
      Array.from({ length: count }, (_, i) => first + i),
    );
  }

  /** The catalog has them all. */
  clear(): void {
    for (const id of this.left()) this.ids.clearRange(id, 1);
  }
}
