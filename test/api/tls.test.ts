/**
 * Who gets to an engine over a network: the controller, with a certificate of the CA that is trusted now, over TLS 1.3.
 * And to which engine the controller gets: that of the node that it means.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http2 from 'node:http2';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { RemoteEngine } from '../../src/api/client.ts';
import { serveEngineTls } from '../../src/api/server.ts';
import { engineService } from '../../src/api/service.ts';
import { engineNameOf, TlsDirectory } from '../../src/api/tls-directory.ts';
import { type ErrorCode, FlashCopyError } from '../../src/base/errors.ts';
import { CONTROLLER, engineName, SecretVolume, TestCa } from '../support/certificates.ts';
import { until } from '../support/commands.ts';
import { FakeEngine } from '../support/fake-engine.ts';

const LOOK_MS = 20;
const AWAY_MS = 300;

const failsWith = (code: ErrorCode, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof FlashCopyError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, text);
  return true;
};

describe('Certificates', function () {
  this.timeout(30_000);
  let dir: string;
  let ca: TestCa;
  let other: TestCa;
  const at = (name: string) => path.join(dir, name);
  const issue = (name: string, names: string[], days?: number) => ca.issue(at(name), names, days);

  before(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-tls-'));
    ca = new TestCa(at('ca'));
    other = new TestCa(at('other-ca'), 'somebody-else');
    issue('good', [CONTROLLER]);
  });
  after(() => fs.rmSync(dir, { recursive: true }));

  const refused = (what: string, make: () => string, text: RegExp) =>
    it(`are refused with a reason: ${what}`, () => {
      assert.throws(() => new TlsDirectory(make(), CONTROLLER), failsWith('InvalidArgument', text));
    });
  const changed = (name: string, change: (copy: string) => void) => () => {
    fs.cpSync(at('good'), at(name), { recursive: true });
    change(at(name));
    return at(name);
  };

  refused(
    'no directory',
    () => at('none'),
    /none\/ca\.crt cannot be read \(ENOENT\)\. The directory has to hold/,
  );
  for (const file of ['ca.crt', 'tls.crt', 'tls.key']) {
    const without = changed(`no-${file}`, (copy) => fs.rmSync(path.join(copy, file)));
    refused(`no ${file}`, without, new RegExp(`${file} cannot be read \\(ENOENT\\)`));
    const unreadable = changed(`dir-${file}`, (copy) => {
      fs.rmSync(path.join(copy, file));
      fs.mkdirSync(path.join(copy, file));
    });
    refused(`${file} that cannot be read`, unreadable, new RegExp(`${file} cannot be read \\(EISDIR\\)`));
    const garbage = changed(`bad-${file}`, (copy) => fs.writeFileSync(path.join(copy, file), 'garbage'));
    refused(
      `${file} that is none`,
      garbage,
      new RegExp(`${file} (holds no certificate|is not a private key)`),
    );
  }
  refused(
    'the key of another certificate',
    changed('key', (copy) =>
      fs.cpSync(path.join(issue('second', [CONTROLLER]), 'tls.key'), `${copy}/tls.key`),
    ),
    /tls\.key is not the key of .*tls\.crt/,
  );
  refused('one that has expired', () => issue('expired', [CONTROLLER], -1), /tls\.crt has expired on 20/);
  refused(
    'one of another CA',
    changed('foreign', (copy) => fs.cpSync(at('other-ca/ca.crt'), `${copy}/ca.crt`)),
    /was issued by "CN=flashcopy-test-ca", which is not in .*ca\.crt \("CN=somebody-else"\)/,
  );
  refused(
    'one for another name',
    () => issue('name', [engineName('n1')]),
    /is for DNS:n1\.engine.*not for DNS:controller/,
  );
  refused('one for no name', () => issue('nameless', []), /is for no name at all/);
  refused(
    'a pattern for the controller',
    () => issue('pattern', ['*.flashcopy.dev']),
    /not for DNS:controller/,
  );

  it('may be of one of several CAs, and for several nodes', () => {
    const copy = changed('both', (dir) => {
      fs.appendFileSync(path.join(dir, 'ca.crt'), fs.readFileSync(`${other.dir}/ca.crt`));
    })();
    new TlsDirectory(copy, CONTROLLER);
    new TlsDirectory(issue('nodes', [engineName('n1'), engineName('n2')]), engineNameOf('n2'));
    new TlsDirectory(issue('all', [engineName('*')]), engineNameOf('n7'));
  });

  it('are read again when they change, but not while they do not fit together', () => {
    const copy = changed('live', () => undefined)();
    const live = new TlsDirectory(copy, CONTROLLER, 0);
    const { version } = live;
    const first = live.material;
    const next = issue('next', [CONTROLLER]);
    for (const file of ['tls.key', 'tls.crt']) {
      live.refresh();
      assert.equal(live.material, first, `before ${file}`);
      fs.cpSync(path.join(next, file), path.join(copy, file));
    }
    live.refresh();
    assert.ok(live.version > version);
    assert.deepEqual(live.material.cert, fs.readFileSync(path.join(next, 'tls.crt')));
  });

  it('bear a node id that can be one', () => {
    for (const id of ['', 'A', '-a', 'a-', 'a_b', 'a/b', 'x'.repeat(101)])
      assert.throws(() => engineNameOf(id), failsWith('InvalidArgument', /cannot be a node's id/));
  });

  it('bear one label for a node, whatever it is called', () => {
    assert.equal(engineNameOf('n1'), 'n1.engine.flashcopy.dev');
    assert.equal(engineNameOf('x'.repeat(63)), `${'x'.repeat(63)}.engine.flashcopy.dev`);
    assert.equal(
      engineNameOf('ip-10-0-0-7.ec2.internal'),
      'ip-10-0-0-7-ec2-internal-db898a477786ca4da6ca111a1eb300bd.engine.flashcopy.dev',
    );
    const dotted = ['a.b', `${'a.'.repeat(49)}b`, 'x'.repeat(64), 'x'.repeat(100), 'node.0123456789abcdef'];
    for (const id of dotted)
      assert.match(engineNameOf(id), /^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]\.engine\.flashcopy\.dev$/);
  });

  it('bear names that no two nodes share', () => {
    const ids = [
      'a.b',
      'a-b',
      'a.b.c',
      'a-b.c',
      'a.b-c',
      'a-b-c',
      'x'.repeat(64),
      'x'.repeat(65),
      'x'.repeat(63),
    ];
    // Called as another's name is made.
    const ruses = ids.map((id) => engineNameOf(id).replace('.engine.flashcopy.dev', ''));
    const all = [...new Set([...ids, ...ruses])];
    assert.equal(new Set(all.map(engineNameOf)).size, all.length);
  });

  it('for all nodes are good for one with dots in its name', () => {
    new TlsDirectory(issue('wild', [engineName('*')]), engineNameOf('ip-10-0-0-7.ec2.internal'));
  });
});

describe('An engine over TLS', function () {
  this.timeout(30_000);
  let dir: string;
  let ca: TestCa;
  let ca2: TestCa;
  let served: SecretVolume;
  let server: Awaited<ReturnType<typeof serveEngineTls>>;
  let engine: FakeEngine;
  const open: RemoteEngine[] = [];
  /** Whether the last one that `isHeard` tried came back with a session. */
  let resumed: boolean;
  const at = (name: string) => path.join(dir, name);

  beforeEach(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-tls-'));
    ca = new TestCa(at('ca'));
    // Of the same name, so that only the signature tells them apart.
    ca2 = new TestCa(at('ca2'));
    served = new SecretVolume(at('served'));
    served.swap((to) => ca.issue(to, [engineName('n1')]));
    engine = new FakeEngine();
    const access = { address: '127.0.0.1:0', tlsDir: served.dir, nodeId: 'n1' };
    server = await serveEngineTls(engine, access, LOOK_MS);
  });
  afterEach(async () => {
    for (const remote of open.splice(0)) remote.close();
    await server.stop();
    fs.rmSync(dir, { recursive: true });
  });

  const remote = (tlsDir: string, { node = 'n1', name = CONTROLLER } = {}) => {
    const options = { tls: new TlsDirectory(tlsDir, name, 0), node, awayMs: AWAY_MS };
    const made = new RemoteEngine(`tls://127.0.0.1:${server.port}`, options);
    open.push(made);
    return made;
  };
  /** Trusts both CAs, so that it is the engine that decides. */
  const trusting = (tlsDir: string) => {
    const both = Buffer.concat([ca, ca2].map(({ dir: of }) => fs.readFileSync(`${of}/ca.crt`)));
    fs.writeFileSync(path.join(tlsDir, 'ca.crt'), both);
    return tlsDir;
  };

  it('answers the controller', async () => {
    assert.deepEqual(await remote(ca.issue(at('c'), [CONTROLLER])).pool(), await engine.pool());
  });

  it('of a node with dots in its name answers with the certificate for all nodes', async () => {
    await server.stop();
    served.swap((to) => ca.issue(to, [engineName('*')]));
    const node = 'ip-10-0-0-7.ec2.internal';
    server = await serveEngineTls(
      engine,
      { address: '127.0.0.1:0', tlsDir: served.dir, nodeId: node },
      LOOK_MS,
    );
    assert.deepEqual(await remote(ca.issue(at('c'), [CONTROLLER]), { node }).pool(), await engine.pool());
  });

  it('is not taken for that of another node', async () => {
    await assert.rejects(
      remote(ca.issue(at('c'), [CONTROLLER]), { node: 'n2' }).pool(),
      failsWith('Unavailable', /Host: n2\.engine.*altnames: DNS:n1\.engine.*engine of another node/),
    );
  });

  it('is not trusted with a certificate of another CA', async () => {
    await assert.rejects(
      remote(ca2.issue(at('c'), [CONTROLLER])).pool(),
      failsWith('Unavailable', /Nothing was done\. Its certificate is not of a CA that is trusted here/),
    );
  });

  it('does not obey another engine', async () => {
    const refused = failsWith('MissingPrivilege', /obeys only controller\.flashcopy\.dev.*DNS:n2\.engine/);
    const foreign = remote(ca.issue(at('n2'), [engineName('n2')]), { name: engineName('n2') });
    await assert.rejects(foreign.createVolume({ name: 'a', sizeBytes: 4096 }), refused);
    await assert.rejects(async () => {
      for await (const _ of foreign.watchMapping('m', AbortSignal.timeout(5000))) assert.fail('it was shown');
    }, refused);
    assert.deepEqual(await engine.listVolumes(), []);
  });

  it('accepts no certificate of another CA', async () => {
    const calling = remote(trusting(ca2.issue(at('c'), [CONTROLLER]))).pool();
    await assert.rejects(
      calling,
      failsWith('Unavailable', /closed the connection at once.*both ends need one of the same CA/),
    );
  });

  it('accepts nobody without a certificate, with an older TLS, or in plain text', async () => {
    const own = ca.issue(at('c'), [CONTROLLER]);
    const [caFile, cert, key] = ['ca.crt', 'tls.crt', 'tls.key'].map((file) =>
      fs.readFileSync(path.join(own, file)),
    );
    assert.equal(await isHeard({ ca: caFile!, cert: cert!, key: key! }), true);
    assert.equal(await isHeard({ ca: caFile! }), false);
    assert.equal(await isHeard({ ca: caFile!, cert: cert!, key: key!, maxVersion: 'TLSv1.2' }), false);

    const Plain = engineService();
    const plain = new Plain(`127.0.0.1:${server.port}`, credentials.createInsecure());
    await assert.rejects(
      new Promise((resolve, reject) =>
        plain.getPool({}, { deadline: Date.now() + 500 }, (error, answer) =>
          error ? reject(error) : resolve(answer),
        ),
      ),
    );
    plain.close();
  });

  it('cannot be asked over TLS without certificates', () => {
    const endpoint = `tls://127.0.0.1:${server.port}`;
    const needed = failsWith('InvalidArgument', /needs the directory with the certificates/);
    assert.throws(() => new RemoteEngine(endpoint), needed);
    assert.throws(() => new RemoteEngine(endpoint, { node: 'n1' }), needed);
  });

  it('follows a change of the CA without a restart on either side, and calls go on', async () => {
    const own = new SecretVolume(at('controller'));
    own.swap((to) => ca.issue(to, [CONTROLLER]));
    const api = remote(own.dir);
    const stale = remote(trusting(ca.issue(at('stale'), [CONTROLLER])));
    await api.pool();
    await stale.pool();

    // As it is done: first everybody trusts both, then gets a new certificate, then the old CA goes.
    const step = async (write: (to: string, names: string[]) => void) => {
      for (const [volume, name] of [
        [served, engineName('n1')],
        [own, CONTROLLER],
      ] as const) {
        volume.swap((to) => write(to, [name]));
        for (let calls = 0; calls < 50; calls++) {
          await api.pool();
          await sleep(LOOK_MS / 2);
        }
      }
    };
    await step((to, names) => trusting(ca.issue(to, names)));
    await step((to, names) => trusting(ca2.issue(to, names)));
    assert.ok(await stale.pool(), 'the old CA is still trusted');
    await step((to, names) => ca2.issue(to, names));

    await assert.rejects(stale.pool(), failsWith('Unavailable', /closed the connection at once/));
    await assert.rejects(
      remote(at('stale')).pool(),
      failsWith('Unavailable', /closed the connection at once/),
    );
    assert.ok(await remote(ca2.issue(at('c2'), [CONTROLLER])).pool());
  });

  it('lets nobody in by a session from before the CA changed', async () => {
    const own = ca.issue(at('c'), [CONTROLLER]);
    const [cert, key] = ['tls.crt', 'tls.key'].map((file) => fs.readFileSync(path.join(own, file)));
    const identity = { cert: cert!, key: key!, rejectUnauthorized: false };
    let session: Buffer | undefined;
    assert.equal(await isHeard(identity, (given) => (session = given)), true);
    await until('there is a session to come back with', () => session);
    const returning = { ...identity, session: session! };
    assert.equal(await isHeard(returning), true);
    assert.equal(resumed, true);
    served.swap((to) => ca2.issue(to, [engineName('n1')]));
    await until('the new CA is in use', async () => !(await isHeard(identity)));
    assert.equal(await isHeard(returning), false);
  });

  it('goes on with what it has when new files are no good', async () => {
    const api = remote(ca.issue(at('c'), [CONTROLLER]));
    await api.pool();
    served.swap((to) => ca.issue(to, [engineName('n2')]));
    await sleep(LOOK_MS * 5);
    assert.ok(await api.pool());
    assert.ok(await remote(at('c')).pool());
  });

  /** Whether the engine speaks HTTP/2 with somebody who comes like this. */
  async function isHeard(
    options: tls.ConnectionOptions,
    onSession?: (session: Buffer) => void,
  ): Promise<boolean> {
    const socket = tls.connect({
      ...options,
      host: '127.0.0.1',
      port: server.port,
      servername: engineName('n1'),
      ALPNProtocols: ['h2'],
    });
    if (onSession) socket.on('session', onSession);
    const closed = new Promise<boolean>((resolve) => {
      for (const event of ['error', 'close']) socket.on(event, () => resolve(false));
    });
    const heard = new Promise<boolean>((resolve) => {
      socket.once('secureConnect', () => {
        resumed = socket.isSessionReused();
        const session = http2.connect('https://x', { createConnection: () => socket });
        session.on('error', () => undefined);
        session.once('remoteSettings', () => resolve(true));
      });
    });
    const answer = await Promise.race([heard, closed]);
    if (onSession) await sleep(50);
    socket.destroy();
    return answer;
  }
});
