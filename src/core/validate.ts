/**
 * What requests may ask for. Every refusal says what was asked, what is allowed or was found, and what to do.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { Labels } from '../base/model.ts';
import { COPY_RATE_MAX } from './rate.ts';
import type { State } from './state.ts';
import type { Mapping, Volume } from './volume.ts';

const BLOCK = 4096;
export const GRAIN_DEFAULT = 4096;
const GRAIN_MAX = 1024 * 1024;
const SIZE_MAX = 64 * 1024 ** 4;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Ranges in one answer. */
const PAGE_MAX = 16 * 1024;
const LABELS_MAX = 32;
const LABEL_KEY = /^[A-Za-z0-9._/-]{1,63}$/;
const LABEL_VALUE_MAX = 1024;

const invalid = (message: string) => new FlashCopyError('InvalidArgument', message);

/** S1: names never become paths, and could not if they did. */
export function checkName(what: string, name: string): void {
  if (typeof name === 'string' && NAME.test(name)) return;
  const shown = JSON.stringify(String(name).slice(0, 140));
  throw invalid(
    `${shown} cannot name a ${what}: use 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit`,
  );
}

export function checkSize(size: number): void {
  if (!Number.isSafeInteger(size) || size <= 0)
    throw invalid(`a size of ${size} bytes: it has to be more than 0`);
  if (size % BLOCK !== 0) throw invalid(`a size of ${size} bytes: it has to be a multiple of ${BLOCK}`);
  if (size > SIZE_MAX)
    throw invalid(`a size of ${size} bytes: the largest volume is 64 TiB (${SIZE_MAX} bytes)`);
}

export function checkGrain(grain: number): void {
  const ok = Number.isInteger(grain) && grain >= BLOCK && grain <= GRAIN_MAX && (grain & (grain - 1)) === 0;
  if (!ok)
    throw invalid(`a grain of ${grain} bytes: it has to be a power of two from ${BLOCK} to ${GRAIN_MAX}`);
}

/** They are in a row of the catalog, which every change of the volume writes. */
export function checkLabels(labels: Labels): void {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MAX)
    throw invalid(`${entries.length} labels: a volume has at most ${LABELS_MAX}`);
  for (const [key, value] of entries) {
    if (!LABEL_KEY.test(key))
      throw invalid(
        `${JSON.stringify(key.slice(0, 80))} cannot be a label: use 1 to 63 letters, digits, '.', '_', '-' or '/'`,
      );
    if (typeof value !== 'string' || value.length > LABEL_VALUE_MAX)
      throw invalid(`label ${key} has ${value.length} characters: at most ${LABEL_VALUE_MAX} are kept`);
  }
}

export function checkRate(rate: number): void {
  if (!Number.isInteger(rate) || rate < 0 || rate > COPY_RATE_MAX)
    throw invalid(
      `a copy rate of ${rate}: it has to be a whole number from 0 (no background copy) to ${COPY_RATE_MAX}`,
    );
}

export function checkPage(volume: Volume, from: number, limit: number): void {
  if (!Number.isSafeInteger(from) || from < 0 || from > volume.row.size)
    throw invalid(`ranges of ${volume.name} from byte ${from} on: it has ${volume.row.size} bytes`);
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX)
    throw invalid(`${limit} ranges: ask for 1 to ${PAGE_MAX} at a time`);
}

/** Whether `target` may become a copy of `source`, by the mapping `self` if it exists already. */
export function checkPair(state: State, source: Volume, target: Volume, self: Mapping | null): void {
  if (source === target) throw invalid(`${source.name} cannot be copied to itself: name another target`);
  if (target.readOnly)
    throw invalid(`${target.name} is a snapshot: a snapshot is never the target of a mapping`);
  if (target.grain !== source.grain)
    throw invalid(
      `target ${target.name} has grains of ${target.grain} bytes, source ${source.name} of ${source.grain}: create a target with the source's grain`,
    );
  if (target.row.size < source.row.size)
    throw invalid(
      `target ${target.name} has a size of ${target.row.size} bytes, source ${source.name} of ${source.row.size}: grow the target first`,
    );
  if (dependsOn(state, source, target))
    throw invalid(`${target.name} is where ${source.name} still reads from: it cannot become its target`);
  const other = state.mappingOf(target);
  if (other !== undefined && other !== self)
    throw new FlashCopyError(
      'TargetInUse',
      `${target.name} is already the target of mapping ${other.row.name} (${other.row.state}): delete that mapping first`,
    );
  if (target.parent !== null && other === undefined)
    throw new FlashCopyError(
      'TargetInUse',
      `${target.name} still reads from ${target.parent.name}, without a mapping: name another target`,
    );
}

/** Whether the volume reads through the other one, or would after a sync. */
function dependsOn(state: State, volume: Volume, other: Volume): boolean {
  const seen = new Set<Volume>([volume]);
  for (const v of seen) {
    if (v === other) return true;
    if (v.parent !== null) seen.add(v.parent);
    const row = state.mappingOf(v)?.row;
    const source = row?.incremental === true && row.cut > 0 ? state.volumes.get(row.source) : undefined;
    if (source !== undefined) seen.add(source);
  }
  return false;
}

export function checkIncremental(mapping: Mapping): void {
  if (mapping.row.incremental) return;
  throw new FlashCopyError(
    'WrongState',
    `mapping ${mapping.row.name} is a plain one: only an incremental mapping can be synced; create it with --incremental`,
  );
}
