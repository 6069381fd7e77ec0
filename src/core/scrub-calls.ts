/** The scrub as the outside starts, stops and sees it. */
import { FlashCopyError } from '../base/errors.ts';
import type { ScrubFinding, ScrubInfo } from '../base/model.ts';
import { canWait, lackingChildren } from './bad-file.ts';
import { takeOffline } from './offline.ts';
import type { Plan } from './ops.ts';
import { noteFinding, saveScrub, startScrubLoop } from './scrub.ts';
import type { State } from './state.ts';
import type { Volume } from './volume.ts';

const RATE_DEFAULT = 64 * 1024 * 1024;
const RATE_MIN = 64 * 1024;
const WARNINGS_MAX = 10;

/** What the main thread has found: a volume's data file is not what it must be, or a part of the catalog. */
export type FoundBefore = ScrubFinding & { volumeId?: number };

/** Begins, or goes on where it was stopped; one that runs gets the rate. 0: the default, or the rate that it has. */
export function* startScrub(state: State, bytesPerSecond: number, found: FoundBefore[]): Plan<ScrubInfo> {
  if (!Number.isSafeInteger(bytesPerSecond) || (bytesPerSecond !== 0 && bytesPerSecond < RATE_MIN))
    throw new FlashCopyError(
      'InvalidArgument',
      `a scrub at ${bytesPerSecond} bytes a second: ask for at least ${RATE_MIN}, or for 0, the default`,
    );
  const before = state.scrub;
  const goesOn = before !== null && before.state !== 'done';
  state.scrub = {
    id: 1,
    state: 'running',
    bytesPerSecond: bytesPerSecond || (goesOn ? before.bytesPerSecond : RATE_DEFAULT),
    startedAt: goesOn ? before.startedAt : state.clock.now(),
    endedAt: 0,
    volume: goesOn ? before.volume : 0,
    offset: goesOn ? before.offset : 0,
    findings: goesOn ? before.findings : [],
    error: '',
  };
  const bad: Volume[] = [];
  for (const { volumeId, ...finding } of found) {
    noteFinding(state, finding);
    const volume = volumeId === undefined ? undefined : state.volumes.get(volumeId);
    // Unless it has another file by now.
    if (volume === undefined || volume.file.path !== finding.file) continue;
    volume.file.damage ||= `${finding.file}: ${finding.what}`;
    // No flush will say that it has what it was filled with.
    state.log.unfill(volume);
    bad.push(volume);
  }
  // All of them as they are now: a fill that is under way ends in a bad file, and is worth nothing there.
  const lost = bad.filter((volume) => !canWait(volume));
  for (const volume of lost) yield* lose(state, volume, volume.badFile);
  yield* saveScrub(state);
  startScrubLoop(state);
  return scrubInfo(state);
}

/** For good, as at a start: those that it reads from are served, and what it has to get from them would come to that file. */
function* lose(state: State, volume: Volume, reason: string): Plan<void> {
  yield* takeOffline(state, volume, reason);
  for (const child of lackingChildren(volume))
    yield* lose(state, child, `it reads through ${volume.name}: ${reason}`);
}

export function* stopScrub(state: State): Plan<ScrubInfo> {
  if (state.scrub?.state === 'running') {
    state.scrub = { ...state.scrub, state: 'stopped' };
    yield* saveScrub(state);
  }
  return scrubInfo(state);
}

export function scrubInfo(state: State): ScrubInfo {
  const row = state.scrub;
  const volumes = [...state.volumes.values()].filter((v) => !v.row.retired);
  const totalBytes = volumes.reduce((sum, v) => sum + v.sizeBytes, 0);
  if (row === null)
    return {
      ...{ state: 'never', bytesPerSecond: 0, startedAt: 0, endedAt: 0, volume: '' },
      ...{ doneBytes: 0, totalBytes, findings: [], error: '' },
    };
  const done = volumes.filter((v) => v.id < row.volume).reduce((sum, v) => sum + v.sizeBytes, 0);
  const at = volumes.find((v) => v.id === row.volume);
  const { bytesPerSecond, startedAt, endedAt, findings, error } = row;
  return {
    state: row.state,
    bytesPerSecond,
    startedAt,
    endedAt,
    volume: row.state === 'done' ? '' : (at?.name ?? ''),
    doneBytes: row.state === 'done' ? totalBytes : done + Math.min(row.offset, at?.sizeBytes ?? 0),
    totalBytes,
    findings: [...findings],
    error,
  };
}

export function scrubWarnings(state: State): string[] {
  const findings = state.scrub?.findings ?? [];
  const shown = findings.slice(0, WARNINGS_MAX).map(({ volume, file, offset, what }) => {
    const place = offset === null ? file : `${file} at byte ${offset}`;
    return `The scrub found damage in ${place}${volume === '' ? '' : ` (${volume})`}: ${what}.`;
  });
  const more = findings.length - shown.length;
  return more > 0 ? [...shown, `The scrub found ${more} more: flashcopy scrub status.`] : shown;
}
