/**
 * Settings of the whole machine that kubelet changes, in containers as well: kept in a file and set back, also by the next run
 * after one that was killed.
 */
import fs from 'node:fs';
import path from 'node:path';

const SETTINGS = [
  ...['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops'],
  ...['kernel/keys/root_maxkeys', 'kernel/keys/root_maxbytes'],
].map((name) => `/proc/sys/${name}`);

export function keepSettings(directory: string): void {
  const there = SETTINGS.filter((file) => fs.existsSync(file));
  const values = Object.fromEntries(there.map((file) => [file, fs.readFileSync(file, 'utf8')]));
  fs.writeFileSync(keptIn(directory), JSON.stringify(values));
}

/** Once nothing is left that would change them again. */
export function restoreSettings(directory: string): void {
  if (!fs.existsSync(keptIn(directory))) return;
  const values = JSON.parse(fs.readFileSync(keptIn(directory), 'utf8')) as Record<string, string>;
  for (const [file, value] of Object.entries(values))
    if (fs.readFileSync(file, 'utf8') !== value) fs.writeFileSync(file, value);
}

const keptIn = (directory: string): string => path.join(directory, 'settings.json');
