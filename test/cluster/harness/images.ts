/** The images that the cluster runs besides the project's own, each a tar, all in one directory. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { cached, contentKey } from '../../support/cache.ts';
import { run } from '../../support/commands.ts';
import { type Image, writeImage } from './archive.ts';
import { SIDECARS } from './binaries.ts';

export const PAUSE_IMAGE = 'localhost/pause:test';
/** A shell, the usual small tools, and fio. */
export const TOOLS_IMAGE = 'localhost/tools:test';

export const sidecarImage = (name: (typeof SIDECARS)[number]): string => `localhost/${name}:test`;

const BUSYBOX = '/bin/busybox';
const FIO = '/usr/bin/fio';

export function makeImages(binaries: string): Promise<string> {
  const programs = [path.basename(binaries), ...[BUSYBOX, FIO].map(digest)];
  return cached(
    'images',
    contentKey(['test/cluster/harness/archive.ts', 'test/cluster/harness/images.ts'], programs),
    async (target) => {
      mkdirSync(target);
      for (const [name, image] of Object.entries(await images(binaries)))
        await writeImage(image, path.join(target, `${name}.tar`), path.join(target, `.${name}`));
    },
  );
}

async function images(binaries: string): Promise<Record<string, Image>> {
  const applets = (await run(BUSYBOX, ['--list']))
    .trim()
    .split('\n')
    .filter((name) => name !== 'busybox');
  const links = Object.fromEntries(applets.map((name) => [`bin/${name}`, 'busybox']));
  const sidecars = SIDECARS.map((name) => {
    const files = { [name]: path.join(binaries, name) };
    return [name, { names: [sidecarImage(name)], entrypoint: [`/${name}`], files }];
  });
  return {
    pause: {
      names: [PAUSE_IMAGE],
      entrypoint: ['/bin/busybox', 'sleep', 'infinity'],
      files: { 'bin/busybox': BUSYBOX },
    },
    tools: {
      names: [TOOLS_IMAGE],
      entrypoint: ['/bin/sh'],
      files: { 'bin/busybox': BUSYBOX, ...(await withLibraries(FIO)) },
      links,
    },
    ...Object.fromEntries(sidecars),
  };
}

/** A program and what it is linked to, each where it is on this machine. */
async function withLibraries(program: string): Promise<Record<string, string>> {
  const found = (await run('ldd', [program])).matchAll(/(?:^|=>)\s*(\/\S+)/gm);
  return Object.fromEntries([program, ...[...found].map((match) => match[1]!)].map((file) => [file, file]));
}

const digest = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
