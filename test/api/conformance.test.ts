/**
 * Callers cannot tell an engine in the process from one over a socket or over TLS: the same claims hold for all.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { RemoteEngine } from '../../src/api/client.ts';
import type { EngineApi } from '../../src/api/engine-api.ts';
import { serveEngine, serveEngineTls } from '../../src/api/server.ts';
import { TlsDirectory } from '../../src/api/tls-directory.ts';
import type { Listening } from '../../src/api/unix-listener.ts';
import { type ErrorCode, FlashCopyError } from '../../src/base/errors.ts';
import type { MappingInfo } from '../../src/base/model.ts';
import { CONTROLLER, engineName, TestCa } from '../support/certificates.ts';
import { engineClaims } from '../support/engine-claims.ts';
import { FakeEngine } from '../support/fake-engine.ts';

const GiB = 2 ** 30;
const codes: ErrorCode[] = [
  ...([
    'InvalidArgument',
    'VolumeNotFound',
    'MappingNotFound',
    'AlreadyExists',
    'TargetInUse',
    'VolumeInUse',
  ] as const),
  ...([
    'WrongState',
    'OutOfSpace',
    'PoolLocked',
    'PoolUnsuitable',
    'PoolTooNew',
    'Damaged',
    'Suspended',
  ] as const),
  ...(['IoError', 'MissingPrivilege', 'MissingKernelFeature', 'Unavailable', 'Internal'] as const),
];

const failsWith = (code: ErrorCode, text: RegExp) => (error: unknown) =>
  error instanceof FlashCopyError && error.code === code && text.test(error.message);

type Subject = { api: EngineApi; engine: FakeEngine; close(): Promise<void> };

async function inProcess(): Promise<Subject> {
  const engine = new FakeEngine();
  return { api: engine, engine, close: async () => undefined };
}

async function remote(): Promise<Subject> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-api-'));
  const engine = new FakeEngine();
  const endpoint = `unix://${dir}/run/engine.sock`;
  const server = await serveEngine(engine, endpoint);
  const api = new RemoteEngine(endpoint);
  const close = async () => {
    api.close();
    await server.stop();
    fs.rmSync(dir, { recursive: true });
  };
  return { api, engine, close };
}

async function remoteOverTls(): Promise<Subject> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-api-'));
  const engine = new FakeEngine();
  const ca = new TestCa(path.join(dir, 'ca'));
  const access = {
    address: '127.0.0.1:0',
    tlsDir: ca.issue(path.join(dir, 'n1'), [engineName('n1')]),
    nodeId: 'n1',
  };
  const server = await serveEngineTls(engine, access);
  const tls = new TlsDirectory(ca.issue(path.join(dir, 'controller'), [CONTROLLER]), CONTROLLER);
  const api = new RemoteEngine(`tls://127.0.0.1:${server.port}`, { tls, node: 'n1' });
  const close = async () => {
    api.close();
    await server.stop();
    fs.rmSync(dir, { recursive: true });
  };
  return { api, engine, close };
}

const subjects = { 'in process': inProcess, 'over a unix socket': remote, 'over TLS': remoteOverTls };

for (const [name, make] of Object.entries(subjects)) {
  describe(`an engine ${name}`, () => {
    let subject: Subject;
    let api: EngineApi;
    beforeEach(async () => {
      subject = await make();
      api = subject.api;
    });
    afterEach(() => subject.close());

    engineClaims(() => ({
      api,
      copied: async (mapping) => {
        const { totalBytes } = await subject.engine.getMapping(mapping);
        subject.engine.change(mapping, { state: 'copied', copiedBytes: totalBytes });
      },
    }));

    it('creates, shows, grows and deletes volumes', async () => {
      const created = await api.createVolume({ name: 'data', sizeBytes: 10 * 1024 * GiB });
      assert.deepEqual(created, {
        ...{
          id: 1,
          name: 'data',
          kind: 'volume',
          sizeBytes: 10 * 1024 * GiB,
          grainBytes: 4096,
          provisioning: 'thin',
        },
        ...{
          cowFailure: 'breakSnapshot',
          source: '',
          createdAt: 1_700_000_000_000,
          device: '',
          state: 'online',
        },
        ...{ error: '', allocatedBytes: 0, labels: {} },
      });
      assert.deepEqual(await api.createVolume({ name: 'data', sizeBytes: 10 * 1024 * GiB }), created);
      const thick = {
        name: 'db',
        sizeBytes: GiB,
        grainBytes: 65536,
        provisioning: 'thick',
        cowFailure: 'failWrite',
      } as const;
      assert.deepEqual({ ...(await api.createVolume(thick)), ...thick }, await api.getVolume('#2'));
      assert.equal((await api.growVolume('db', 2 * GiB)).sizeBytes, 2 * GiB);
      assert.deepEqual(
        (await api.listVolumes()).map((volume) => volume.name),
        ['data', 'db'],
      );
      assert.equal(await api.deleteVolume('data'), undefined);
      assert.deepEqual(
        (await api.listVolumes()).map((volume) => volume.name),
        ['db'],
      );
    });

    it('keeps labels, and tells ranges page by page', async () => {
      const labels = { 'csi/name': 'pvc-1' };
      assert.deepEqual((await api.createVolume({ name: 'data', sizeBytes: GiB, labels })).labels, labels);
      assert.deepEqual(await api.allocatedRanges('data', 4096, 7), {
        ranges: [{ offset: 4096, length: 7 }],
        next: 4103,
        sizeBytes: GiB,
      });
      await api.createSnapshots([{ name: 'a', source: 'data', labels }]);
      assert.deepEqual((await api.getVolume('a')).labels, labels);
      assert.deepEqual(await api.changedRanges('a', 'data', 0, 9), {
        ranges: [{ offset: 0, length: GiB }],
        next: null,
        sizeBytes: GiB,
      });
    });

    it('attaches and detaches', async () => {
      await api.createVolume({ name: 'data', sizeBytes: GiB });
      assert.equal(await api.attachVolume('data'), '/dev/loop1');
      assert.equal((await api.getVolume('data')).device, '/dev/loop1');
      assert.equal(await api.detachVolume('data'), undefined);
      assert.equal((await api.getVolume('data')).device, '');
    });

    it('snapshots several volumes, and clones', async () => {
      for (const volume of ['a', 'b']) await api.createVolume({ name: volume, sizeBytes: GiB });
      const made = await api.createSnapshots([
        { name: 'a1', source: 'a' },
        { name: 'b1', source: 'b', copyRate: 0 },
      ]);
      assert.deepEqual(
        made.map(({ name, kind, source }) => [name, kind, source]),
        [
          ['a1', 'snapshot', 'a'],
          ['b1', 'snapshot', 'b'],
        ],
      );
      const clone = await api.cloneVolume('a1', { name: 'c', sizeBytes: 0, copyRate: 0, incremental: true });
      assert.equal(clone.sizeBytes, GiB);
      const { copyRate, incremental } = await api.getMapping('c');
      assert.deepEqual({ copyRate, incremental }, { copyRate: 0, incremental: true });
      assert.equal(await api.deleteSnapshot('b1'), undefined);
    });

    it('leads a mapping through its life; an absent copy rate is not the rate 0', async () => {
      for (const volume of ['s', 't']) await api.createVolume({ name: volume, sizeBytes: GiB });
      const created = await api.createMapping({ name: 'm', source: 's', target: 't', incremental: true });
      assert.deepEqual(created, {
        ...{
          id: 3,
          name: 'm',
          source: 's',
          target: 't',
          state: 'idle',
          copyRate: 50,
          incremental: true,
          cutAt: 0,
        },
        ...{ totalBytes: GiB, copiedBytes: 0, remainingBytes: GiB, changedBytes: 0, error: '' },
      });
      assert.equal(
        (await api.createMapping({ name: 'n', source: 's', target: 't', copyRate: 0 })).copyRate,
        0,
      );
      assert.equal((await api.prepareMapping('m')).state, 'prepared');
      assert.deepEqual(
        (await api.startMappings(['m', 'n'])).map(({ state }) => state),
        ['copying', 'copying'],
      );
      await assert.rejects(
        api.syncMapping('m'),
        failsWith('WrongState', /^Mapping m is not copied and cannot be synced/),
      );
      subject.engine.change('m', { state: 'copied', copiedBytes: GiB });
      assert.equal((await api.syncMapping('m')).state, 'copying');
      assert.equal((await api.setCopyRate('m', 150)).copyRate, 150);
      assert.equal((await api.stopMapping('m')).state, 'stopped');
      await assert.rejects(api.deleteMapping('n', false), failsWith('WrongState', /copying/));
      assert.equal(await api.deleteMapping('n', true), undefined);
      assert.deepEqual(
        (await api.listMappings()).map((mapping) => mapping.name),
        ['m'],
      );
    });

    it('shows a watched mapping at every change and ends with it', async () => {
      for (const volume of ['s', 't']) await api.createVolume({ name: volume, sizeBytes: GiB });
      await api.createMapping({ name: 'm', source: 's', target: 't' });
      const seen: MappingInfo['state'][] = [];
      for await (const { state } of api.watchMapping('m', new AbortController().signal)) {
        seen.push(state);
        if (state === 'idle') subject.engine.change('m', { state: 'copying' });
        else if (state === 'copying') subject.engine.change('m', { state: 'copied' });
        else await subject.engine.deleteMapping('m', true);
      }
      assert.deepEqual(seen, ['idle', 'copying', 'copied']);
      assert.equal(subject.engine.watching, 0);
    });

    it('stops watching when it is told to, or when nobody listens any more', async () => {
      for (const volume of ['s', 't']) await api.createVolume({ name: volume, sizeBytes: GiB });
      await api.createMapping({ name: 'm', source: 's', target: 't' });
      const stop = new AbortController();
      for await (const info of api.watchMapping('m', stop.signal)) {
        assert.equal(info.name, 'm');
        stop.abort();
      }
      for await (const info of api.watchMapping('m', new AbortController().signal)) {
        assert.equal(info.name, 'm');
        break;
      }
      for (let tries = 0; subject.engine.watching > 0 && tries < 50; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.equal(subject.engine.watching, 0);
      const unknown = api.watchMapping('x', stop.signal);
      const fresh = api.watchMapping('x', new AbortController().signal);
      await assert.rejects(
        async () => {
          for await (const _ of fresh) assert.fail('there is none');
        },
        failsWith('MappingNotFound', /no mapping x/),
      );
      for await (const _ of unknown) assert.fail('it was stopped before it began');
    });

    it('starts, stops and tells of a scrub', async () => {
      assert.equal((await api.getScrub()).state, 'never');
      const running = await api.startScrub(5_000_000_000);
      assert.deepEqual([running.state, running.bytesPerSecond], ['running', 5_000_000_000]);
      const findings = [
        { volume: 'a', file: 'volumes/1.data', offset: 2 ** 40, what: 'unreadable' },
        { volume: '', file: 'catalog.db', offset: null, what: 'damaged' },
        { volume: 'b', file: 'log', offset: 0, what: 'damaged' },
      ];
      Object.assign(subject.engine.scrub, { findings, volume: 'a', doneBytes: 7, error: 'x' });
      assert.deepEqual(await api.stopScrub(), { ...subject.engine.scrub, state: 'stopped' });
      assert.deepEqual(await api.getScrub(), subject.engine.scrub);
    });

    it('tells of the pool and of its counters', async () => {
      assert.deepEqual(await api.pool(), await new FakeEngine().pool());
      assert.deepEqual(await api.counters(), await new FakeEngine().counters());
    });

    for (const code of codes) {
      it(`fails with ${code} and its message`, async () => {
        subject.engine.failure = new FlashCopyError(
          code,
          `What was asked (ä "quoted" 100%), found and to do: ${code}`,
        );
        await assert.rejects(
          api.listVolumes(),
          failsWith(code, new RegExp(`^What was asked \\(ä "quoted" 100%\\), found and to do: ${code}$`)),
        );
      });
    }
  });
}

describe('an engine over gRPC, besides', () => {
  let dir: string;
  let socket: string;
  let endpoint: string;
  let servers: Listening[];
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-api-'));
    socket = path.join(dir, 'run', 'engine.sock');
    endpoint = `unix://${socket}`;
    servers = [];
  });
  afterEach(async () => {
    for (const server of servers) await server.stop();
    fs.rmSync(dir, { recursive: true });
  });
  const serve = async (engine = new FakeEngine()) => servers.push(await serveEngine(engine, endpoint));
  const using = async (action: (api: RemoteEngine) => Promise<unknown>) => {
    const api = new RemoteEngine(endpoint);
    try {
      await action(api);
    } finally {
      api.close();
    }
  };

  it('is open to its owner alone, and is gone when it stops', async () => {
    await serve();
    assert.equal(fs.statSync(socket).mode & 0o777, 0o600);
    assert.equal(fs.statSync(path.dirname(socket)).mode & 0o777, 0o700);
    await servers.pop()!.stop();
    assert.deepEqual(fs.readdirSync(path.dirname(socket)), []);
  });

  it('says at once that nobody is there', async () => {
    await using((api) =>
      assert.rejects(api.pool(), failsWith('Unavailable', /no such socket\. Start one with/)),
    );
  });

  it('takes the place of a dead one, and of no other', async () => {
    fs.mkdirSync(path.dirname(socket));
    const listener = net.createServer().listen(socket);
    await new Promise((resolve) => listener.once('listening', resolve));
    await assert.rejects(
      serveEngine(new FakeEngine(), endpoint),
      failsWith('Unavailable', /served by another process/),
    );
    fs.linkSync(socket, `${socket}.left`);
    await new Promise((resolve) => listener.close(resolve));
    fs.renameSync(`${socket}.left`, socket);
    await serve();
    await using((api) => api.pool());
  });

  it('waits for an engine that is being started again', async () => {
    fs.mkdirSync(path.dirname(socket));
    const listener = net.createServer().listen(socket);
    await new Promise((resolve) => listener.once('listening', resolve));
    fs.linkSync(socket, `${socket}.left`);
    await new Promise((resolve) => listener.close(resolve));
    fs.renameSync(`${socket}.left`, socket);
    const asked = using((api) => api.pool());
    setTimeout(() => void serve(), 300);
    await asked;
  });

  it('takes an answer of any length', async () => {
    const engine = new FakeEngine();
    await serve(engine);
    const labels = { note: 'x'.repeat(1000) };
    for (let i = 0; i < 6000; i++) await engine.createVolume({ name: `v${i}`, sizeBytes: GiB, labels });
    await using(async (api) => assert.equal((await api.listVolumes()).length, 6000));
  });

  it('tells a bug apart from what the world did', async () => {
    const engine = new FakeEngine();
    await serve(engine);
    engine.failure = new TypeError('x is not a function');
    await using((api) => assert.rejects(api.pool(), failsWith('Internal', /x is not a function/)));
  });

  it('refuses what the wire would cut off: fractions, and what does not fit into 32 bits', async () => {
    await serve();
    await using(async (api) => {
      const refused = failsWith('InvalidArgument', /1\.5 is not a whole number/);
      await assert.rejects(api.createVolume({ name: 'a', sizeBytes: 1.5 }), refused);
      await assert.rejects(api.setCopyRate('m', 1.5), refused);
      await assert.rejects(api.createSnapshots([{ name: 'a', source: 'b', copyRate: 1.5 }]), refused);
      await assert.rejects(
        api.createMapping({ name: 'm', source: 'a', target: 'b', copyRate: 1.5 }),
        refused,
      );
      await assert.rejects(api.cloneVolume('a', { name: 'b', sizeBytes: 0, copyRate: 1.5 }), refused);
      const wrapped = failsWith('InvalidArgument', /4294967346 is far beyond/);
      await assert.rejects(api.setCopyRate('m', 2 ** 32 + 50), wrapped);
      await assert.rejects(api.allocatedRanges('a', 0, 2 ** 32 + 50), wrapped);
    });
  });

  it('refuses endpoints that are neither a unix socket nor TLS, or too long for one', () => {
    for (const wrong of ['localhost:5000', 'http://localhost:5000', 'tcp://localhost:5000', 'unix:x']) {
      assert.throws(
        () => new RemoteEngine(wrong),
        failsWith('InvalidArgument', /is neither a unix socket nor TLS/),
      );
    }
    assert.throws(
      () => new RemoteEngine(`unix:///${'x'.repeat(120)}`),
      failsWith('InvalidArgument', /longer than/),
    );
  });
});
