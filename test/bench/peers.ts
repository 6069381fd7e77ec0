/**
 * What ours is compared with, each as a loop device over the same plain file, one route after the other longer:
 * nothing between, the reference FUSE server in C, qemu-storage-daemon's FUSE export, and that with its
 * copy-before-write filter.
 *
 * They share the file, so only one is measured at a time, and nothing is expected of the content.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { rm, truncate } from 'node:fs/promises';
import path from 'node:path';
import { run, until } from '../support/commands.ts';
import { attachLoop } from '../support/filesystems.ts';
import type { Bench } from './bench-context.ts';

export type Peer = { name: string; device: string; stop: () => Promise<void> };

const REFERENCE_THREADS = 16;

export async function rawLoop(bench: Bench, file: string): Promise<Peer> {
  const { device, detach } = await attachLoop(bench.cleanup, file);
  return { name: 'raw loop device', device, stop: detach };
}

export async function referenceServer(bench: Bench, file: string): Promise<Peer> {
  const program = path.join(bench.directory, 'reference-server');
  if (!existsSync(program)) {
    const source = path.join(import.meta.dirname, 'reference-server.c');
    await run('cc', ['-O2', '-pthread', '-o', program, source]);
  }
  const directory = path.join(bench.directory, 'reference');
  mkdirSync(directory, { recursive: true });
  const server = start(program, [file, directory, String(REFERENCE_THREADS)]);
  // Unmounting ends it.
  const end = bench.cleanup.defer('stop the reference server', async () => {
    await run('umount', [directory]);
    await server.ended;
  });
  await until('the reference server serves', () => server.output().includes('ready'));
  const { device, detach } = await attachLoop(bench.cleanup, path.join(directory, 'vol'));
  return {
    name: 'C FUSE server',
    device,
    stop: async () => {
      await detach();
      await end();
    },
  };
}

export function qemuExport(bench: Bench, file: string): Promise<Peer> {
  return qemu(bench, 'QEMU FUSE export', 'qemu-plain', [fileNode('source', file)], 'source');
}

/** A fresh copy: its target is empty. 64 KiB clusters, the filter's own size for a target without one. */
export async function qemuCopyBeforeWrite(bench: Bench, file: string): Promise<Peer> {
  const target = path.join(bench.directory, 'qemu-target.img');
  rmSync(target, { force: true });
  writeFileSync(target, '');
  await truncate(target, bench.options.sizeBytes);
  const filter = 'driver=copy-before-write,node-name=filter,file=source,target=target';
  const nodes = [fileNode('source', file), fileNode('target', target), filter];
  const peer = await qemu(bench, 'QEMU copy-before-write', 'qemu-cbw', nodes, 'filter');
  return {
    ...peer,
    stop: async () => {
      await peer.stop();
      await rm(target);
    },
  };
}

const fileNode = (name: string, file: string): string =>
  `driver=file,node-name=${name},filename=${file},cache.direct=on,aio=io_uring,discard=unmap`;

async function qemu(
  bench: Bench,
  name: string,
  id: string,
  nodes: string[],
  exported: string,
): Promise<Peer> {
  const mountpoint = path.join(bench.directory, `${id}.export`);
  writeFileSync(mountpoint, '');
  const daemon = start('qemu-storage-daemon', [
    ...nodes.flatMap((node) => ['--blockdev', node]),
    ...['--export', `type=fuse,id=export,node-name=${exported},mountpoint=${mountpoint},writable=on`],
    ...['--pidfile', `${mountpoint}.pid`],
  ]);
  const end = bench.cleanup.defer(`stop ${name}`, async () => {
    daemon.child.kill('SIGTERM');
    await daemon.ended;
    rmSync(mountpoint, { force: true });
  });
  // It writes its pid when everything is set up.
  await until(`${name} serves`, () => {
    if (daemon.child.exitCode !== null) throw new Error(`${name} ended: ${daemon.output()}`);
    return existsSync(`${mountpoint}.pid`);
  });
  const { device, detach } = await attachLoop(bench.cleanup, mountpoint);
  return {
    name,
    device,
    stop: async () => {
      await detach();
      // The loop driver lets go of the file a moment after the device is detached.
      await until(`${name} is unused`, () =>
        run('losetup', ['-j', mountpoint]).then((used) => used.trim() === ''),
      );
      await end();
    },
  };
}

type Started = { child: ChildProcess; output: () => string; ended: Promise<void> };

/** In a process group of its own: a Ctrl-C in the terminal must not end it before the loop device on it. */
function start(command: string, args: string[]): Started {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', () => resolve());
  });
  ended.catch(() => {});
  return { child, output: () => output, ended };
}
