/**
 * `flashcopy check`: whether a pool that no engine has is sound, and with `repair` what can be made so safely.
 *
 * K1  Looking changes nothing (the lock's file aside), whatever is found.
 * K2  Every finding names a file. Nothing is said to be repaired before a second look has not found it again.
 * K3  A repair can be killed at any time, and be run again.
 * K4  Whether files that no row names are nobody's is decided before anything is repaired.
 */
import fs from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../../base/errors.ts';
import {
  checkPages,
  lookAt,
  type PoolMeta,
  poolMeta,
  refuseDamagedWal,
  refuseLoneWal,
  refuseNewer,
  rowsOf,
  type StoredRows,
} from '../catalog-file.ts';
import { FORMAT } from '../migrations.ts';
import { lockPool } from '../pool-lock.ts';
import { isWholeTruth } from '../stray-files.ts';
import { bitmapFileFindings } from './check-bitmaps.ts';
import { fileFindings } from './check-files.ts';
import { checkLog } from './check-log.ts';
import { rowFindings } from './check-rows.ts';
import { type Finding, finding, isGivenUp, offsetIn, type Progress } from './findings.ts';
import { OfflineReader } from './offline.ts';
import { PoolImage } from './pool-image.ts';
import { repair } from './repair.ts';

export type FindingInfo = Omit<Finding, 'repair'> & { repairable: boolean };

export type CheckReport = {
  pool: string;
  /** Of the pool, as it was found; null: that cannot be read. */
  format: number | null;
  volumes: number;
  snapshots: number;
  mappings: number;
  bitmaps: number;
  logRecords: number;
  findings: FindingInfo[];
  /** Findings that a repair has removed. */
  repaired: FindingInfo[];
  /** What is worth knowing and is no damage. */
  notes: string[];
};

/** `giveUpLog`: a repair does without an undo log that is not there, or is not this pool's. */
export type CheckOptions = { repair?: boolean; giveUpLog?: boolean; progress?: Progress };

export function checkPool(asked: string, options: CheckOptions = {}): CheckReport {
  const dir = poolAt(asked);
  const lock = lockPool(dir);
  try {
    const progress = options.progress ?? (() => undefined);
    const seen: Finding[] = [];
    const { giveUpLog = false } = options;
    let at = look(dir, progress, giveUpLog);
    const { isWhole } = at;
    for (let round = 0; options.repair && round < ROUNDS_MAX; round++) {
      if (at.findings.every((f) => f.repair === null)) break;
      seen.push(...at.findings);
      repair(at.image, at.findings);
      at = look(dir, progress, giveUpLog, isWhole);
    }
    const left = new Set(at.findings.map(nameOf));
    return reportOf(
      at,
      seen.filter((f) => !left.has(nameOf(f))),
    );
  } finally {
    lock.release();
  }
}

/** What a repair has dropped may have named something else. */
const ROUNDS_MAX = 4;

const nameOf = (f: Finding): string => `${f.file} ${f.offset} ${f.what}`;

function poolAt(asked: string): string {
  const stat = fs.statSync(asked, { throwIfNoEntry: false });
  const names = stat?.isDirectory() ? fs.readdirSync(asked) : [];
  if (['catalog.db', 'log', 'volumes'].some((name) => names.includes(name))) return fs.realpathSync(asked);
  throw new FlashCopyError(
    'PoolUnsuitable',
    `${asked} is no pool: there is neither a catalog nor a log in it. Name the directory that --pool names for the engine.`,
  );
}

type Look = {
  image: PoolImage;
  findings: Finding[];
  notes: string[];
  logRecords: number;
  /** The catalog is the whole truth (stray-files.ts). */
  isWhole: boolean;
};

