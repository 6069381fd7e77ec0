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

/** A daemon that has them keeps them: each made anew would be a copy of all that is built on it. */
export async function loadStandIns(docker: Docker): Promise<void> {
  const debian = await debianTar();
  await provided(docker, `debian:${SUITE}-slim`, path.basename(debian), (name) =>
    docker.run('docker', ['import', '--change', 'CMD ["bash"]', debian, name]),
  );
  const context = path.join(docker.directory, 'node-image');
  await fs.cp(await nodeContext(), context, { recursive: true, verbatimSymlinks: true });
  const settings = await useSettingsOfMachine(context);
  const key = contentKey(['test/image/stand-ins.ts'], [process.version, path.basename(debian), settings]);
  await provided(docker, `node:24-${SUITE}-slim`, key, (name) =>
    docker.run('docker', ['build', '--quiet', '--tag', name, context]),
  );
}

/** The image of that name is the one that `make` makes; what the key is made of says whether it is there already. */
async function provided(
  docker: Docker,
  name: string,
  key: string,
  make: (name: string) => Promise<unknown>,
): Promise<void> {
  const kept = `stand-in/${name.split(':')[0]}`;
  const list = await docker.run('docker', ['image', 'ls', '--format', '{{.Tag}}', kept]);
  const tags = list
    .trim()
    .split('\n')
    .filter((tag) => tag !== '');
  if (!tags.includes(key)) await make(`${kept}:${key}`);
  await docker.run('docker', ['tag', `${kept}:${key}`, name]);
  for (const tag of tags.filter((each) => each !== key))
    await docker.run('docker', ['rmi', `${kept}:${tag}`]);
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

/** From where npm gets packages, and whom it trusts; returns what it has written. */
async function useSettingsOfMachine(context: string): Promise<string> {
  const setting = async (name: string) => (await run('npm', ['config', 'get', name])).trim();
  const authorities = process.env['NODE_EXTRA_CA_CERTS'] ?? '';
  const certificates = authorities === '' ? '' : await fs.readFile(authorities, 'utf8');
  await fs.writeFile(path.join(context, 'ca.crt'), certificates);
  const trusted = authorities === '' ? '' : 'cafile=/usr/local/etc/ca.crt\n';
  const npmrc = `registry=${await setting('registry')}\n${trusted}`;
  await fs.writeFile(path.join(context, 'npmrc'), npmrc);
  return npmrc + certificates;
}
