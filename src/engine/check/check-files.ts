/**
 * The files of a pool beside what the rows name: data files that are missing or short, files that are nobody's, the
 * reserve.
 *
 * A file that no row names is removed, where every row can be read and every file is there that a row names. Not beside
 * one with a number that the catalog has not given out yet: then the catalog is older than that, and may lack rows.
 */
import fs from 'node:fs';
import path from 'node:path';
import { dataFile } from '../../core/volume.ts';
import { badDataFile } from '../data-files.ts';
import { Reserve } from '../reserve.ts';
import { compareFiles, isPoolFile } from '../stray-files.ts';
import { type Finding, finding } from './findings.ts';
import type { PoolImage } from './pool-image.ts';

const OURS = new Set([
  'engine.lock',
  'log.given-up',
  'catalog.db',
  'catalog.db-wal',
  'catalog.db-shm',
  'reserve',
  'log',
  'volumes',
  'bitmaps',
]);
/** What a filesystem has of its own, and what an engine that tries out the directory may leave. */
const NOT_OURS = /^(lost\+found|\.check\..*)$/;

export function fileFindings(image: PoolImage): Finding[] {
  return [...dataFindings(image), ...strangers(image), ...orphans(image), ...reserveFindings(image)];
}

function dataFindings(image: PoolImage): Finding[] {
  return [...image.volumes.values()].flatMap((v) => {
    const error = badDataFile(image.dir, v);
    if (error === null) return [];
    const remedy = `Put the file back as it was, before an engine is started: those that read through others are lost then.`;
    return [finding(dataFile(v.file).path, `${v.name}: ${error}`, { volumes: image.withReaders(v), remedy })];
  });
}

function listed(image: PoolImage, below: string): string[] {
  const dir = path.join(image.dir, below);
  if (!fs.existsSync(dir)) return [];
  return fs.readdirSync(dir).map((name) => path.join(below, name));
}

function strangers(image: PoolImage): Finding[] {
  const top = listed(image, '').filter(
    (name) => !OURS.has(name) && !NOT_OURS.test(name) && name !== 'log.new',
  );
  const below = [...listed(image, 'volumes'), ...listed(image, 'bitmaps')].filter(
    (name) => !isPoolFile(name),
  );
  const remedy = 'It does no harm. Move it away; a repair leaves it where it is.';
  return [...top, ...below].map((name) => finding(name, 'it is no file of a pool', { remedy }));
}

function orphans(image: PoolImage): Finding[] {
  const found = listed(image, '').includes('log.new')
    ? [leftover('log.new', 'it is left of the making of a log')]
    : [];
  if (!image.whole) return found;
  const { strays, missing, newer } = compareFiles(image.dir, image.stored, image.nextId!);
  if (missing.length > 0 || newer.length > 0)
    return [
      ...found,
      ...newer.map(tooNew),
      ...strays.map((name) => finding(name, UNNAMED, { remedy: UNSURE })),
    ];
  return [...found, ...strays.map((name) => leftover(name, UNNAMED))];
}

const UNNAMED = 'no row of the catalog names it';
const UNSURE =
  'It is left where it is: files that rows name are missing, or the catalog is older than others, so it may be needed.';

const leftover = (name: string, what: string): Finding =>
  finding(name, what, {
    remedy: 'It is removed.',
    repair: ({ remove }) => void remove.push(name),
  });

const tooNew = (name: string): Finding =>
  finding(name, 'the catalog is older than it: its number was not given out yet', {
    remedy: 'The catalog may be an old copy. If it is not, and no volume is missing, remove the file.',
  });

function reserveFindings(image: PoolImage): Finding[] {
  const reserve = new Reserve(image.dir);
  if (reserve.present() || !reserve.hasRoom()) return [];
  return [
    finding('reserve', 'it is missing or not whole: on a full disk nothing could be deleted', {
      remedy: 'It is made anew.',
      repair: (repairs) => repairs.makeReserve(),
    }),
  ];
}
