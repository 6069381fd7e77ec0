/** What a person gets who builds the Dockerfile, tried on what it builds. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Docker } from '../docker/docker.ts';
import { CONTROLLER, TestCa } from '../support/certificates.ts';
import { Cleanup } from '../support/cleanup.ts';
import { run, until } from '../support/commands.ts';
import { build, buildImage, IMAGE, withBuilder } from './build-image.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const json = (file: string) => JSON.parse(fs.readFileSync(path.join(repository, file), 'utf8'));
/** As the chart runs the controller. */
const UNPRIVILEGED = ['--user', '65532:65532', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
const READ_ONLY = ['--read-only', '--network', 'none'];

describe('The image', () => {
  const cleanup = new Cleanup();
  let docker: Docker;

  before(async () => {
    const tar = await buildImage();
    docker = await Docker.start(cleanup);
    await docker.run('docker', ['load', '--input', tar]);
  });
  after(() => cleanup.all());

  const inspect = async (template: string): Promise<string> =>
    (await docker.run('docker', ['image', 'inspect', '--format', template, IMAGE])).trim();
  const inIt = (...command: string[]): Promise<string> =>
    docker.run('docker', ['run', '--rm', '--entrypoint', command[0]!, IMAGE, ...command.slice(1)]);
  const program = (options: string[], ...args: string[]) =>
    docker.attempt('docker', ['run', '--rm', ...options, IMAGE, ...args], { timeoutMs: 60_000 });

  it('tells its version and how to use it, without rights and on a read-only filesystem', async () => {
    const version = await program([...UNPRIVILEGED, ...READ_ONLY], '--version');
    assert.deepEqual(version, { status: 0, stdout: `${json('package.json').version}\n`, stderr: '' });
    const help = await program([...UNPRIVILEGED, ...READ_ONLY]);
    assert.equal(help.status, 0);
    assert.match(help.stdout, /^Usage: flashcopy /);
  });

  it('runs the controller without rights and on a read-only filesystem', async () => {
    const ca = new TestCa(path.join(docker.directory, 'ca'));
    const tls = ca.issue(path.join(docker.directory, 'tls'), [CONTROLLER]);
    fs.chmodSync(path.join(tls, 'tls.key'), 0o644);
    const args = ['--tls-dir', '/tls', 'controller', '--csi-endpoint', 'unix:///csi/csi.sock'];
    const mounts = ['--tmpfs', '/csi:uid=65532,gid=65532', '--volume', `${tls}:/tls:ro`];
    const name = 'controller';
    await docker.run('docker', [
      ...['run', '--detach', '--name', name, ...UNPRIVILEGED, ...READ_ONLY, ...mounts, IMAGE, ...args],
      ...['--engine', 'node-1=127.0.0.1:9750'],
    ]);
    cleanup.defer('remove the controller', () => docker.run('docker', ['rm', '--force', name]));
    await until('the controller serves', async () => {
      const { status } = await docker.attempt('docker', ['exec', name, 'test', '-S', '/csi/csi.sock']);
      if (status === 0) return true;
      const running = await docker.run('docker', ['inspect', '--format', '{{.State.Running}}', name]);
      if (running.trim() !== 'true') throw new Error((await docker.attempt('docker', ['logs', name])).stderr);
      return false;
    });
    await docker.run('docker', ['stop', '--time', '20', name]);
    assert.equal(
      (await docker.run('docker', ['inspect', '--format', '{{.State.ExitCode}}', name])).trim(),
      '0',
    );
  });

  it('runs a whole engine as root on a read-only filesystem, and tells that it is healthy', async () => {
    const pool = path.join(docker.directory, 'pool');
    const name = 'engine';
    const mounts = [
      '--volume',
      `${pool}:/var/lib/flashcopy/pool`,
      '--volume',
      '/dev:/dev',
      '--tmpfs',
      '/run/flashcopy',
    ];
    const health = ['--health-interval', '1s', '--health-start-period', '1s'];
    await docker.run('docker', [
      ...['run', '--detach', '--name', name, '--privileged', ...READ_ONLY, ...mounts, ...health, IMAGE],
      ...['engine', '--pool', '/var/lib/flashcopy/pool', '--metrics-listen', '0.0.0.0:9751'],
    ]);
    cleanup.defer('remove the engine', () => docker.run('docker', ['rm', '--force', name]));
    const inEngine = (...args: string[]) =>
      docker.run('docker', ['exec', name, ...args], { timeoutMs: 60_000 });
    await until(
      'the engine is healthy',
      async () => {
        const state = await docker.run('docker', ['inspect', '--format', '{{.State.Health.Status}}', name]);
        return state.trim() === 'healthy';
      },
      60_000,
      500,
    );
    await inEngine('flashcopy', 'volume', 'create', 'data', '512Mi');
    const device = (await inEngine('flashcopy', 'volume', 'attach', 'data')).trim();
    await inEngine('mkfs.ext4', '-q', device);
    await inEngine('flashcopy', 'snapshot', 'create', 'data:before');
    await inEngine('flashcopy', 'snapshot', 'restore', 'before', 'again');
    const again = (await inEngine('flashcopy', 'volume', 'attach', 'again')).trim();
    await inEngine('fsck.ext4', '-n', '-f', again);
    await inEngine('mkfs.xfs', '-q', '-f', device);
    await docker.run('docker', ['stop', '--time', '30', name]);
    assert.equal(
      (await docker.run('docker', ['inspect', '--format', '{{.State.ExitCode}}', name])).trim(),
      '0',
    );
  });

  it('holds the packages that the program needs, and none of those for developing it', async () => {
    type Locked = { dev?: boolean; optional?: boolean };
    const locked = Object.entries(json('package-lock.json').packages as Record<string, Locked>);
    const needed = locked.filter(([name, { dev, optional }]) => name !== '' && !dev && !optional);
    const found = (await inIt('find', '/opt/flashcopy/node_modules', '-name', 'package.json'))
      .split('\n')
      .map(
        (file) => /\/(node_modules\/(?:.*node_modules\/)?(?:@[^/]+\/)?[^/]+)\/package.json$/.exec(file)?.[1],
      );
    assert.deepEqual(
      needed.map(([name]) => name).filter((name) => !found.includes(name)),
      [],
    );
    const developers = locked.filter(([, { dev }]) => dev).map(([name]) => name);
    assert.deepEqual(
      developers.filter((name) => found.includes(name)),
      [],
    );
  });

  it('holds nothing else: no sources, no tests, no package manager of Node.js, no Python, no notes of apt', async () => {
    assert.equal(
      await inIt('ls', '/opt/flashcopy'),
      'LICENSE\nbin\ndist\nnode_modules\npackage.json\nproto\n',
    );
    const unwanted = 'for command in npm npx yarn corepack tsc python3 gcc; do command -v $command; done';
    assert.equal((await program(['--entrypoint', 'sh'], '-c', unwanted)).stdout, '');
    assert.equal(await inIt('find', '/var/lib/apt/lists', '/var/cache/apt', '-type', 'f'), '');
    assert.equal(
      await inIt('find', '/opt', '/usr/local', '/var/lib/dpkg', '-newermt', '1970-01-02', '-name', '*.js'),
      '',
    );
  });

  it('says what it is', async () => {
    const labels = JSON.parse(await inspect('{{json .Config.Labels}}')) as Record<string, string>;
    assert.equal(labels['org.opencontainers.image.title'], 'flashcopy-csi');
    assert.equal(labels['org.opencontainers.image.licenses'], json('package.json').license);
    assert.equal(await inspect('{{json .Config.Entrypoint}}'), '["flashcopy"]');
  });

  it('has the same layers when it is built again', async () => {
    await withBuilder(async (builder) => {
      await build(builder, IMAGE);
      // Later by more than the times of files and of archives tell apart.
      await sleep(2000);
      const again = `${IMAGE}-again`;
      await build(builder, again, ['--no-cache']);
      const [first, second] = [await layersOf(builder, IMAGE), await layersOf(builder, again)];
      await builder.run('docker', ['image', 'rm', again]);
      assert.ok(first.length > 3);
      assert.deepEqual(second, first);
    });
  });
});

/**
 * For each layer what is in it: names, modes, owners, times, contents. Not in which order: this daemon writes the files of
 * one and the same layer in one of two orders, by whether it has an equal layer below already.
 */
async function layersOf(builder: Docker, tag: string): Promise<string[]> {
  const directory = fs.mkdtempSync(path.join(builder.directory, 'layers-'));
  const image = path.join(directory, 'image.tar');
  await builder.run('docker', ['save', '--output', image, tag]);
  await run('tar', ['--extract', '--file', image, '--directory', directory]);
  const [{ Layers }] = JSON.parse(fs.readFileSync(path.join(directory, 'manifest.json'), 'utf8')) as [
    { Layers: string[] },
  ];
  const layers: string[] = [];
  for (const layer of Layers) {
    const tar = path.join(directory, layer);
    const root = `${tar}.root`;
    fs.mkdirSync(root);
    const list = `tar --list --verbose --full-time --numeric-owner --file '${tar}' | sort`;
    const sums = `tar --extract --file '${tar}' && find . -type f -print0 | sort -z | xargs -0r sha256sum`;
    const options = { cwd: root, timeoutMs: 300_000 };
    layers.push(await run('bash', ['-c', `set -e -o pipefail; { ${list}; ${sums}; } | sha256sum`], options));
  }
  fs.rmSync(directory, { recursive: true });
  return layers;
}
