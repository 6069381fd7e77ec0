/**
 * A pool with everything that a pool can have, small: volumes and snapshots of several grains, a chain of snapshots, an
 * incremental copy with changes since, a clone of a snapshot; and what each of them has to show.
 *
 * `scratch` and its snapshot are there to have the last record of the undo log and the last commit: damage of these
 * cannot be told from what a power loss leaves, so nothing is said of what is lost with them.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { op, type Plan } from '../../src/core/ops.ts';
import { KiB, MiB } from './disks.ts';
import { PoolOnFiles } from './pool-on-files.ts';

const SECTOR = 4096;
const SCRATCH = ['scratch', 'scratch-monday'];

export type Contents = Map<string, Buffer>;

/** A pool, closed or as a power loss leaves it, and what its volumes show. */
export type SoundPool = { dir: string; contents: Contents };

function text(words: string, sectors = 1): Buffer {
  const bytes = Buffer.alloc(sectors * SECTOR);
  for (let i = 0; i < sectors; i++) bytes.fill(`${words} ${i}\n`, i * SECTOR, (i + 1) * SECTOR);
  return bytes;
}

function copied(pool: PoolOnFiles, mapping: string): void {
  const wait = function* (): Plan<void> {
    yield op.sleep(20);
  };
  while (pool.run(pool.core.getMapping(mapping)).state !== 'copied') pool.run(wait());
}

function build(pool: PoolOnFiles): void {
  const { core } = pool;
  pool.run(core.createVolume({ name: 'data', sizeBytes: MiB }));
  pool.run(core.createVolume({ name: 'large', sizeBytes: MiB, grainBytes: 64 * KiB, provisioning: 'thick' }));
  pool.run(core.createVolume({ name: 'copy', sizeBytes: MiB }));
  pool.run(core.createVolume({ name: 'alone', sizeBytes: 512 * KiB }));
  pool.run(core.createVolume({ name: 'scratch', sizeBytes: 64 * KiB }));
  for (let i = 0; i < 64; i++) pool.write('data', i * 3 * SECTOR, text(`first ${i}`));
  for (let i = 0; i < 8; i++) pool.write('large', i * 128 * KiB, text(`first ${i}`, 16));
  pool.write('alone', 0, text('alone', 32));
  pool.run(
    core.createMapping({ name: 'm', source: 'data', target: 'copy', copyRate: 150, incremental: true }),
  );
  pool.run(core.startMappings(['m']));
  copied(pool, 'm');
  const days = (day: string) =>
    ['data', 'large', 'scratch'].map((source) => ({ name: `${source}-${day}`, source }));
  pool.run(core.createSnapshots(days('monday')));
  for (let i = 8; i < 40; i++) pool.write('data', i * 3 * SECTOR, text(`second ${i}`, 2));
  pool.write('large', 0, text('second'));
  pool.run(core.createSnapshots([{ name: 'data-tuesday', source: 'data' }]));
  pool.run(core.cloneVolume('data-monday', { name: 'clone', sizeBytes: 0, copyRate: 0 }));
  pool.write('clone', 9 * SECTOR, text('in the clone', 3));
  pool.write('copy', 30 * SECTOR, text('in the copy', 3));
}

function changeMore(pool: PoolOnFiles): void {
  for (let i = 0; i < 24; i++) pool.write('data', i * 9 * SECTOR, text(`third ${i}`));
  for (let i = 2; i < 5; i++) pool.write('large', i * 128 * KiB + 8 * KiB, text(`third ${i}`));
  pool.write('clone', 60 * SECTOR, text('more in the clone'));
  for (const name of ['data', 'large', 'clone', 'copy', 'alone']) pool.flush(name);
}

/** What nobody misses: the last record of the log, and the last commit. */
function scratch(pool: PoolOnFiles): void {
  for (let i = 0; i < 2; i++) pool.write('scratch', i * SECTOR, text('scratch'));
  pool.run(pool.core.setCopyRate('scratch-monday', 0));
}

export function contentsOf(pool: PoolOnFiles): Contents {
  const names = [...pool.core.hostVolumes()]
    .map(({ name }) => name)
    .filter((name) => !SCRATCH.includes(name));
  return new Map(names.sort().map((name) => [name, pool.read(name, 0, pool.volume(name).sizeBytes)]));
}

/** A copy of the pool's directory, holes kept. */
export function copyPool(from: string, to: string): void {
  execFileSync('cp', ['-a', from, to]);
}

/** Bitmaps in files, an empty undo log. */
export function closedPool(dir: string): SoundPool {
  let pool = PoolOnFiles.open(dir);
  build(pool);
  pool.close();
  pool = PoolOnFiles.open(dir);
  changeMore(pool);
  const contents = contentsOf(pool);
  pool.close();
  return { dir, contents };
}

/** Bitmaps in files, old grains in the undo log, commits in the WAL. */
export function crashedPool(dir: string): SoundPool {
  const living = `${dir}.living`;
  let pool = PoolOnFiles.open(living);
  build(pool);
  pool.close();
  pool = PoolOnFiles.open(living);
  pool.run(pool.core.setCopyRate('m', 140));
  changeMore(pool);
  const contents = contentsOf(pool);
  scratch(pool);
  copyPool(living, dir);
  pool.close();
  fs.rmSync(living, { recursive: true });
  return { dir, contents };
}

/** Everything from the making of the pool on is in the WAL and in the undo log. */
export function youngPool(dir: string): SoundPool {
  const living = `${dir}.living`;
  const pool = PoolOnFiles.open(living);
  build(pool);
  changeMore(pool);
  const contents = contentsOf(pool);
  scratch(pool);
  copyPool(living, dir);
  pool.close();
  fs.rmSync(living, { recursive: true });
  return { dir, contents };
}

/** The names of the files below. */
export function filesOf(dir: string): string[] {
  const names = fs.readdirSync(dir, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => fs.statSync(path.join(dir, name)).isFile()).sort();
}
