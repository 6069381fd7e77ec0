/**
 * What the commands of docs/kind.md get from the network, from here, for where it cannot be reached: kind's node image,
 * the images of other projects, and the repository that has the VolumeSnapshots' manifests.
 *
 * The commands stay as they are. `kind create cluster` gets the name of the node image, and git a nearer copy of the
 * repository, made of the same release's Go modules.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { sourcesOf } from '../cluster/harness/binaries.ts';
import type { Docker } from '../docker/docker.ts';
import { loadStandIns } from '../image/stand-ins.ts';
import { run } from '../support/commands.ts';
import { nodeImage } from './node-image.ts';
import { publishedImages } from './quick-start.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const SNAPSHOTTER = 'kubernetes-csi/external-snapshotter';
const LOAD_MS = 600_000;

/** The environment in which the commands find them. */
export async function provideStandIns(docker: Docker, binaries: string): Promise<NodeJS.ProcessEnv> {
  const snapshotter = await snapshotterRepository(path.join(docker.directory, 'git'));
  const controller = path.join(
    snapshotter,
    'deploy/kubernetes/snapshot-controller/setup-snapshot-controller.yaml',
  );
  const examples = ['volume', 'snapshot'].map((name) => path.join(repository, `docs/kind/${name}.yaml`));
  const files = await Promise.all([controller, ...examples].map((file) => fs.readFile(file, 'utf8')));
  const chart = await run(path.join(binaries, 'helm'), [
    ...['template', 'flashcopy-csi', path.join(repository, 'charts/flashcopy-csi')],
    ...['--set', 'snapshotCrds.check=false'],
  ]);

  const node = await nodeImage(publishedImages([chart, ...files]));
  await loadStandIns(docker);
  await docker.run('docker', ['load', '--input', node.tar], { timeoutMs: LOAD_MS });
  await fs.rm(path.join(docker.bin, 'kind'));
  await fs.writeFile(
    path.join(docker.bin, 'kind'),
    kindWithNodeImage(path.join(binaries, 'kind'), node.name),
    {
      mode: 0o755,
    },
  );
  // kubectl asks the site of the repository first, whether it has a file of that name.
  await docker.run('sh', ['-c', 'echo 127.0.0.1 github.com >>/etc/hosts']);
  return {
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: `url.file://${path.join(docker.directory, 'git')}/.insteadOf`,
    GIT_CONFIG_VALUE_0: 'https://github.com/',
  };
}

const kindWithNodeImage = (kind: string, image: string): string => `#!/bin/sh
if [ "$1 $2" = 'create cluster' ]; then
  shift 2
  set -- create cluster --image '${image}' "$@"
fi
exec '${kind}' "$@"
`;

/** With what its release has in the two directories that are used, and a tag of that release. */
async function snapshotterRepository(root: string): Promise<string> {
  const dir = path.join(root, SNAPSHOTTER);
  const client = await sourcesOf(`github.com/${SNAPSHOTTER}/client/v8`);
  const main = await sourcesOf(`github.com/${SNAPSHOTTER}/v8`);
  await fs.cp(path.join(client, 'config/crd'), path.join(dir, 'client/config/crd'), { recursive: true });
  const deploy = 'deploy/kubernetes/snapshot-controller';
  await fs.cp(path.join(main, deploy), path.join(dir, deploy), { recursive: true });
  await run('chmod', ['-R', 'u+w', dir]);
  const git = (...args: string[]) =>
    run('git', ['-C', dir, '-c', 'user.name=test', '-c', 'user.email=test@localhost', ...args]);
  await git('init', '--quiet');
  await git('add', '--all');
  await git('commit', '--quiet', '--message', 'As released');
  await git('tag', main.slice(main.lastIndexOf('@') + 1));
  await fs.symlink(path.basename(dir), `${dir}.git`);
  return dir;
}
