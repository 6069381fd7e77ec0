/**
 * How many volumes this node can have at once: as many as an engine is measured with, or fewer where the kernel can make
 * fewer loop devices.
 */
import { readFile } from 'node:fs/promises';
import { existing } from './requests.ts';

const VOLUMES_MAX = 300;
/** Minor numbers that the kernel has for one driver. */
const MINORS = 2 ** 20;

export async function volumesMax(): Promise<number> {
  // Each loop device takes the numbers of its partitions as well, rounded up to a power of two.
  const partitions = Number((await existing(readFile('/sys/module/loop/parameters/max_part', 'utf8'))) ?? 0);
  const perDevice = 2 ** Math.ceil(Math.log2(partitions + 1));
  return Math.min(VOLUMES_MAX, Math.floor(MINORS / perDevice));
}
