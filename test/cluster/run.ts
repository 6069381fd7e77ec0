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

/**
 * Those that can bear each other's company run side by side: each has a namespace of its own, and the driver's being killed is
 * nothing that others may notice. Then, one by one, those that take a node away, fill it or renew what all use; the one
 * that removes the driver comes last.
 */
const TOGETHER = [
  ...['kills', 'mappings', 'volumes', 'freezing', 'groups', 'refusals', 'manifests'],
  'custom-resources',
];
const ALONE = ['rights', 'certificates', 'placement', 'nodes', 'space', 'lifecycle'];
const AT_ONCE = 2;

await cleanup.guard(async () => {
  const began = performance.now();
  const cluster = await Cluster.start(cleanup, await buildImage());
  await installDriver(cluster).catch(async (error: Error) => {
    console.error(await stateOfDriver(cluster));
    if (!wantsShell) throw error;
    console.error(error.message);
  });
  console.log(`The cluster is ready after ${((performance.now() - began) / 1000).toFixed(0)} s\n`);
  const status = await (wantsShell ? shell(cluster) : tests(cluster));
  if (status !== 0) throw new ClaimFailed('The cluster test has failed.');
});

/** The status to end with. */
async function tests(cluster: Cluster): Promise<number> {
  const args = process.argv.slice(2);
  const names = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'));
  const unknown = names.filter((name) => ![...TOGETHER, ...ALONE].includes(path.basename(name, '.test.ts')));
  if (unknown.length > 0) throw new Error(`run.ts does not say when these run: ${unknown.join(', ')}`);
  const files = (of: readonly string[]) =>
    of.map((name) => path.join(import.meta.dirname, `${name}.test.ts`));
  if (args.some((arg) => arg.endsWith('.test.ts'))) return (await mocha(cluster, args)).status;
  const parallel = ['--parallel', '--jobs', String(AT_ONCE)];
  const outcomes = [
    await mocha(cluster, [...parallel, ...args, ...files(TOGETHER)]),
    await mocha(cluster, [...args, ...files(ALONE)]),
  ];
  const sum = (count: (outcome: Outcome) => number) =>
    outcomes.reduce((total, outcome) => total + count(outcome), 0);
  console.log(`Together:\n\n  ${sum(({ passing }) => passing)} passing`);
  console.log(`  ${sum(({ failing }) => failing)} failing`);
  return Math.max(...outcomes.map(({ status }) => status));
}

type Outcome = { status: number; passing: number; failing: number };

async function mocha(cluster: Cluster, args: readonly string[]): Promise<Outcome> {
  const config = path.join(import.meta.dirname, 'mocharc.json');
  const program = path.join(repository, 'node_modules/mocha/bin/mocha.js');
  let said = '';
  const status = await within(cluster, process.execPath, [program, '--config', config, ...args], (text) => {
    process.stdout.write(text);
    said += text;
  });
  const count = (what: string) =>
    Number([...said.matchAll(new RegExp(`^ +(\\d+) ${what}`, 'gm'))].at(-1)?.[1] ?? 0);
  return { status, passing: count('passing'), failing: count('failing') };
}

function shell(cluster: Cluster): Promise<number> {
  const [program, ...args] = cluster.site.entering([process.env['SHELL'] ?? 'bash']);
  return within(cluster, program!, args);
}

/** In the environment of the tests. `tell` gets what it prints; without it, it has this program's terminal. */
async function within(
  cluster: Cluster,
  program: string,
  args: readonly string[],
  tell?: (text: string) => void,
): Promise<number> {
  const env = {
    ...process.env,
    PATH: `${cluster.binaries}:${process.env['PATH']}`,
    KUBECONFIG: path.join(cluster.directory, 'admin.conf'),
    FLASHCOPY_CLUSTER: cluster.directory,
  };
  // It ends with this process, whatever that one dies of.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
    cwd: repository,
    stdio: ['inherit', tell === undefined ? 'inherit' : 'pipe', 'inherit'],
    env,
  });
  child.stdout?.setEncoding('utf8').on('data', tell!);
  const undo = cleanup.defer('end the tests', async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const [status] = (await once(child, 'close')) as [number | null];
  await undo();
  return status ?? 1;
}
