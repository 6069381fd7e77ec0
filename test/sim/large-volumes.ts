/** Volumes that are large enough for what is bounded in MiB: small grains, written in pieces. */
import type { Plan } from '../../src/core/ops.ts';
import { BLOCK } from './sim-file.ts';
import { SmallPool } from './small-pool.ts';

/** Grains of one block. */
export const MIB = 256;
export const PIECE = 128;

/** A pool with a volume of so many MiB that shows 1, all of it written. */
export function large(
  seed: number,
  name: string,
  mib: number,
  pool = new SmallPool(seed, 64 * 2 ** 20),
): SmallPool {
  const { world } = pool;
  const request = { name, sizeBytes: mib * MIB * BLOCK, grainBytes: BLOCK };
  world.run('create', world.core.createVolume(request));
  fill(pool, name, 1, mib);
  pool.flush(name);
  return pool;
}

export function* writePiece(pool: SmallPool, name: string, at: number, byte: number): Plan<void> {
  const block = { bytes: new Uint8Array(PIECE * BLOCK).fill(byte), address: 0 };
  yield* pool.world.core.write(pool.found(name), at * BLOCK, PIECE * BLOCK, block, 0);
}

export function fill(pool: SmallPool, name: string, byte: number, mib: number): void {
  for (let at = 0; at < mib * MIB; at += PIECE) pool.world.run('write', writePiece(pool, name, at, byte));
}

/** How many grains were given while the gate of `v` was closed, from now on. */
export function givenBehindGate(pool: SmallPool): () => number {
  const { counters } = pool.world.core['state'];
  const { gate } = pool.found('v');
  let given = 0;
  let before = 0;
  const close = gate.close.bind(gate);
  gate.close = () => {
    before = counters.grainsCleaned;
    close();
  };
  const release = gate.release.bind(gate);
  gate.release = () => {
    given = Math.max(given, counters.grainsCleaned - before);
    release();
  };
  return () => given;
}
