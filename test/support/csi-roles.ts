/**
 * A cluster's processes on one machine: for each node an engine that listens over mutual TLS, one controller for all of
 * them, and a node service.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import type { RemoteEngine } from '../../src/api/client.ts';
import { CONTROLLER, engineName, TestCa } from './certificates.ts';
import { until } from './commands.ts';
import { CsiClient } from './csi-suite.ts';
import type { EngineSuite } from './engine-suite.ts';
import { Standalone } from './standalone.ts';

const program = path.resolve(import.meta.dirname, '../../bin/flashcopy.js');

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** `flashcopy <role>`, serving CSI at a socket. */
export class RoleProcess {
  readonly socket: string;
  readonly client: CsiClient;
  readonly #process: ChildProcess;
  readonly #undo: () => Promise<void>;

  private constructor(suite: EngineSuite, role: string, socket: string, child: ChildProcess) {
    this.socket = socket;
    this.client = new CsiClient(socket);
    this.#process = child;
    this.#undo = suite.cleanup.defer(`stop the ${role}`, () => this.#stop());
  }

  /** `within`: a command that runs the one behind its own words. */
  static async start(
    suite: EngineSuite,
    role: string,
    args: string[],
    within: readonly string[] = [],
  ): Promise<RoleProcess> {
    const socket = path.join(suite.directory, `${role}.sock`);
    const words = [...within, process.execPath, program, role, '--csi-endpoint', `unix://${socket}`, ...args];
    const child = spawn(words[0]!, words.slice(1), {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    let output = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-20_000);
    });
    const self = new RoleProcess(suite, role, socket, child);
    await until(`the ${role} serves CSI`, () => {
      if (child.exitCode !== null) throw new Error(`the ${role} ended while starting:\n${output}`);
      return existsSync(socket);
    });
    await self.client.untilReady();
    return self;
  }

  /** Stops it in the orderly way, and checks that nothing is left. */
  async stop(): Promise<void> {
    await this.#undo();
  }

  get pid(): number {
    return this.#process.pid!;
  }

  async kill(): Promise<void> {
    this.client.close();
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  async #stop(): Promise<void> {
    this.client.close();
    if (this.#process.signalCode === 'SIGKILL') return;
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGTERM');
      await once(this.#process, 'exit');
    }
    if (this.#process.exitCode !== 0) throw new Error(`it ended with ${this.#process.exitCode}`);
    if (existsSync(this.socket)) throw new Error(`it left ${this.socket}`);
  }
}

export class ControllerAndNodes {
  readonly controller: RoleProcess;
  readonly #engines: ReadonlyMap<string, Standalone>;

  private constructor(controller: RoleProcess, engines: ReadonlyMap<string, Standalone>) {
    this.controller = controller;
    this.#engines = engines;
  }

  static async start(suite: EngineSuite, nodes: readonly string[]): Promise<ControllerAndNodes> {
    const ca = new TestCa(path.join(suite.directory, 'ca'));
    const engines = new Map<string, Standalone>();
    const known: string[] = [];
    for (const node of nodes) {
      const tlsDir = ca.issue(path.join(suite.directory, `tls-${node}`), [engineName(node)]);
      const address = `127.0.0.1:${await freePort()}`;
      const listen = ['--listen', address, '--tls-dir', tlsDir, '--node-id', node];
      const pool = path.join(suite.directory, node);
      engines.set(node, await Standalone.start(suite.cleanup, pool, listen, 'engine'));
      known.push('--engine', `${node}=${address}`);
    }
    const tlsDir = ca.issue(path.join(suite.directory, 'tls-controller'), [CONTROLLER]);
    const controller = await RoleProcess.start(suite, 'controller', ['--tls-dir', tlsDir, ...known]);
    return new ControllerAndNodes(controller, engines);
  }

  /** The engine of a node, past the controller. */
  engine(node: string): RemoteEngine {
    return this.standalone(node).engine;
  }

  standalone(node: string): Standalone {
    const found = this.#engines.get(node);
    if (!found) throw new Error(`there is no node ${node}`);
    return found;
  }

  /** The node service of one of them. */
  nodeService(suite: EngineSuite, node: string): Promise<RoleProcess> {
    const { endpoint } = this.standalone(node);
    return RoleProcess.start(suite, 'node', ['--endpoint', `unix://${endpoint}`, '--node-id', node]);
  }
}
