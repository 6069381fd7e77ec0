/**
 * Histories of a disk that fails, and of an engine or a machine that ends soon after: what was recorded because of the failure
 * has to be durable by then. Run by seed, by the tests of faults and on broken cores (test/mutants).
 */
import { EIO } from '../../src/base/errors.ts';
import { FaultyPool } from './faulty-pool.ts';
import { type PoolHistory, poolHistory } from './pool-history.ts';

const history = (name: string, play: (pool: FaultyPool) => void): PoolHistory =>
  poolHistory(name, (seed) => play(new FaultyPool(seed)));

export const FAULT_HISTORIES: readonly PoolHistory[] = [
  history('a snapshot that cannot have a grain is broken for good before the write is answered', (pool) => {
    pool.volume('v');
    pool.snapshot('s', 'v');
    // The region is marked: little is left to do for the write.
    pool.write('v', 1);
    pool.failReads('v', 9);
    pool.write('v', 9);
    pool.die();
    if (pool.info('s').state !== 'suspended') throw new Error('s is served again');
  }),

  history('a copy whose flush failed is offline for good before what it may need is overwritten', (pool) => {
    pool.volume('v');
    pool.clone('c', 'v', 0);
    pool.write('v', 1);
    pool.write('c', 9);
    pool.fail({ kinds: ['flush'], path: new RegExp(pool.fileOf('c')), errno: EIO, times: 1 });
    pool.write('v', 9);
    pool.losePower();
  }),

  history(
    'an engine that ends and cannot write its bitmaps leaves what it was told to the next one',
    (pool) => {
      pool.volume('v');
      pool.clone('c', 'v', 0);
      pool.write('v', 1);
      pool.write('c', 9);
      pool.fail({ kinds: ['write'], path: /^bitmaps/, errno: EIO, times: Number.POSITIVE_INFINITY });
      pool.close();
      pool.verify();
    },
  ),
];
