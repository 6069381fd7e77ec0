/** The node service registers itself with kubelet, which is played here by its rules: it watches, asks, and tells. */
import assert from 'node:assert/strict';
import { type FSWatcher, lstatSync, mkdirSync, readdirSync, watch } from 'node:fs';
import path from 'node:path';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { PluginInfo__Output } from '../../src/csi/node/generated/pluginregistration/PluginInfo.ts';
import type { ProtoGrpcType } from '../../src/csi/node/generated/registration.ts';
import { REGISTRATION_PROTO } from '../../src/csi/node/registration.ts';
import { until } from '../support/commands.ts';
import { freePort, RoleProcess } from '../support/csi-roles.ts';
import { ask, CsiClient } from '../support/csi-suite.ts';
import { type EngineSuite, engineSuite } from '../support/engine-suite.ts';

/** Every socket that appears, or is there at its start, is asked; names that begin with a dot are passed over. */
class Kubelet {
  readonly directory: string;
  readonly asked: PluginInfo__Output[] = [];
  readonly seen = new Set<string>();
  verdict: { pluginRegistered: boolean; error: string } = { pluginRegistered: true, error: '' };
  #watcher: FSWatcher;

  constructor(directory: string) {
    this.directory = directory;
    this.#watcher = watch(directory, { persistent: false }, (event, name) => {
      if (event === 'rename' && name !== null) void this.#meet(name);
    });
    for (const name of readdirSync(directory)) void this.#meet(name);
  }

  stop(): void {
    this.#watcher.close();
  }

  async #meet(name: string): Promise<void> {
    const file = path.join(this.directory, name);
    if (name.startsWith('.') || !lstatSync(file, { throwIfNoEntry: false })?.isSocket()) return;
    this.seen.add(name);
    await this.register(name);
  }

  async register(name: string): Promise<void> {
    const package_ = loadPackageDefinition(loadSync(REGISTRATION_PROTO, { defaults: true }));
    const { Registration } = (package_ as unknown as ProtoGrpcType).pluginregistration;
    const client = new Registration(`unix:${path.join(this.directory, name)}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    const csi = { client: undefined as CsiClient | undefined };
    try {
      const info = await ask(client, 'getInfo', {});
      csi.client = new CsiClient(info.endpoint);
      const { name: driver } = await ask(csi.client.identity, 'getPluginInfo', {});
      assert.equal(driver, info.name);
      this.asked.push(info);
      await ask(client, 'notifyRegistrationStatus', this.verdict);
    } finally {
      client.close();
      csi.client?.close();
    }
  }
}

async function healthOf(port: number): Promise<[number, string, number, string]> {
  const [live, ready] = await Promise.all(
    ['healthz', 'readyz'].map(async (path) => {
      const response = await fetch(`http://127.0.0.1:${port}/${path}`);
      return [response.status, await response.text()] as const;
    }),
  );
  return [...live!, ...ready!];
}

describe('The registration with kubelet', function () {
  this.timeout(60_000);
  const suite: EngineSuite = engineSuite();
  let directory: string;
  let port: number;
  let node: RoleProcess;
  const SOCKET = 'csi.flashcopy.dev-reg.sock';

  const startNode = async () => {
    const { endpoint } = suite.standalone;
    const registration = ['--registration-dir', directory];
    const metrics = ['--metrics-listen', `127.0.0.1:${port}`];
    const args = ['--endpoint', `unix://${endpoint}`, '--node-id', 'n1', ...registration, ...metrics];
    node = await RoleProcess.start(suite, 'node', args);
  };

  before(async () => {
    directory = path.join(suite.directory, 'plugins_registry');
    mkdirSync(directory);
    port = await freePort();
  });

  it('waits for kubelet, and is not ready before kubelet has come', async () => {
    await startNode();
    const [live, , ready, reason] = await healthOf(port);
    assert.deepEqual([live, ready], [200, 503]);
    assert.match(reason, /kubelet has not asked/);
  });

  it('is made by a kubelet that starts, and again by the next one', async () => {
    for (let starts = 1; starts <= 2; starts++) {
      const kubelet = new Kubelet(directory);
      await until('kubelet has registered it', () => kubelet.asked.length > 0);
      kubelet.stop();
      const [{ type, name, endpoint, supportedVersions } = {} as never] = kubelet.asked;
      assert.deepEqual([type, name, supportedVersions], ['CSIPlugin', 'csi.flashcopy.dev', ['1.0.0']]);
      assert.equal(endpoint, node.socket);
      await until('it is ready', async () => (await healthOf(port))[2] === 200);
    }
  });

  it('shows when kubelet refuses it, until it takes it', async () => {
    const kubelet = new Kubelet(directory);
    kubelet.verdict = { pluginRegistered: false, error: 'another driver has that name' };
    await until('it knows', async () => (await healthOf(port))[0] === 503);
    assert.match((await healthOf(port))[1], /another driver has that name/);
    kubelet.verdict = { pluginRegistered: true, error: '' };
    await kubelet.register(SOCKET);
    assert.deepEqual(await healthOf(port), [200, 'ok\n', 200, 'ok\n']);
    kubelet.stop();
  });

  it('is made again with a node service that was killed and started again; nothing else is ever seen there', async () => {
    const kubelet = new Kubelet(directory);
    await until('kubelet has registered the first', () => kubelet.asked.length === 1);
    await node.kill();
    assert.ok(readdirSync(directory).includes(SOCKET));
    await startNode();
    await until('kubelet has registered the second', () => kubelet.asked.length === 2);
    await node.stop();
    assert.deepEqual(readdirSync(directory), []);
    assert.deepEqual([...kubelet.seen], [SOCKET]);
    kubelet.stop();
  });
});
