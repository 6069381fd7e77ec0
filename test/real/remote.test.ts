/**
 * An engine process as its callers reach it: over its socket, and over mutual TLS as the controller does.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { RemoteEngine } from '../../src/api/client.ts';
import { TlsDirectory } from '../../src/api/tls-directory.ts';
import { CONTROLLER, engineName, TestCa } from '../support/certificates.ts';
import { until } from '../support/commands.ts';
import { engineClaims } from '../support/engine-claims.ts';
import { type EngineSuite, engineSuite } from '../support/engine-suite.ts';
import { flashcopy, untilCopied } from '../support/standalone.ts';

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** `flashcopy engine` with certificates for node n1, and the controller's way to it. */
class Remote {
  readonly suite: EngineSuite;
  readonly ca: TestCa;
  readonly endpoint: string;
  readonly controllerDir: string;
  readonly nodeDir: string;
  readonly engine: RemoteEngine;

  private constructor(suite: EngineSuite, port: number) {
    this.suite = suite;
    this.ca = new TestCa(path.join(suite.directory, 'ca'));
    this.endpoint = `tls://127.0.0.1:${port}`;
    this.nodeDir = this.ca.issue(path.join(suite.directory, 'n1'), [engineName('n1')]);
    this.controllerDir = this.ca.issue(path.join(suite.directory, 'controller'), [CONTROLLER]);
    this.engine = new RemoteEngine(this.endpoint, {
      tls: new TlsDirectory(this.controllerDir, CONTROLLER),
      node: 'n1',
    });
    suite.cleanup.defer('close the connection', () => this.engine.close());
  }

  static async start(suite: EngineSuite): Promise<Remote> {
    const port = await freePort();
    const remote = new Remote(suite, port);
    const listen = ['--listen', `127.0.0.1:${port}`, '--tls-dir', remote.nodeDir, '--node-id', 'n1'];
    await suite.start(undefined, listen, 'engine');
    return remote;
  }
}

describe('An engine process over its socket', () => {
  const suite = engineSuite();
  engineClaims(() => ({
    api: suite.engine,
    copied: async (mapping) => void (await untilCopied(suite.engine, mapping)),
  }));
});

describe('An engine process over mutual TLS', () => {
  const suite = engineSuite({ started: false });
  let remote: Remote;
  before(async () => {
    remote = await Remote.start(suite);
  });
  engineClaims(() => ({
    api: remote.engine,
    copied: async (mapping) => void (await untilCopied(remote.engine, mapping)),
  }));

  it('is asked by commands, too', async () => {
    const options = ['--endpoint', remote.endpoint, '--tls-dir', remote.controllerDir, '--node-id'];
    const { status, stdout } = await flashcopy('pool', 'show', '--output', 'json', ...options, 'n1');
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout).id, (await suite.engine.pool()).id);
    const other = await flashcopy('pool', 'show', ...options, 'n2');
    assert.equal(other.status, 1);
    assert.match(
      other.stderr,
      /^error: Unavailable: .*n2\.engine\.flashcopy\.dev.*It is the engine of another node/,
    );
  });

  it('answers again after its death, and serves volumes even if its certificates are gone then', async () => {
    await remote.engine.createVolume({ name: 'kept', sizeBytes: 2 ** 20 });
    await suite.standalone.killChild();
    assert.equal((await remote.engine.getVolume('kept')).name, 'kept');

    const good = path.join(suite.directory, 'good');
    cpSync(remote.nodeDir, good, { recursive: true });
    new TestCa(path.join(suite.directory, 'ca2')).issue(remote.nodeDir, [engineName('n2')]);
    await suite.standalone.killChild();
    await until('the engine answers on its socket', () =>
      suite.engine.getVolume('kept').then(({ name }) => name === 'kept'),
    );
    await until('it says what is wrong', () =>
      /not for DNS:n1.*not reachable by the controller yet/.test(suite.log),
    );
    cpSync(good, remote.nodeDir, { recursive: true });
    assert.equal((await remote.engine.getVolume('kept')).name, 'kept');
  });
});

describe('An engine that cannot be reached as it was told to', () => {
  const suite = engineSuite({ started: false });
  const starting = (listen: string, tlsDir: string) =>
    flashcopy('engine', '--pool', path.join(suite.directory, 'pool'), '--endpoint', `unix://${suite.directory}/e.sock`,
      '--listen', listen, '--tls-dir', tlsDir, '--node-id', 'n1'); // biome-ignore format: a command line

  it('does not start: certificates that are not its own, none at all, an address that is taken or none', async () => {
    const ca = new TestCa(path.join(suite.directory, 'ca'));
    const own = ca.issue(path.join(suite.directory, 'own'), [engineName('n1')]);
    const controller = ca.issue(path.join(suite.directory, 'controller'), [CONTROLLER]);
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    suite.cleanup.defer('give the address back', () => taken.close());
    const { port } = taken.address() as net.AddressInfo;
    const cases: [string, string, RegExp][] = [
      [
        '127.0.0.1:0',
        controller,
        /^error: InvalidArgument: .*is for DNS:controller\.flashcopy\.dev, not for DNS:n1\.engine/m,
      ],
      ['127.0.0.1:0', '/nowhere', /^error: InvalidArgument: .*\/nowhere\/ca\.crt cannot be read \(ENOENT\)/m],
      ['127.0.0.1', own, /^error: InvalidArgument: The address "127\.0\.0\.1" is not a host and a port/m],
      [`127.0.0.1:${port}`, own, /^error: Unavailable: The engine cannot listen on 127.*EADDRINUSE/m],
    ];
    for (const [listen, tlsDir, says] of cases) {
      const { status, stderr } = await starting(listen, tlsDir);
      assert.equal(status, 1, stderr);
      assert.match(stderr, says);
    }
  });
});
