/**
 * One trial: a copy of a sound pool is damaged, checked offline, and opened.
 *
 * V1  What a volume that is online shows is what it has to show. Always, also after a repair.
 * V2  A volume that is not online says why, and names the file. One that is not there any more has a stand-in that does.
 * V3  An engine that does not start says why, and names the file.
 * V4  Only volumes that the check has named are not served, and the check names the file that was damaged wherever an
 *     engine does not serve everything.
 * V5  A repair can be repeated and then finds nothing to do; it leaves nothing worse than it was.
 */
import { closeSync, copyFileSync, linkSync, mkdirSync, openSync, rmSync } from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../../src/base/errors.ts';
import { type CheckReport, checkPool } from '../../src/engine/check/check-pool.ts';
import { markFile } from '../../src/engine/file-marks.ts';
import type { Random } from '../sim/random.ts';
import { PoolOnFiles } from '../support/pool-on-files.ts';
import { filesOf, type SoundPool } from '../support/sound-pool.ts';
import { type Wound, wound } from './wounds.ts';

export type Outcome = 'unharmed' | 'suspended' | 'refused';
export type Trial = { wound: Wound; outcome: Outcome; found: number; repaired: number };

const NAMED = /catalog\.db|bitmaps\/\d|\blog\b|volumes\/\d/;

export class Violation extends Error {}

/** A plain copy has lost it. */
function mark(file: string, name: string): void {
  const fd = openSync(file, 'r+');
  markFile(fd, name);
  closeSync(fd);
}

/** A copy; the reserve, which nobody writes to while it is whole, is the same file. */
function copyTo(from: string, to: string): void {
  for (const name of ['', 'volumes', 'bitmaps']) mkdirSync(path.join(to, name));
  for (const name of filesOf(from)) {
    if (name === 'reserve') linkSync(path.join(from, name), path.join(to, name));
    else copyFileSync(path.join(from, name), path.join(to, name));
    if (name.startsWith('volumes/')) mark(path.join(to, name), name);
  }
}

/** Damages a copy of the pool in `dir`, and sees what becomes of it. Throws a Violation. */
export function trial(sound: SoundPool, dir: string, otherLogs: readonly string[], random: Random): Trial {
  copyTo(sound.dir, dir);
  try {
    return damaged(sound, dir, otherLogs, random);
  } finally {
    // What an engine that was left had under way may still end.
    rmSync(dir, { recursive: true, force: true, maxRetries: 10 });
  }
}

function damaged(sound: SoundPool, dir: string, otherLogs: readonly string[], random: Random): Trial {
  const done = wound(dir, otherLogs, random);
  const what = `${path.basename(sound.dir)}: ${done.file}: ${done.what}`;
  const fail = (text: string): never => {
    throw new Violation(`${what}: ${text}`);
  };
  const report = checkPool(dir);
  const withRepair = random.chance(0.3);
  const repaired = withRepair ? repairTwice(dir, fail) : report;
  const outcome = serve(sound, dir, repaired, fail);
  const named = [done.file, what.split('exchanged with ')[1]];
  // A WAL that is not there, or ends too early, can only be told by what does not fit to what it has left.
  const isNamed = (file: string) => done.file === 'catalog.db-wal' || named.includes(file);
  if (outcome !== 'unharmed' && !report.findings.some((f) => isNamed(f.file)))
    fail(`the check does not name the file: ${JSON.stringify(report.findings.map((f) => f.file))}`);
  return { wound: done, outcome, found: report.findings.length, repaired: repaired.repaired.length };
}

function repairTwice(dir: string, fail: (text: string) => never): CheckReport {
  const first = checkPool(dir, { repair: true });
  const second = checkPool(dir, { repair: true });
  if (second.repaired.length > 0)
    fail(`a second repair found more to do: ${JSON.stringify(second.repaired)}`);
  if (JSON.stringify(second.findings) !== JSON.stringify(first.findings))
    fail('a second repair found something else');
  return first;
}

function serve(sound: SoundPool, dir: string, report: CheckReport, fail: (text: string) => never): Outcome {
  let pool: PoolOnFiles;
  try {
    pool = PoolOnFiles.open(dir);
  } catch (error) {
    // V3. Anything without a code is a bug.
    if (!(error instanceof FlashCopyError)) throw error;
    if (!NAMED.test(error.message)) fail(`it does not start and names no file: ${error.message}`);
    if (report.findings.length === 0)
      fail(`it does not start, and the check finds nothing: ${error.message}`);
    return 'refused';
  }
  try {
    return look(sound, pool, report, fail);
  } finally {
    pool.abandon();
  }
}

function look(
  sound: SoundPool,
  pool: PoolOnFiles,
  report: CheckReport,
  fail: (text: string) => never,
): Outcome {
  const listed = pool.run(pool.core.listVolumes());
  const volumes = new Map(listed.map((v) => [v.name, v]));
  const concerned = new Set(report.findings.flatMap((f) => f.volumes));
  const standIns = listed.filter((v) => v.name.startsWith('damaged-'));
  let outcome: Outcome = 'unharmed';
  for (const [name, content] of sound.contents) {
    const volume = volumes.get(name);
    if (volume?.state === 'online') {
      if (!pool.read(name, 0, content.length).equals(content)) fail(`${name} shows something else`); // V1
      continue;
    }
    outcome = 'suspended';
    // V2
    const reason = volume?.error ?? standIns[0]?.error;
    if (reason === undefined) fail(`${name} is gone, and nothing says why`);
    if (!NAMED.test(reason!)) fail(`${name} is not online, and no file is named: ${reason}`);
    // V4
    const told = volume === undefined ? standIns.some((v) => concerned.has(`#${v.id}`)) : concerned.has(name);
    if (!told)
      fail(`${name} is not online (${reason}), and the check names ${[...concerned].join(', ') || 'nobody'}`);
  }
  return outcome;
}
