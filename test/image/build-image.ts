/** The image that the Dockerfile makes of these sources, built by a Docker daemon of our own. */
import path from 'node:path';
import { Docker } from '../docker/docker.ts';
import { cacheDir, cached, contentKey, locked } from '../support/cache.ts';
import { Cleanup } from '../support/cleanup.ts';
import { run } from '../support/commands.ts';
import { loadStandIns } from './stand-ins.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const packages = path.join(repository, 'test/support/system-packages.sh');
/** What the Dockerfile copies, and what decides how it is built. */
const INPUTS = [
  ...['Dockerfile', '.dockerignore', 'LICENSE', 'bin', 'package-lock.json', 'package.json', 'proto', 'src'],
  ...[
    'tsconfig.build.json',
    'tsconfig.json',
    'test/docker',
    'test/image/build-image.ts',
    'test/image/stand-ins.ts',
  ],
];
const BUILD_MS = 900_000;
/** Of the results of single steps. */
const KEPT = '4gb';

export const IMAGE = 'localhost/flashcopy-csi:test';

/** The path of a tar with the image, as `docker load`, `kind load image-archive` and `ctr images import` read it. */
export function buildImage(): Promise<string> {
  return cached('image', contentKey(INPUTS), (target) =>
    withBuilder(async (docker) => {
      await build(docker, IMAGE);
      await docker.run('docker', ['save', '--output', target, IMAGE]);
    }),
  );
}

/** A daemon that has what the Dockerfile builds on, and remembers what it has built before. */
export async function withBuilder<T>(body: (docker: Docker) => Promise<T>): Promise<T> {
  await run(packages, ['docker.io', 'debootstrap', 'slirp4netns']);
  return locked('builder', async () => {
    const cleanup = new Cleanup();
    try {
      const docker = await Docker.start(cleanup, { dataDir: path.join(cacheDir, 'builder') });
      await loadStandIns(docker);
      const result = await body(docker);
      await forgetSuperseded(docker);
      return result;
    } finally {
      await cleanup.all();
    }
  });
}

/** What no image's name leads to any more, and of what was built on the way the part that was not used for longest. */
async function forgetSuperseded(docker: Docker): Promise<void> {
  await docker.run('docker', ['image', 'prune', '--force'], { timeoutMs: BUILD_MS });
  await docker.run('docker', ['builder', 'prune', '--force', '--keep-storage', KEPT], {
    timeoutMs: BUILD_MS,
  });
}

export async function build(docker: Docker, tag: string, more: readonly string[] = []): Promise<void> {
  await docker.run('docker', ['build', '--progress=plain', '--tag', tag, ...more, repository], {
    timeoutMs: BUILD_MS,
  });
}
