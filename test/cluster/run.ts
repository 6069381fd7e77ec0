/**
 * The cluster test: starts a real Kubernetes on this machine, installs the driver as its users do, and runs the claims of
 * test/cluster/*.test.ts against it. Leaves nothing behind, whatever way it ends.
 *
 *   npm run test:cluster                              everything
 *   npm run test:cluster -- --grep 'restore'          arguments are mocha's
 *   npm run test:cluster -- --shell                   a shell in the cluster instead of the tests
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { buildImage } from '../image/build-image.ts';
import { ClaimFailed, Cleanup } from '../support/cleanup.ts';
import { Cluster } from './harness/cluster.ts';
import { installDriver, stateOfDriver } from './harness/driver.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const wantsShell = process.argv[2] === '--shell';
const cleanup = new Cleanup();

await cleanup.guard(async () => {
  const began = performance.now();
  const cluster = await Cluster.start(cleanup, await buildImage());
  await installDriver(cluster).catch(async (error: Error) => {
    console.error(await stateOfDriver(cluster));
    if (!wantsShell) throw error;
    console.error(error.message);
  });
  console.log(`The cluster is ready after ${((performance.now() - began) / 1000).toFixed(0)} s\n`);
  const status = await (wantsShell ? shell(cluster) : mocha(cluster));
  if (status !== 0) throw new ClaimFailed('The cluster test has failed.');
});

function mocha(cluster: Cluster): Promise<number> {
  const config = path.join(import.meta.dirname, 'mocharc.json');
  const program = path.join(repository, 'node_modules/mocha/bin/mocha.js');
  const args = process.argv.slice(2);
  const files = args.some((arg) => arg.endsWith('.test.ts')) ? [] : allTests();
  return inherit(cluster, process.execPath, [program, '--config', config, ...args, ...files]);
}

/** The one that removes the driver comes last. */
function allTests(): string[] {
  const names = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'));
  const last = (name: string) => (name === 'lifecycle.test.ts' ? 1 : 0);
  return names.toSorted((a, b) => last(a) - last(b)).map((name) => path.join(import.meta.dirname, name));
}

function shell(cluster: Cluster): Promise<number> {
  const [program, ...args] = cluster.site.entering([process.env['SHELL'] ?? 'bash']);
  return inherit(cluster, program!, args);
}

async function inherit(cluster: Cluster, program: string, args: readonly string[]): Promise<number> {
  const env = {
    ...process.env,
    PATH: `${cluster.binaries}:${process.env['PATH']}`,
    KUBECONFIG: path.join(cluster.directory, 'admin.conf'),
    FLASHCOPY_CLUSTER: cluster.directory,
  };
  // It ends with this process, whatever that one dies of.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
    cwd: repository,
    stdio: 'inherit',
    env,
  });
  cleanup.defer('end the tests', async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const [status] = (await once(child, 'exit')) as [number | null];
  return status ?? 1;
}
