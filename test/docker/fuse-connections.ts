/**
 * The end of whole namespaces with engines in them.
 *
 * A process that ends as the last one of its mount namespace unmounts what is mounted there, and a filesystem on an engine's
 * device is written to by that. Should it be this process that had the engine's connection open last (the node role keeps a
 * copy), the kernel waits for itself, for ever: the connection would be closed next. On a machine that is in use that
 * cannot be, because its own namespace has these mounts too. Here a connection is aborted when that takes long.
 */
import fs from 'node:fs';
import path from 'node:path';
import { run, until } from '../support/commands.ts';

const SLOW_MS = 2000;
const ABORT = `mount -t fusectl none "$1" && cd "$1" && shift
for id; do if [ -e "$id/abort" ]; then echo 1 >"$id/abort"; fi; done`;

/**
 * The filesystems ('major:minor') of engines in these mount tables. Not of those that this process sees mounted, too: they are
 * engines of the machine, and a namespace has inherited their mounts.
 */
export function enginesIn(mountinfo: string): string[] {
  const foreign = mountedIn(fs.readFileSync('/proc/self/mountinfo', 'utf8'));
  return [...mountedIn(mountinfo)].filter((filesystem) => !foreign.has(filesystem));
}

function mountedIn(mountinfo: string): Set<string> {
  const lines = mountinfo.split('\n').filter((line) => line.includes(' - fuse.flashcopy '));
  return new Set(lines.map((line) => line.split(' ')[2]!));
}

/** Whoever waits for an answer of these gets an error. `directory`: for a mount that only this sees. */
export async function abortConnections(filesystems: readonly string[], directory: string): Promise<void> {
  const ids = [...new Set(filesystems)].flatMap((name) => /^0:(\d+)$/.exec(name)?.[1] ?? []);
  if (ids.length === 0) return;
  const at = path.join(directory, 'connections');
  fs.mkdirSync(at, { recursive: true });
  await run('unshare', ['--mount', 'sh', '-c', ABORT, 'sh', at, ...ids]);
}

/** After all processes that have to do with these engines were killed. */
export async function untilEnded(
  what: string,
  ended: () => boolean,
  engines: { filesystems: readonly string[]; directory: string },
  timeoutMs: number,
): Promise<void> {
  try {
    await until(what, ended, SLOW_MS, 50);
  } catch {
    await abortConnections(engines.filesystems, engines.directory);
    await until(what, ended, timeoutMs, 50);
  }
}
