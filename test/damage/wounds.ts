/**
 * Ways to damage a pool: one bit or byte turned over, a sector of zeros, a file cut short, one gone, two exchanged, the undo
 * log zeroed or another pool's. Where, is decided by a seed. Every file that describes the data is hit; data files are only cut short, taken away or exchanged,
 * because what is in them has no checksum.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { Random } from '../sim/random.ts';
import { filesOf } from '../support/sound-pool.ts';

const SECTOR = 4096;

export type Wound = { file: string; what: string; bytes: number };

const METADATA = /^(catalog\.db|catalog\.db-wal|log|bitmaps\/.*)$/;

/** The parts of the log that are in use; most of it is zeros that nobody looks at, and at the end there is a mark. */
function usedPart(file: string): [from: number, to: number] {
  const bytes = fs.readFileSync(file);
  let to = bytes.length - SECTOR;
  while (to > SECTOR && bytes.subarray(to - SECTOR, to).every((byte) => byte === 0)) to -= SECTOR;
  return [0, to];
}

/** `otherLogs`: those of other pools. */
export function wound(dir: string, otherLogs: readonly string[], random: Random): Wound {
  const files = filesOf(dir).filter(
    (name) => METADATA.test(name) && fs.statSync(path.join(dir, name)).size > 0,
  );
  const kind = random.int(100);
  if (kind < 80) return turnOver(dir, pick(files, random), random);
  if (kind < 86) return zeroSector(dir, pick(files, random), random);
  const all = [...files, ...filesOf(dir).filter((name) => name.startsWith('volumes/'))];
  if (kind < 92) return cutShort(dir, pick(all, random), random);
  if (kind < 95) return takeAway(dir, pick(all, random));
  if (kind < 97) return loseLog(dir, otherLogs, random);
  return exchange(dir, files, random);
}

/** Each kind of file as often as any other, however many there are. */
function pick(files: string[], random: Random): string {
  const kinds = [...new Set(files.map((name) => name.split('/')[0]))];
  const kind = random.pick(kinds);
  return random.pick(files.filter((name) => name.split('/')[0] === kind));
}

function place(dir: string, file: string, random: Random): number {
  const [from, to] =
    file === 'log' ? usedPart(path.join(dir, file)) : [0, fs.statSync(path.join(dir, file)).size];
  return from + random.int(to - from);
}

function turnOver(dir: string, file: string, random: Random): Wound {
  const at = place(dir, file, random);
  const mask = random.int(2) === 0 ? 1 << random.int(8) : 1 + random.int(255);
  const fd = fs.openSync(path.join(dir, file), 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  byte[0]! ^= mask;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
  return { file, what: `byte ${at} ^ ${mask}`, bytes: 1 };
}

function zeroSector(dir: string, file: string, random: Random): Wound {
  const size = fs.statSync(path.join(dir, file)).size;
  const at = Math.floor(place(dir, file, random) / 512) * 512;
  const length = Math.min(512, size - at);
  const fd = fs.openSync(path.join(dir, file), 'r+');
  fs.writeSync(fd, Buffer.alloc(length), 0, length, at);
  fs.closeSync(fd);
  return { file, what: `${length} zeros at byte ${at}`, bytes: length };
}

function cutShort(dir: string, file: string, random: Random): Wound {
  const { size } = fs.statSync(path.join(dir, file));
  const to = random.int(size);
  fs.truncateSync(path.join(dir, file), to);
  return { file, what: `cut from ${size} to ${to} bytes`, bytes: size - to };
}

function takeAway(dir: string, file: string): Wound {
  const { size } = fs.statSync(path.join(dir, file));
  fs.rmSync(path.join(dir, file));
  return { file, what: 'gone', bytes: size };
}

function loseLog(dir: string, otherLogs: readonly string[], random: Random): Wound {
  const file = path.join(dir, 'log');
  const { size } = fs.statSync(file);
  const other = random.chance(0.5) ? random.pick(otherLogs) : undefined;
  if (other === undefined) fs.writeFileSync(file, Buffer.alloc(size));
  else fs.copyFileSync(other, file);
  return { file: 'log', what: other ? `that of ${other}` : 'zeros', bytes: size };
}

function exchange(dir: string, files: string[], random: Random): Wound {
  const below = random.chance(0.5) ? 'bitmaps/' : 'volumes/';
  const alike = filesOf(dir).filter((name) => name.startsWith(below));
  if (alike.length < 2) return turnOver(dir, pick(files, random), random);
  const one = random.pick(alike);
  const other = random.pick(alike.filter((name) => name !== one));
  const aside = path.join(dir, 'aside');
  fs.renameSync(path.join(dir, one), aside);
  fs.renameSync(path.join(dir, other), path.join(dir, one));
  fs.renameSync(aside, path.join(dir, other));
  return { file: one, what: `exchanged with ${other}`, bytes: fs.statSync(path.join(dir, one)).size };
}
