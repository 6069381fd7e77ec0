/**
 * Loop devices are the kernel's, not a namespace's: those that engines in containers have made stay when the containers
 * are killed, and then nobody can tell whose they were. So this is asked while the engines still live.
 */
import { readdirSync } from 'node:fs';
import { attempt } from '../support/commands.ts';

const ANSWER_MS = 5000;

/** Detaches each loop device on an engine's mount of these mount tables, at once or, if it is in use, when that ends. */
export async function detachLoopDevices(mountinfo: string): Promise<void> {
  const lines = mountinfo.split('\n').filter((line) => line.includes(' - fuse.flashcopy '));
  const engines = new Set(lines.map((line) => line.split(' ')[2]!));
  if (engines.size === 0) return;
  for (const name of readdirSync('/sys/block').filter((block) => /^loop\d+$/.test(block))) {
    const device = `/dev/${name}`;
    const options = ['--list', '--noheadings', '--output', 'BACK-MAJ:MIN', device];
    // Asks the filesystem that the file is on, which may have stopped answering.
    const { stdout } = await attempt('losetup', options, { timeoutMs: ANSWER_MS });
    if (engines.has(stdout.trim())) await attempt('losetup', ['--detach', device]);
  }
}
