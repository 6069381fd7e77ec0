/**
 * Pools that earlier releases wrote (test/fixtures), and what they have to hold.
 *
 * The fixtures were written by the release that had each format; they are never made again. Closed: as after SIGTERM.
 * Crashed: as after a power loss, with commits in the WAL and old grains in the undo log only.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { PoolOnFiles } from './pool-on-files.ts';

export const fixtures = path.resolve(import.meta.dirname, '../fixtures');
export const SECTOR = 4096;
const GRAIN = 64 * 1024;

export function unpacked(dir: string, name: string): string {
  const pool = path.join(dir, name);
  fs.mkdirSync(pool);
  execFileSync('tar', ['-xzf', path.join(fixtures, `${name}.tar.gz`), '-C', pool]);
  // The archive has it sparse; an engine's has all of its space.
  const log = path.join(pool, 'log');
  fs.writeFileSync(log, fs.readFileSync(log));
  return pool;
}

/** The text of each sector of the volume that is not zeros. */
export function textsOf(pool: PoolOnFiles, name: string): Map<number, string> {
  const { sizeBytes } = pool.volume(name);
  const texts = new Map<number, string>();
  for (let at = 0; at < sizeBytes; at += SECTOR) {
    const bytes = pool.read(name, at, SECTOR);
    if (bytes.every((byte) => byte === 0)) continue;
    const text = bytes.toString('latin1').split('\n')[0]!;
    const whole = Buffer.alloc(SECTOR);
    whole.fill(`${text}\n`);
    // In a grain of many sectors a line may go across their border.
    if (at % GRAIN === 0 || name.startsWith('large') === false)
      assert.ok(whole.equals(bytes), `${name} at ${at}`);
    texts.set(at, text);
  }
  return texts;
}

/** What the 32 sectors of `data` that were written say: the first `days[i][1]` of them ... */
export function days(...parts: [text: string, count: number][]): Map<number, string> {
  const texts = parts.flatMap(([text, count]) => Array.from({ length: count }, () => text));
  return new Map(texts.map((text, i) => [i * 2 * SECTOR, text]));
}

export function checkContent(pool: PoolOnFiles): void {
  assert.deepEqual(textsOf(pool, 'monday'), days(['monday', 32]));
  assert.deepEqual(textsOf(pool, 'tuesday'), days(['tuesday', 8], ['monday', 24]));
  assert.deepEqual(textsOf(pool, 'copy'), days(['tuesday', 8], ['monday', 24]));
  assert.deepEqual(textsOf(pool, 'data'), days(['tuesday', 4], ['wednesday', 8], ['monday', 20]));
  assert.deepEqual(textsOf(pool, 'other'), new Map([[0, 'other']]));
  assert.equal(textsOf(pool, 'large').get(GRAIN), 'wednesday');
  assert.equal(textsOf(pool, 'large-monday').get(GRAIN), undefined);
  assert.equal(textsOf(pool, 'large-monday').get(0), 'large');
  const volumes = pool.run(pool.core.listVolumes());
  assert.deepEqual(
    volumes.filter(({ state }) => state !== 'online'),
    [],
  );
  assert.deepEqual(volumes.find(({ name }) => name === 'large')!.labels, { a: 'b' });
  const mapping = pool.run(pool.core.getMapping('m'));
  const { state, incremental, copyRate, changedBytes } = mapping;
  assert.deepEqual({ state, incremental, copyRate }, { state: 'copied', incremental: true, copyRate: 150 });
  // After a power loss whole regions count as changed.
  assert.ok(changedBytes >= 8 * SECTOR, `${changedBytes} bytes changed`);
}

/** Every file's bytes; the lock's file is nobody's content. */
export function bytesOf(pool: string): Map<string, string> {
  const names = fs
    .readdirSync(pool, { recursive: true, encoding: 'utf8' })
    .filter((name) => name !== 'engine.lock')
    .sort();
  const files = names.filter((name) => fs.statSync(path.join(pool, name)).isFile());
  return new Map(files.map((name) => [name, fs.readFileSync(path.join(pool, name)).toString('base64')]));
}
