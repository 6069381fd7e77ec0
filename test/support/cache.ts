/**
 * What takes long to make is kept, under a key that is made of all that went into it, in
 * $XDG_CACHE_HOME/flashcopy-csi (default: ~/.cache). It may be removed at any time.
 *
 * Several processes may ask for the same at once: one makes it, the others wait. What is there under its name is whole.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';

const repository = path.resolve(import.meta.dirname, '../..');
/** Of each thing: the latest, and what another state of the sources may still need. */
const KEPT = 2;

export const cacheDir = path.join(
  process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache'),
  'flashcopy-csi',
);

/** A key of files' and directories' contents, named from the repository, and of other words. */
export function contentKey(files: readonly string[], words: readonly string[] = []): string {
  const hash = createHash('sha256');
  for (const name of files.flatMap(filesBelow).toSorted()) {
    const content = readFileSync(path.join(repository, name));
    hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.update(words.join('\0')).digest('hex').slice(0, 16);
}

function filesBelow(name: string): string[] {
  const file = path.join(repository, name);
  if (!statSync(file).isDirectory()) return [name];
  return readdirSync(file, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(repository, path.join(entry.parentPath, entry.name)));
}

/** The file or directory of that name and key; `make` makes it at the path that it is given. */
export async function cached(
  name: string,
  key: string,
  make: (target: string) => Promise<void>,
): Promise<string> {
  const target = path.join(cacheDir, `${name}-${key}`);
  return locked(name, async () => {
    if (!existsSync(target)) {
      const unfinished = path.join(cacheDir, `.unfinished-${name}`);
      rmSync(unfinished, { recursive: true, force: true });
      const began = performance.now();
      await make(unfinished);
      renameSync(unfinished, target);
      console.error(`Made ${path.basename(target)}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
    }
    utimesSync(target, new Date(), new Date());
    forgetOld(name);
    return target;
  });
}

function forgetOld(name: string): void {
  const age = (entry: string) => statSync(path.join(cacheDir, entry)).mtimeMs;
  const entries = readdirSync(cacheDir).filter((entry) => new RegExp(`^${name}-[0-9a-f]{16}$`).test(entry));
  for (const entry of entries.toSorted((a, b) => age(b) - age(a)).slice(KEPT))
    rmSync(path.join(cacheDir, entry), { recursive: true, force: true });
}

/** While no other process of this machine does something under that name. */
export async function locked<T>(name: string, body: () => Promise<T>): Promise<T> {
  mkdirSync(cacheDir, { recursive: true });
  // The lock goes with the process that holds it, and that one ends when its standard input does.
  const holder = spawn('flock', [path.join(cacheDir, `.lock-${name}`), 'sh', '-c', 'echo held; cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  const ended = once(holder, 'exit');
  await Promise.race([
    once(holder.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('flock ended'))),
  ]);
  try {
    return await body();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
