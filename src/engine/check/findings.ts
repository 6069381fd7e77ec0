/**
 * What a check of a pool finds: what is wrong, where, whom it concerns, and what is to be done.
 *
 * A repair is only ever something that cannot make content wrong: giving up what nobody needs, making anew what is
 * redundant, saying "all of it changed" of a record of changes (C2). Content is never guessed. All rows that repairs
 * change are one transaction; files go after it, so that a crash on the way leaves files that the next check finds.
 */
import type { RowChange } from '../../core/ops.ts';

/** What repairs ask for. */
export type Repairs = {
  readonly rows: RowChange[];
  /** Files to remove, below the pool. */
  readonly remove: string[];
  newId(): number;
  makeReserve(): void;
  /** A new, empty undo log of so many bytes. */
  makeLog(bytes: number): void;
  /** The same, though the old one may have held grains: whoever lacks some is lost, and the next engine knows it. */
  giveUpLog(bytes: number): void;
};

export type Finding = {
  what: string;
  /** Below the pool. */
  file: string;
  /** Where in the file, when that is known. */
  offset: number | null;
  /** Volumes whose content or service is concerned. */
  volumes: string[];
  /** What `--repair` does; or, where there is no repair, what a person can do. */
  remedy: string;
  repair: ((repairs: Repairs) => void) | null;
};

/** What a repair found in the place of a log that was given up: with a number behind it, where there is one already. */
export const GIVEN_UP = 'log.given-up';
export const isGivenUp = (name: string): boolean => /^log\.given-up(\.\d+)?$/.test(name);

export const RESTORE =
  'Keep a copy of the whole pool directory, then put the file back from a backup of the same moment as the rest of the pool.';

export function finding(file: string, what: string, more: Partial<Finding> = {}): Finding {
  return { what, file, offset: null, volumes: [], remedy: RESTORE, repair: null, ...more };
}

/** "at byte 4096" in a message of the core. */
export function offsetIn(message: string): number | null {
  const at = /at byte (\d+)/.exec(message)?.[1];
  return at === undefined ? null : Number(at);
}

/** Progress of the long parts. */
export type Progress = (what: string, done: number, total: number) => void;
