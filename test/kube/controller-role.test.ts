/** `flashcopy controller --kubernetes --operator` as a process: it serves, tells of itself, leads, and leaves in order. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { CONTROLLER, TestCa } from '../support/certificates.ts';
import { attempt, until } from '../support/commands.ts';
import { freePort } from '../support/csi-roles.ts';
import { CsiClient } from '../support/csi-suite.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { KubeServer } from '../support/kube-server.ts';

const program = path.resolve(import.meta.dirname, '../../bin/flashcopy.js');
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/flashcopy-system/leases/flashcopy-operator';

describe('A controller in Kubernetes', () => {
  const suite = engineSuite({ started: false });
  let kube: KubeServer;
  let address: string;
  let args: string[];
  let env: NodeJS.ProcessEnv;
  let child: ChildProcess;
  let exit: Promise<unknown[]>;
  let output = '';

  before(async () => {
    kube = await KubeServer.start();
    suite.cleanup.defer('stop the API server', () => kube.stop());
    const ca = new TestCa(path.join(suite.directory, 'ca'));
    const tlsDir = ca.issue(path.join(suite.directory, 'tls'), [CONTROLLER]);
    address = `127.0.0.1:${await freePort()}`;
    const csi = ['--csi-endpoint', `unix://${suite.directory}/csi.sock`, '--tls-dir', tlsDir];
    args = [program, 'controller', ...csi, '--kubernetes', '--operator', '--metrics-listen', address];
    env = { ...process.env, KUBECONFIG: kube.writeConfig(path.join(suite.directory, 'kubeconfig')) };
  });

  const ask = async (what: string) => {
    const response = await fetch(`http://${address}/${what}`).catch(() => undefined);
    return response && { status: response.status, text: await response.text() };
  };
  const holder = () => kube.get<{ spec: { holderIdentity: string } }>(LEASE)?.spec.holderIdentity;

  it('is alive and not ready while the API server is away', async () => {
    kube.before = () => {
      throw new Error('away');
    };
    child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    exit = once(child, 'exit');
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-20_000);
    });
    suite.cleanup.defer('end the controller', async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exit;
    });
    const ready = await until('it tells of itself', () => ask('readyz'), 60_000);
    assert.deepEqual([ready.status, ready.text], [503, 'the engines are not known yet\n']);
    assert.equal((await ask('healthz'))!.status, 200);
  });

  it('serves and leads when the API server comes', async () => {
    kube.before = () => {};
    await until('it is ready', async () => (await ask('readyz'))?.status === 200, 60_000);
    const client = new CsiClient(path.join(suite.directory, 'csi.sock'));
    await client.untilReady();
    client.close();
    await until('it leads', () => holder()?.length, 60_000);
    await until('it tells that it leads', async () => /^flashcopy_operator_leader 1$/m.test((await ask('metrics'))?.text ?? ''), 60_000); // biome-ignore format: one line
    assert.equal((await ask('healthz'))!.status, 200);
  });

  it('gives its lease back and ends with 0 when it is told to', async () => {
    child.kill('SIGTERM');
    assert.deepEqual(await exit, [0, null], output);
    assert.equal(holder(), '');
  });

  it('says what is wrong when it is used wrongly, or there is no cluster', async () => {
    const [, , ...rest] = args;
    const withEngine = await attempt(process.execPath, [...args, '--engine', 'n=h:1'], { env });
    assert.equal(withEngine.status, 2);
    assert.match(withEngine.stderr, /found by --kubernetes or named by --engine, not both/);
    const alone = await attempt(process.execPath, [program, 'controller', ...rest.filter((each) => each !== '--kubernetes')], { env }); // biome-ignore format: one line
    assert.match(alone.stderr, /--operator needs --kubernetes/);
    const nowhere = await attempt(process.execPath, args, {
      env: { ...env, KUBECONFIG: '' },
      timeoutMs: 60_000,
    });
    assert.equal(nowhere.status, 1);
    assert.match(nowhere.stderr, /InvalidArgument: --kubernetes was asked for, and there is no cluster/);
  });
});
