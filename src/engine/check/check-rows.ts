/**
 * The catalog's rows against each other: what the core takes for granted when it opens a pool.
 *
 * A volume reads through at most one other, of the same grain, and nobody reads through himself. What a volume holds is
 * known exactly where it reads through another. Epochs belong to volumes, bitmaps to one of either, files to one volume.
 */
import type { BitmapRow, EpochRow, MappingRow, VolumeRow } from '../../core/rows.ts';
import { isState } from '../../core/states.ts';
import { generationsOf } from '../stray-files.ts';
import { everythingChanged } from './change-records.ts';
import { damagedRowFindings } from './damaged-rows.ts';
import { type Finding, finding } from './findings.ts';
import type { PoolImage } from './pool-image.ts';

const CATALOG = 'catalog.db';

const wrong = (what: string, volumes: string[]): Finding => finding(CATALOG, what, { volumes });

export function rowFindings(image: PoolImage): Finding[] {
  return [
    ...damagedRowFindings(image),
    ...keyFindings(image),
    ...engineFindings(image),
    ...[...image.volumes.values()].flatMap((v) => volumeFindings(image, v)),
    ...nameFindings(image),
    ...fileFindings(image),
    ...[...image.mappings.values()].flatMap((m) => mappingFindings(image, m)),
    ...[...image.epochs.values()].flatMap((e) => epochFindings(image, e)),
    ...[...image.bitmaps.values()].flatMap((b) => bitmapFindings(image, b)),
  ];
}

function keyFindings(image: PoolImage): Finding[] {
  return image.stored.rows.flatMap(({ table, key, row }) => {
    const { id } = row as { id?: number };
    if (table === 'engine' || id === undefined || id === key) return [];
    return [wrong(`row ${table} ${key} says that it is ${id}`, [])];
  });
}

function engineFindings(image: PoolImage): Finding[] {
  const { engine, stored } = image;
  const all = [...image.volumes.values()].map((v) => v.name);
  if (engine === undefined) {
    const told = stored.rows.length === 0 || stored.damaged.some((d) => d.table === 'engine');
    return told ? [] : [wrong('the row engine is missing: the pool cannot be opened without it', all)];
  }
  const used = stored.rows.filter((r) => r.table !== 'engine').map((r) => r.key);
  const files = [...image.volumes.values()].map((v) => v.file);
  const last = Math.max(0, ...used, ...files);
  if (engine.nextId > last) return [];
  return [wrong(`the row engine would give out id ${engine.nextId}, and ${last} is in use`, all)];
}

function volumeFindings(image: PoolImage, v: VolumeRow): Finding[] {
  const found: Finding[] = [];
  const volumes = image.withReaders(v);
  const say = (what: string) => found.push(wrong(`volume ${v.name} (row ${v.id}): ${what}`, volumes));
  if (!(v.size > 0 && v.size % 4096 === 0)) say(`its size is ${v.size}`);
  if (!(v.grain >= 4096 && (v.grain & (v.grain - 1)) === 0)) say(`its grain is ${v.grain}`);
  if (v.parent !== null) {
    const parent = image.volumes.get(v.parent);
    if (parent === undefined) say(`it reads through volume ${v.parent}, which is not there`);
    else if (parent.grain !== v.grain)
      say(`its grain is ${v.grain}, and that of ${parent.name} ${parent.grain}`);
    if (isInCircle(image, v)) say('it reads through itself');
    if (v.held === null && v.offline === '') say('it reads through another, and nothing says what it holds');
  } else if (v.held !== null && !v.retired && v.offline === '')
    say('it does not hold everything, and reads through nobody');
  if (v.held !== null) {
    const bitmap = image.bitmaps.get(v.held);
    const told = image.stored.damaged.some((d) => d.table === 'bitmap' && d.key === v.held);
    if (bitmap === undefined && !told) say(`its FC bitmap ${v.held} is not there`);
    if (bitmap !== undefined && bitmap.bits !== image.grains(v))
      say(`it has ${image.grains(v)} grains, and its FC bitmap ${bitmap.bits} bits`);
  }
  return found;
}

function isInCircle(image: PoolImage, v: VolumeRow): boolean {
  const seen = new Set<number>();
  for (let at = v.parent; at !== null; at = image.volumes.get(at)?.parent ?? null) {
    if (at === v.id) return true;
    if (seen.has(at)) return false;
    seen.add(at);
  }
  return false;
}

