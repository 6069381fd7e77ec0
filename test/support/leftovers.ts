/**
 * What a pool or its processes may have piled up: files that the catalog does not name, descriptors, memory, devices.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Files of a pool without an engine that no row of its catalog names, and those that one names and are not there. */
export function strayFiles(pool: string): string[] {
  const database = new DatabaseSync(path.join(pool, 'catalog.db'), { readOnly: true });
  const named = new Set<string>();
  try {
    for (const { tab, body } of database.prepare('SELECT tab, body FROM row').iterate() as Iterable<{
      tab: string;
      body: string;
    }>) {
      const row = JSON.parse(body) as { id: number; file: number; gen: number };
      if (tab === 'volume') named.add(`volumes/${row.file}.data`);
      if (tab === 'bitmap' && row.gen > 0) named.add(`bitmaps/${row.id}.${row.gen}`);
    }
  } finally {
    database.close();
  }
  const there = new Set(
    ['volumes', 'bitmaps'].flatMap((dir) =>
      readdirSync(path.join(pool, dir)).map((name) => `${dir}/${name}`),
    ),
  );
  return [
    ...[...there].filter((file) => !named.has(file)).map((file) => `${file} is nobody's`),
    ...[...named].filter((file) => !there.has(file)).map((file) => `${file} is missing`),
  ];
}

/** Of a process: its open descriptors. */
export const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** What they are, to tell which are too many. */
export function describeDescriptors(pid: number): string {
  const counts = new Map<string, number>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    let target: string;
    try {
      target = readlinkSync(`/proc/${pid}/fd/${fd}`).replaceAll(/\d+/g, '#');
    } catch {
      continue; // closed meanwhile
    }
    counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  return [...counts].map(([target, count]) => `${count} x ${target}`).join(', ');
}

/** Of a process: resident memory, in bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? 0) * 1024;
}
