/** Some of everything on a pool with a fault in it: what is right of each single I/O that may fail (test/core/faults.test.ts). */
import { FaultyPool } from './faulty-pool.ts';
import type { Fault } from './sim-disk.ts';

/** False: the fault was never met. */
export function faultScenario(seed: number, fault: Fault): boolean {
  const pool = new FaultyPool(1000 + (seed % 7));
  const bystanders = ['calm', 'calm-s'];
  for (const name of ['v', 'calm']) pool.volume(name);
  pool.snapshot('calm-s', 'calm');
  const files = bystanders.map((name) => pool.fileOf(name));
  pool.fail(fault);
  const acts: (() => void)[] = [
    () => pool.volume('w'),
    () => pool.snapshot('s1', 'v'),
    () => pool.write('v', 3, 5),
    () => pool.write('calm', 7, 2),
    () => pool.clone('c', 'v', 150),
    () => pool.write('v', 10, 20),
    () => pool.snapshot('s2', 'v'),
    () => pool.write('c', 12, 4),
    () => pool.write('v', 5, 9),
    () => pool.flush('v'),
    () => pool.flush('c'),
    () => pool.snapshot('cs', 'c'),
    () => pool.write('v', 30, 10),
    () => pool.sync('c'),
    () => pool.write('v', 30, 3),
    () => pool.write('c', 33, 3),
    () => pool.grow('v', 72),
    () => pool.delete('s1'),
    () => pool.churnLog('v'),
    () => pool.write('v', 60, 12),
    () => pool.flush('v'),
  ];
  for (const act of acts) {
    pool.attempt(act);
    pool.wait(20);
  }
  if (pool.world.disk.injected.length === 0) return false;
  const where = `fault ${seed}, ${pool.world.disk.injected[0]}`;
  try {
    pool.verify();
    // All volumes have their old grains in the one log: one that cannot be read there may be anybody's.
    const hit = pool.world.disk.injected.some(
      (text) => text.startsWith('read log') || files.some((file) => text.includes(file)),
    );
    for (const name of hit ? [] : bystanders)
      if (pool.info(name).state !== 'online') throw new Error(`${name} is offline: ${pool.info(name).error}`);
    pool.die();
    pool.dieAndLosePower();
    pool.settle();
    pool.verify();
  } catch (error) {
    throw new Error(
      `${where}: ${(error as Error).stack}\n${JSON.stringify(pool.world.log.slice(0, 6), null, 1)}`,
    );
  }
  return true;
}
