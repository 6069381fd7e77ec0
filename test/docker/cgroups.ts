/**
 * A control group for a tree of processes, in each hierarchy of this machine, whatever version it has.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { until } from '../support/commands.ts';

const ROOT = '/sys/fs/cgroup';
const EMPTY_MS = 60_000;

/** The directories in which groups can be made: of version 1 one for each hierarchy, else one. */
function parents(): string[] {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  const v1 = lines.flatMap((line) => {
    const [, controllers, group] = /^\d+:([^:]+):(.*)$/.exec(line) ?? [];
    const dir = path.join(ROOT, (controllers ?? '').replace(/^name=/, ''));
    return controllers !== undefined && existsSync(dir) ? [path.join(dir, group!)] : [];
  });
  // Below the root: where this process is, version 2 does not give controllers on, because there are processes.
  return v1.length > 0 ? v1 : [ROOT];
}

export function makeCgroups(name: string): string[] {
  return parents().map((parent) => {
    const dir = path.join(parent, name);
    mkdirSync(dir, { recursive: true });
    // A new group of this kind has no processors and no memory, and so can hold no process.
    for (const file of ['cpuset.cpus', 'cpuset.mems'])
      if (parent.startsWith(path.join(ROOT, 'cpuset')))
        writeFileSync(path.join(dir, file), readFileSync(path.join(parent, file), 'utf8'));
    return dir;
  });
}

/** Once all processes in it have ended. */
export async function removeCgroups(name: string): Promise<void> {
  for (const parent of parents()) {
    const dir = path.join(parent, name);
    await until(
      `cgroup ${dir} is empty`,
      () => {
        try {
          removeTree(dir);
          return true;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false;
          throw error;
        }
      },
      EMPTY_MS,
    );
  }
}

function removeTree(dir: string): void {
  if (!existsSync(dir)) return;
  for (const entry of readdirSync(dir, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(path.join(dir, entry.name));
  rmdirSync(dir);
}

/** The names of the groups of that kind that there are. */
export function cgroupsNamed(pattern: RegExp): string[] {
  return [...new Set(parents().flatMap((parent) => readdirSync(parent)))].filter((name) =>
    pattern.test(name),
  );
}
