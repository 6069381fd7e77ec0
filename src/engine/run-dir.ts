/**
 * The run directory of a pool's engine: what exists only while it runs.
 *
 *   mnt-*        where the volumes' files are mounted (FUSE)
 *   engine.pid   pid of the engine process, for people and for tests
 *   cache/       the engine's compiled sources
 *   kept-*       of each mount the name under which a keeper holds its descriptors (keeper-link.ts)
 *   frozen-*     of each mount what is to be thawed should its engine die (freezing.ts)
 *
 * It is named after the pool's real path, and the mount after the directory that is there. Whoever holds the pool's lock
 * has it to himself, and what is found in it was left by an engine that died.
 *
 * So no two engines of a machine have mounts of the same name, although in each of several containers the pool may be at
 * the same path. That is what tells whose a loop device is, also when nobody answers for it any more: loop devices are
 * shared by all containers, and know their file by its name.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../base/errors.ts';
import { mountAt } from '../sys/mount.ts';
import { run } from '../sys/run.ts';

const BASE = '/run/flashcopy';

export type RunDir = {
  readonly dir: string;
  readonly mountDir: string;
  readonly pidFile: string;
  readonly cacheDir: string;
  readonly keyFile: string;
};

export function runDirOf(poolDir: string, base = BASE): RunDir {
  const hash = createHash('sha256').update(poolDir).digest('hex').slice(0, 12);
  const dir = path.join(base, hash);
  const { dev, ino } = fs.statSync(poolDir, { bigint: true });
  const mount = `mnt-${dev.toString(16)}-${ino.toString(16)}`;
  return {
    dir,
    mountDir: path.join(dir, mount),
    keyFile: path.join(dir, `kept-${mount}`),
    pidFile: path.join(dir, 'engine.pid'),
    cacheDir: path.join(dir, 'cache'),
  };
}

/** How the names of the notes of the engine with that mount begin. */
export const notePrefixOf = (mountDir: string): string => `frozen-${path.basename(mountDir)}-`;

export function makeRunDir({ mountDir }: RunDir): void {
  fs.mkdirSync(mountDir, { recursive: true, mode: 0o700 });
}

/**
 * Takes the mount out of the tree at once, also while loop devices hold files of it; the kernel frees it after the
 * last of them. No look at the mount (-c) and no helper (-i): both could wait for a server that is gone.
 */
export async function unmountLazily(mountDir: string): Promise<void> {
  if (mountAt(mountDir) === undefined) return;
  const { stderr } = await run('umount', ['-i', '-c', '-l', mountDir]);
  if (mountAt(mountDir) === undefined) return;
  throw new FlashCopyError('IoError', `The mount ${mountDir} could not be removed: ${stderr.trim()}.`);
}

/** After the unmount. The base directory stays: other engines use it. */
export function removeRunDir({ dir, mountDir, pidFile, cacheDir, keyFile }: RunDir): void {
  for (const file of [pidFile, keyFile]) fs.rmSync(file, { force: true });
  fs.rmSync(cacheDir, { recursive: true, force: true });
  const prefix = notePrefixOf(mountDir);
  const notes = fs.existsSync(dir) ? fs.readdirSync(dir).filter((name) => name.startsWith(prefix)) : [];
  for (const note of notes) fs.rmSync(path.join(dir, note));
  // rmdir and not rm -r: should the mount still be there, this must fail rather than delete volumes.
  if (fs.existsSync(mountDir)) fs.rmdirSync(mountDir);
  // Not while the mount of another container's pool is in it.
  if (fs.existsSync(dir) && fs.readdirSync(dir).length === 0) fs.rmdirSync(dir);
}
