/**
 * The images that the Dockerfile builds on, made from Debian's packages and npm's, for where no registry of images can be
 * reached: under the names of the public ones, in one daemon of our own.
 *
 * The one for building has this machine's settings of npm, by which it reaches the packages. Nothing of that one gets
 * into what is built.
 */

import fs from 'node:fs/promises';
import path from 'node:path';
import { execPath } from 'node:process';
import type { Docker } from '../docker/docker.ts';
import { cached, contentKey } from '../support/cache.ts';
import { run } from '../support/commands.ts';

const SUITE = 'bookworm';
const NPM = 'npm@11.6.2';
const SOURCES = [SUITE, `${SUITE}-updates`]
  .map((suite) => `deb http://deb.debian.org/debian ${suite} main\n`)
  .concat(`deb http://deb.debian.org/debian-security ${SUITE}-security main\n`)
  .join('');
/** As in the public image. */
const LEFT_OUT = [
  'usr/share/doc',
  'usr/share/man',
  'usr/share/locale',
  'var/cache/apt/archives',
  'var/lib/apt/lists',
];

export async function loadStandIns(docker: Docker): Promise<void> {
  const debian = await debianTar();
  await docker.run('docker', ['import', '--change', 'CMD ["bash"]', debian, `debian:${SUITE}-slim`]);
  const context = path.join(docker.directory, 'node-image');
  await fs.cp(await nodeContext(), context, { recursive: true, verbatimSymlinks: true });
  await useSettingsOfMachine(context);
  await docker.run('docker', ['build', '--quiet', '--tag', `node:24-${SUITE}-slim`, context]);
}

/** A minimal Debian, as debootstrap makes it. */
function debianTar(): Promise<string> {
  return cached('debian', contentKey(['test/image/stand-ins.ts']), async (target) => {
    const root = `${target}.root`;
    await fs.rm(root, { recursive: true, force: true });
    await run('debootstrap', ['--variant=minbase', SUITE, root], { timeoutMs: 600_000 });
    await fs.writeFile(path.join(root, 'etc/apt/sources.list'), SOURCES);
    for (const dir of LEFT_OUT) {
      await fs.rm(path.join(root, dir), { recursive: true });
      await fs.mkdir(path.join(root, dir));
    }
    await run('tar', ['--create', '--file', target, '--directory', root, '.']);
    await fs.rm(root, { recursive: true });
  });
}

/** This Node.js, which npm has brought as a package, and npm. */
function nodeContext(): Promise<string> {
  return cached('node-image', contentKey(['test/image/stand-ins.ts'], [process.version]), async (target) => {
    await fs.mkdir(target);
    await run('npm', [
      'install',
      '--prefix',
      target,
      '--no-save',
      '--no-package-lock',
      '--ignore-scripts',
      NPM,
    ]);
    await fs.copyFile(execPath, path.join(target, 'node'));
    const lines = [
      `FROM debian:${SUITE}-slim`,
      'COPY node /usr/local/bin/',
      'COPY node_modules /usr/local/lib/node_modules',
      'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm',
      'COPY npmrc ca.crt /usr/local/etc/',
      'ENV NODE_EXTRA_CA_CERTS=/usr/local/etc/ca.crt',
    ];
    await fs.writeFile(path.join(target, 'Dockerfile'), lines.join('\n'));
  });
}

/** From where npm gets packages, and whom it trusts. */
async function useSettingsOfMachine(context: string): Promise<void> {
  const setting = async (name: string) => (await run('npm', ['config', 'get', name])).trim();
  const authorities = process.env['NODE_EXTRA_CA_CERTS'] ?? '';
  await fs.writeFile(path.join(context, 'ca.crt'), authorities && (await fs.readFile(authorities)));
  const trusted = authorities === '' ? '' : 'cafile=/usr/local/etc/ca.crt\n';
  await fs.writeFile(path.join(context, 'npmrc'), `registry=${await setting('registry')}\n${trusted}`);
}
