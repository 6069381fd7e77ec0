/** What an engine costs that has nothing to do: resident memory with all volumes attached, and time of the processor. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { MiB } from '../support/disks.ts';
import { residentBytes } from '../support/leftovers.ts';
import type { Bench } from './bench-context.ts';
import { judge } from './figures.ts';

const LOOK_MS = 10_000;
const MEMORY_MAX_MIB = 512;
/** The kernel's USER_HZ. */
const TICKS_A_SECOND = 100;

const mib = (value: number): string => `${value.toFixed(0)} MiB`;

/** Seconds of the processor that the process has had. */
function processorSeconds(pid: number): number {
  const words = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return (Number(words[11]) + Number(words[12])) / TICKS_A_SECOND;
}

/** Now, with so many volumes attached. */
export async function measureIdle(bench: Bench, volumes: number): Promise<void> {
  const pid = bench.ours!.childPid()!;
  const before = processorSeconds(pid);
  await sleep(LOOK_MS);
  const share = (processorSeconds(pid) - before) / (LOOK_MS / 1000);
  const resident = residentBytes(pid) / MiB;
  bench.tell(`  ${volumes} volumes, idle: ${mib(resident)}, ${(share * 100).toFixed(1)} % of a processor`);
  const what = `of an engine with ${volumes} attached volumes`;
  bench.verdicts.push(
    judge(`resident memory ${what}`, resident, { most: MEMORY_MAX_MIB }, mib),
    judge(`processor ${what} and nothing to do`, share, { most: 0.001 }),
  );
}
