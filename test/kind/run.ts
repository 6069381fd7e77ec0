/**
 * The test of the quick start: types the commands of docs/kind.md on a real kind cluster and looks whether they do what
 * the page says. Leaves nothing behind, whatever way it ends.
 *
 *   npm run test:kind                  with images made here: nothing but packages is fetched
 *   npm run test:kind -- --public      with kind's node image and the images that others have published
 *   npm run test:kind -- --shell       a shell afterwards, also after a failure, in which docker, kind and kubectl work
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { buildBinaries } from '../cluster/harness/binaries.ts';
import { Docker } from '../docker/docker.ts';
import { attachedOf } from '../docker/loop-devices.ts';
import { ClaimFailed, Cleanup } from '../support/cleanup.ts';
import { run, until } from '../support/commands.ts';
import { quickStartCommands } from './quick-start.ts';
import { provideStandIns } from './stand-ins.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const packages = path.join(repository, 'test/support/system-packages.sh');
const PROGRAMS = ['kind', 'kubectl', 'helm'];
const COMMAND_MS = 900_000;
const cleanup = new Cleanup();
const flags = new Set(process.argv.slice(2));

await cleanup.guard(async () => {
  await run(packages, ['docker.io', 'debootstrap', 'slirp4netns', 'git']);
  const began = performance.now();
  const binaries = await buildBinaries();
  const docker = await Docker.start(cleanup);
  for (const name of PROGRAMS) fs.symlinkSync(path.join(binaries, name), path.join(docker.bin, name));
  const standIns = flags.has('--public') ? {} : await provideStandIns(docker, binaries);
  const environment = { ...standIns, KUBECONFIG: path.join(docker.directory, 'kubeconfig') };
  console.log(`Ready to begin after ${seconds(began)}\n`);
  try {
    await quickStart(docker, environment);
  } finally {
    if (flags.has('--shell')) await shell(docker, environment);
  }
  console.log(`The quick start works. It took ${seconds(began)}`);
});

async function quickStart(docker: Docker, env: NodeJS.ProcessEnv): Promise<void> {
  const type = async (command: string): Promise<string> => {
    const began = performance.now();
    console.log(`$ ${command}`);
    const options = { env, cwd: repository, timeoutMs: COMMAND_MS };
    const { status, stdout, stderr } = await docker.attempt('bash', ['-c', command], options);
    console.log(
      `${stderr.trim().split('\n').slice(-40).join('\n')}\n${stdout.trim()}\n(${seconds(began)})\n`,
    );
    if (status === 0) return stdout;
    await tellWhatIs(docker, env);
    throw new ClaimFailed(`A command of the quick start has failed: ${command}`);
  };
  const { commands, end } = quickStartCommands();
  for (const command of commands) await type(command);
  await type('kubectl get nodes,volumesnapshots,pvc,pods --output wide');
  await type('kubectl wait pods --all --all-namespaces --for condition=Ready --timeout 2m');
  const written = await type('kubectl exec writer -- cat /data/written');
  assert.match(written, /\d\d:\d\d/);
  assert.equal(await type('kubectl logs reader'), written, 'the snapshot holds what was written');
  await type('helm test flashcopy-csi --namespace flashcopy-system --timeout 5m');
  await type(end);
  await until('no loop device is left', () => attachedOf(docker.directory).length === 0, 60_000, 100);
}

/** What a person would look at next. */
async function tellWhatIs(docker: Docker, env: NodeJS.ProcessEnv): Promise<void> {
  const looks = [
    'kubectl get nodes,pods,pvc,volumesnapshots --all-namespaces --output wide',
    'kubectl get events --all-namespaces --sort-by .lastTimestamp | tail -n 40',
    'for pod in $(kubectl get pods -n flashcopy-system -o name); do echo "== $pod"; ' +
      'kubectl logs -n flashcopy-system $pod --all-containers --prefix --tail 25; done',
  ];
  for (const look of looks) {
    const { stdout, stderr } = await docker.attempt('bash', ['-c', look], { env, timeoutMs: 60_000 });
    console.log(`${stdout}${stderr}`);
  }
}

async function shell(docker: Docker, env: NodeJS.ProcessEnv): Promise<void> {
  const { words, env: own } = docker.entering(process.env['SHELL'] ?? 'bash');
  const child = spawn(words[0]!, words.slice(1), {
    stdio: 'inherit',
    env: { ...process.env, ...own, ...env },
  });
  await once(child, 'exit');
}

function seconds(began: number): string {
  return `${((performance.now() - began) / 1000).toFixed(0)} s`;
}
