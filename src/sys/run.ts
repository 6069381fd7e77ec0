/**
 * Runs a program of the system and tells how it ended. No shell; an argument is never read as an option of another.
 */
import { spawn } from 'node:child_process';
import process from 'node:process';
import { FlashCopyError } from '../base/errors.ts';

/** Debian's names of the packages that the programs are in. */
const packages: Readonly<Record<string, string>> = {
  'mkfs.ext4': 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  resize2fs: 'e2fsprogs',
  dumpe2fs: 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  xfs_growfs: 'xfsprogs',
  cmp: 'diffutils',
  od: 'coreutils',
  truncate: 'coreutils',
};

export type Ended = { status: number; stdout: string; stderr: string };

/** Fails only if the program is not there; its own failure is a status. After `timeoutMs` it is killed: status -1. */
export function run(command: string, args: readonly string[], timeoutMs = 60_000): Promise<Ended> {
  return new Promise((resolve, reject) => {
    // What a program says is looked at, so it must say it in one language.
    const env = { ...process.env, LC_ALL: 'C' };
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
    const ended: Ended = { status: -1, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (ended.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (ended.stderr += text));
    // A child that waits for a filesystem may not die of SIGKILL at once: it is left to itself.
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      ended.stderr += `no answer in ${timeoutMs / 1000} s`;
      resolve(ended);
    }, timeoutMs);
    child.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const message = `${command} could not be started (${error.code}): install it (package ${packages[command] ?? 'util-linux'}).`;
      reject(new FlashCopyError('MissingKernelFeature', message, { cause: error }));
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      ended.status = code ?? -1;
      resolve(ended);
    });
  });
}