function nameFindings(image: PoolImage): Finding[] {
  const names = new Map<string, number>();
  return [...image.volumes.values()].flatMap((v) => {
    if (v.retired) return [];
    const other = names.get(v.name);
    names.set(v.name, v.id);
    return other === undefined ? [] : [wrong(`volumes ${other} and ${v.id} are both ${v.name}`, [v.name])];
  });
}

/** Files and bitmaps have one owner. */
function fileFindings(image: PoolImage): Finding[] {
  const owners = new Map<string, string>();
  const found: Finding[] = [];
  const own = (thing: string, owner: string, volume: string) => {
    const other = owners.get(thing);
    if (other !== undefined) found.push(wrong(`${thing} belongs to ${other} and to ${owner}`, [volume]));
    owners.set(thing, owner);
  };
  for (const v of image.volumes.values()) {
    own(`data file ${v.file}`, `volume ${v.name}`, v.name);
    if (v.held !== null) own(`bitmap ${v.held}`, `volume ${v.name}`, v.name);
  }
  for (const e of image.epochs.values()) {
    const name = image.volumes.get(e.volume)?.name ?? `#${e.volume}`;
    own(`bitmap ${e.bitmap}`, `epoch ${e.id}`, name);
    own(`epoch ${e.seq} of volume ${name}`, `row ${e.id}`, name);
  }
  return found;
}

function mappingFindings(image: PoolImage, m: MappingRow): Finding[] {
  const target = image.volumes.get(m.target);
  const names = target === undefined ? [] : image.withReaders(target);
  const say = (what: string) => [wrong(`mapping ${m.name} (row ${m.id}): ${what}`, names)];
  if (!isState(m.state)) return say(`its state is ${JSON.stringify(m.state)}, which there is not`);
  const told = image.stored.damaged.some((d) => d.table === 'volume' && d.key === m.target);
  if (target === undefined) return told ? [] : say(`its target ${m.target} is not there`);
  const first = image.mappingTo(target)!;
  if (first.id !== m.id) return say(`its target ${target.name} is the target of mapping ${first.name} too`);
  const hasCut = ['copying', 'copied', 'stopping'].includes(m.state);
  if (hasCut && !(m.cut > 0)) return say(`it is ${m.state}, and has no cut`);
  return [];
}

function epochFindings(image: PoolImage, e: EpochRow): Finding[] {
  const volume = image.volumes.get(e.volume);
  if (volume === undefined) return orphan(image, 'epoch', e.id, `volume ${e.volume} is not there`);
  const say = (what: string) => [
    wrong(`epoch ${e.seq} of ${volume.name} (row ${e.id}): ${what}`, [volume.name]),
  ];
  if (e.seq > volume.epoch) return say(`the newest epoch of the volume is ${volume.epoch}`);
  const bitmap = image.bitmaps.get(e.bitmap);
  if (bitmap !== undefined) {
    if (bitmap.bits === image.grains(volume)) return [];
    return say(`its bitmap has ${bitmap.bits} bits, and the volume ${image.grains(volume)} grains`);
  }
  if (image.stored.damaged.some((d) => d.table === 'bitmap' && d.key === e.bitmap)) return [];
  const what = `epoch ${e.seq} of ${volume.name} (row ${e.id}): its bitmap ${e.bitmap} is not there`;
  return [finding(CATALOG, what, { volumes: [volume.name], ...everythingChanged(image, e) })];
}

function bitmapFindings(image: PoolImage, b: BitmapRow): Finding[] {
  if (image.holderOf(b.id) !== undefined || image.epochWith(b.id) !== undefined) return [];
  return orphan(image, 'bitmap', b.id, 'it is no volume’s and no epoch’s');
}

/** Whose they are may stand in a row that is damaged or missing: then they stay. */
function orphan(image: PoolImage, table: string, key: number, why: string): Finding[] {
  if (!image.whole) return [];
  return [
    finding(CATALOG, `row ${table} ${key} is nobody's: ${why}`, {
      remedy: 'The row is dropped; nobody can ask for it.',
      repair: ({ rows, remove }) => {
        rows.push({ table, key, row: null });
        if (table === 'bitmap') remove.push(...generationsOf(image.dir, key));
      },
    }),
  ];
}