/** `wasWhole`: when it was first looked at. */
function look(dir: string, progress: Progress, giveUpLog: boolean, wasWhole = true): Look {
  const catalog = readCatalog(dir, progress);
  const image = new PoolImage(dir, catalog.stored, catalog.meta);
  const reader = new OfflineReader(dir);
  try {
    progress('undo log', 0, 1);
    const log = checkLog(image, reader, giveUpLog);
    progress('undo log', 1, 1);
    const bitmaps = bitmapFileFindings(image, reader, progress);
    const isWhole = wasWhole && log.isWhole && isWholeImage(image);
    const found = [
      ...catalog.findings,
      ...bitmaps,
      ...rowFindings(image),
      ...log.findings,
      ...fileFindings(image, isWhole),
    ];
    const findings = log.isNewer || hasLaterBitmaps(image) ? found.map(untilPutBack) : found;
    const notes = [...log.notes, ...formatNotes(image)];
    for (const name of fs.readdirSync(dir).filter(isGivenUp))
      notes.push(
        `${name} is what a repair found in the place of the undo log. Nothing in the pool needs it.`,
      );
    if (image.engine?.clean === false)
      notes.push(
        'The pool was not closed: its engine was killed, or the power failed. The next start goes on from there.',
      );
    return { image, findings, notes, logRecords: log.records, isWhole };
  } finally {
    reader.close();
  }
}

const hasLaterBitmaps = ({ files }: PoolImage): boolean => files.later.length > 0;

/** With an older catalog what is there would be given up for what it names. */
const untilPutBack = (f: Finding): Finding =>
  f.repair === null ? f : { ...f, repair: null, remedy: `Not before catalog.db is put back: ${f.remedy}` };

function isWholeImage(image: PoolImage): boolean {
  if (!image.whole || image.badBitmaps.size > 0) return false;
  return isWholeTruth(image.stored, image.files, image.badFiles);
}

function formatNotes({ meta }: PoolImage): string[] {
  if (meta === undefined || meta.format === FORMAT) return [];
  return [
    `The pool has format ${meta.format}, and this release writes ${FORMAT}. A check leaves that as it is; the next start of an ` +
      `engine brings it to ${FORMAT}, and then releases that do not know that one refuse the pool.`,
  ];
}

/** The catalog, or why it cannot be read. */
function readCatalog(
  dir: string,
  progress: Progress,
): { stored: StoredRows; meta: PoolMeta | undefined; findings: Finding[] } {
  const file = path.join(dir, 'catalog.db');
  const nothing: StoredRows = { rows: [], damaged: [] };
  progress('catalog', 0, 1);
  try {
    refuseLoneWal(file);
    if (!fs.existsSync(file))
      return {
        stored: nothing,
        meta: undefined,
        findings: [finding('catalog.db', 'the catalog is missing')],
      };
    refuseNewer(file, FORMAT);
    refuseDamagedWal(file);
    const read = lookAt(file, (db) => {
      checkPages(db, file);
      return { stored: rowsOf(db, file), meta: poolMeta(db) };
    });
    progress('catalog', 1, 1);
    return { ...read, findings: [] };
  } catch (error) {
    if (!(error instanceof FlashCopyError)) throw error;
    const name = error.message.includes('catalog.db-wal at byte') ? 'catalog.db-wal' : 'catalog.db';
    const remedy =
      error.code === 'PoolTooNew' ? { remedy: 'Use the release that wrote it, or a later one.' } : {};
    const found = finding(name, error.message, { offset: offsetIn(error.message), ...remedy });
    return { stored: nothing, meta: undefined, findings: [found] };
  }
}

const infoOf = ({ repair: action, ...rest }: Finding): FindingInfo => ({
  ...rest,
  repairable: action !== null,
});

function reportOf({ image, findings, notes, logRecords }: Look, repaired: Finding[]): CheckReport {
  const volumes = [...image.volumes.values()].filter((v) => !v.retired);
  return {
    pool: image.dir,
    format: image.meta?.format ?? null,
    volumes: volumes.filter((v) => v.kind === 'volume').length,
    snapshots: volumes.filter((v) => v.kind === 'snapshot').length,
    mappings: image.mappings.size,
    bitmaps: image.bitmaps.size,
    logRecords,
    findings: findings.map(infoOf),
    repaired: repaired.map(infoOf),
    notes,
  };
}
