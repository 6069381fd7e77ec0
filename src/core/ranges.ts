/**
 * Which parts of a volume hold data, and which were written between two cuts: from bitmaps and holes, without reading
 * data. Both may name too much (a discarded block of zeros, a region after a crash), never too little.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { ByteRange, RangePage } from '../base/model.ts';
import { VOLATILE_ID } from './arena.ts';
import { Bitmap } from './bitmap.ts';
import { firstSegment, type Segment } from './content.ts';
import { epochsSince, orPages, PAGES_AT_ONCE, recordsFrom, type Window, windows } from './epochs.ts';
import { type IoOp, op, type Plan } from './ops.ts';
import type { State } from './state.ts';
import { checkPage } from './validate.ts';
import type { Volume } from './volume.ts';

/** Grains that are looked at together; more where they lie together. */
const WINDOW_GRAINS = 16 * 1024;
const WINDOW_GRAINS_MAX = 16 * 1024 * 1024;
/** Places that are looked at together: of scattered grains there are very many even in a part of a volume. */
const SEGMENTS_MAX = 1024;

/** Collects ranges in order; those that touch become one. */
class Page {
  readonly ranges: ByteRange[] = [];
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** False if there is no place for it. Data that ends within a grain, and begins again in it, gives it twice. */
  add(offset: number, end: number): boolean {
    const last = this.ranges.at(-1);
    if (last !== undefined && last.offset + last.length >= offset) {
      last.length = Math.max(last.length, end - last.offset);
      return true;
    }
    if (this.ranges.length === this.limit) return false;
    this.ranges.push({ offset, length: end - offset });
    return true;
  }
}

export function* allocatedRanges(volume: Volume, from: number, limit: number): Plan<RangePage> {
  const { grain } = volume;
  const sizeBytes = volume.row.size;
  checkPage(volume, from, limit);
  const page = new Page(limit);
  let window = WINDOW_GRAINS;
  for (let g = Math.floor(from / grain); g < volume.grains; ) {
    const segments = firstSegments(volume, g, Math.min(volume.grains, g + window));
    const end = segments.reduce((at, s) => at + s.count, g);
    const looks = segments.map((s) => lookAt(s, grain));
    let failed: unknown = null;
    try {
      yield looks.filter((look) => look !== null);
    } catch (error) {
      failed = error; // the file of a volume that was removed meanwhile: what is resolved again tells
    }
    // Its space may be given back already: what looks like a hole need not have been one.
    if (volume.row.retired || volume.removed)
      throw new FlashCopyError(
        'VolumeNotFound',
        `${volume.name} was deleted while its ranges were asked for`,
      );
    if (!sameOwners(segments, firstSegments(volume, g, end))) continue;
    if (failed !== null) throw failed;
    const full = addData(page, segments, looks, { grain, from, sizeBytes });
    if (full !== null) return { ranges: page.ranges, next: full, sizeBytes };
    window = segments.length <= 16 ? Math.min(window * 2, WINDOW_GRAINS_MAX) : WINDOW_GRAINS;
    g = end;
  }
  return { ranges: page.ranges, next: null, sizeBytes };
}

function firstSegments(volume: Volume, first: number, end: number): Segment[] {
  const segments: Segment[] = [];
  for (let g = first; g < end && segments.length < SEGMENTS_MAX; ) {
    const segment = firstSegment(volume, g, end);
    segments.push(segment);
    g += segment.count;
  }
  return segments;
}

function lookAt(s: Segment, grain: number): IoOp | null {
  return s.slot >= 0 ? null : op.extents(s.owner.file, s.first * grain, s.count * grain);
}

function sameOwners(a: Segment[], b: Segment[]): boolean {
  return (
    a.length === b.length &&
    a.every((s, i) => s.owner === b[i]!.owner && s.count === b[i]!.count && s.slot === b[i]!.slot)
  );
}

type Bounds = { grain: number; from: number; sizeBytes: number };

/** Where there was no place left; null: all are in. */
function addData(page: Page, segments: Segment[], looks: (IoOp | null)[], bounds: Bounds): number | null {
  const { grain, from, sizeBytes } = bounds;
  for (const [i, s] of segments.entries()) {
    const start = s.first * grain;
    const stop = (s.first + s.count) * grain;
    const runs = looks[i]?.runs ?? [{ hole: false, length: stop - start }];
    let at = start;
    for (const [n, run] of runs.entries()) {
      // More runs than an answer takes: what is left counts as data.
      const rest = n === runs.length - 1;
      const end = rest ? stop : at + run.length;
      if (!run.hole || (rest && at + run.length < stop)) {
        const first = Math.max(from, Math.floor(at / grain) * grain);
        const last = Math.min(sizeBytes, Math.ceil(end / grain) * grain);
        if (first < last && !page.add(first, last)) return first;
      }
      at = end;
    }
  }
  return null;
}

export function* changedRanges(
  state: State,
  base: Volume,
  volume: Volume,
  from: number,
  limit: number,
): Plan<RangePage> {
  const line = checkLine(base, volume);
  checkPage(volume, from, limit);
  const { grain, grains } = volume;
  const sizeBytes = volume.row.size;
  const page = new Page(limit);
  let looked = 0;
  for (const { first, end, pages } of windows(Math.floor(from / grain), grains)) {
    const changed = new Bitmap(state.arena, VOLATILE_ID, grains);
    try {
      looked += addChanged(state, base, line, changed, { first, end, pages });
      for (const run of changed.runs(first, end)) {
        const start = Math.max(from, run.first * grain);
        if (!page.add(start, Math.min(sizeBytes, (run.first + run.count) * grain)))
          return { ranges: page.ranges, next: start, sizeBytes };
      }
    } finally {
      changed.release();
    }
    if (looked < PAGES_AT_ONCE) continue;
    yield op.sleep(1);
    looked = 0;
  }
  return { ranges: page.ranges, next: null, sizeBytes };
}

/** How many looks at pages that took. */
function addChanged(state: State, base: Volume, line: Line, changed: Bitmap, window: Window): number {
  const { first, end, pages } = window;
  const grown = Math.max(first, base.grains);
  if (end > grown) changed.setRange(grown, end - grown);
  if (isRecorded(state, base, line.source)) {
    const epochs = epochsSince(state.volumes.get(line.source)!, base.row.cut!, line.until);
    return orPages(epochs, pages, changed);
  }
  changed.setRange(first, end - first);
  return 0;
}

/** Whether the volume still has the record of its changes since the snapshot; it has not if it was deleted or overwritten. */
function isRecorded(state: State, base: Volume, source: number): boolean {
  const volume = state.volumes.get(source);
  return volume !== undefined && recordsFrom(volume, base.row.cut!);
}

/** The volume whose changes are asked for, and the epoch at which they end. */
type Line = { source: number; until: number };

function checkLine(base: Volume, volume: Volume): Line {
  const refuse = (what: string) => {
    throw new FlashCopyError(
      'InvalidArgument',
      `${base.name} and ${volume.name} cannot be compared: ${what}`,
    );
  };
  const { source, cut } = base.row;
  if (!base.readOnly || source === null || cut === undefined) return refuse(`${base.name} is not a snapshot`);
  if (volume.row.id === source) return { source, until: Number.POSITIVE_INFINITY };
  if (!volume.readOnly || volume.row.source !== source || volume.row.cut === undefined)
    return refuse(`${volume.name} is neither the volume of snapshot ${base.name} nor another snapshot of it`);
  if (volume.row.cut < cut)
    return refuse(`${base.name} is the younger of the two; name the older one as the base`);
  return { source, until: volume.row.cut };
}
