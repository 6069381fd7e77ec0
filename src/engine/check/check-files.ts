/**
 * The files of a pool beside what the rows name: data files that are missing or short, files that are nobody's, the
 * reserve.
 *
 * A file that no row names is removed where the catalog is the whole truth (stray-files.ts). Who calls this knows whether it is, and
 * goes by what was found before anything was repaired: a repair may have dropped the row that named it.
 */
import fs from 'node:fs';
import path from 'node:path';
import { PUT_CATALOG_BACK } from '../../core/recovery-log.ts';
import { dataFile } from '../../core/volume.ts';
import { Reserve } from '../reserve.ts';
import { type FileComparison, isPoolFile } from '../stray-files.ts';
import { type Finding, finding, isGivenUp } from './findings.ts';
import type { PoolImage } from './pool-image.ts';

const OURS = new Set([
  'engine.lock',
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

export function fileFindings(image: PoolImage, isWhole: boolean): Finding[] {
  return [...dataFindings(image), ...strangers(image), ...orphans(image, isWhole), ...reserveFindings(image)];
}

function dataFindings(image: PoolImage): Finding[] {
  const errors = new Map(image.badFiles.map(({ volume, error }) => [volume, error]));
  return [...image.volumes.values()].flatMap((v) => {
    const error = errors.get(v.id);
    if (error === undefined) return [];
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
    (name) => !OURS.has(name) && !NOT_OURS.test(name) && !isGivenUp(name) && name !== 'log.new',
  );
  const below = [...listed(image, 'volumes'), ...listed(image, 'bitmaps')].filter(
    (name) => !isPoolFile(name),
  );
  const remedy = 'It does no harm. Move it away; a repair leaves it where it is.';
  return [...top, ...below].map((name) => finding(name, 'it is no file of a pool', { remedy }));
}

function orphans(image: PoolImage, isWhole: boolean): Finding[] {
  const found = listed(image, '').includes('log.new')
    ? [leftover('log.new', 'it is left of the making of a log')]
    : [];
  // Of a damaged row they may be, which is told already.
  if (image.nextId === undefined || image.stored.damaged.length > 0) return found;
  const { strays, newer, later } = image.files;
  const left = (name: string): Finding => finding(name, UNNAMED, { remedy: UNSURE });
  return [
    ...found,
    ...newer.map(tooNew),
    ...later.map(tooLate),
    ...strays.map(isWhole ? (name) => leftover(name, UNNAMED) : left),
  ];
}

const tooLate = ({ file, gen }: FileComparison['later'][number]): Finding =>
  finding(file, `the catalog is older than it: it names generation ${gen} of that bitmap`, {
    remedy: PUT_CATALOG_BACK,
  });

const UNNAMED = 'no row of the catalog names it';
const UNSURE =
  'It is left where it is, and may be needed: something is wrong with the catalog, or with what it names. Mend that first.';

const leftover = (name: string, what: string): Finding =>
  finding(name, what, {
    remedy: 'It is removed.',
    repair: ({ remove }) => void remove.push(name),
  });

const tooNew = ({ file, why }: FileComparison['newer'][number]): Finding =>
  finding(file, why, {
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
