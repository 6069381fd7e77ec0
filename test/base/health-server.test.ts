/** A role tells over HTTP how it is: metrics, whether it is alive, whether it can serve. */
import assert from 'node:assert/strict';
import { Counter, Registry } from 'prom-client';
import { FlashCopyError } from '../../src/base/errors.ts';
import { newRegistry, serveHealth } from '../../src/base/health-server.ts';

const well = async () => undefined;

describe('What a role tells of its health', () => {
  let stop: (() => Promise<void>) | undefined;
  afterEach(async () => {
    await stop?.();
    stop = undefined;
  });

  async function served(health: Partial<Parameters<typeof serveHealth>[0]>) {
    const all = { listen: '127.0.0.1:0', registry: new Registry(), live: well, ready: well, ...health };
    const server = await serveHealth(all);
    stop = server.stop;
    return async (path: string, method = 'GET') => {
      const response = await fetch(`http://${server.address}${path}`, { method });
      return { status: response.status, text: await response.text() };
    };
  }

  it('is the registry, as Prometheus reads it', async () => {
    const registry = newRegistry();
    new Counter({ name: 'flashcopy_test_total', help: 'Tests.', registers: [registry] }).inc(3);
    const get = await served({ registry });
    const { status, text } = await get('/metrics');
    assert.equal(status, 200);
    assert.match(text, /^flashcopy_test_total 3$/m);
    assert.match(text, /^flashcopy_process_resident_memory_bytes \d+$/m);
    for (const [, name] of text.matchAll(/^# TYPE (\S+)/gm)) assert.match(name!, /^flashcopy_/);
  });

  it('is no metrics at all, and why, when one of them cannot be told', async () => {
    const registry = new Registry();
    new Counter({
      name: 'flashcopy_test_total',
      help: 'Tests.',
      registers: [registry],
      collect: () => {
        throw new Error('the engine does not answer');
      },
    });
    const get = await served({ registry });
    assert.deepEqual(await get('/metrics'), { status: 503, text: 'the engine does not answer\n' });
  });

  it('is 200 or the reason, for being alive and for being ready apart', async () => {
    let reason: string | undefined;
    const ready = async () => {
      if (reason !== undefined) throw new FlashCopyError('Unavailable', reason);
    };
    const get = await served({ ready });
    assert.deepEqual(await get('/readyz'), { status: 200, text: 'ok\n' });
    reason = 'The pool cannot be written.';
    assert.deepEqual(await get('/readyz'), { status: 503, text: `${reason}\n` });
    assert.deepEqual(await get('/healthz'), { status: 200, text: 'ok\n' });
    assert.deepEqual(await get('/healthz', 'HEAD'), { status: 200, text: '' });
  });

  it('is no when nobody can say so in time', async () => {
    const get = await served({ live: () => new Promise(() => undefined) });
    assert.deepEqual(await get('/healthz'), { status: 503, text: 'no answer within 4 s\n' });
  }).timeout(20_000);

  it('is nothing else, and cannot be changed', async () => {
    const get = await served({});
    assert.equal((await get('/')).status, 404);
    assert.equal((await get('/metrics', 'POST')).status, 405);
  });

  it('is told at an address that is free and is one', async () => {
    const first = await serveHealth({
      listen: '127.0.0.1:0',
      registry: new Registry(),
      live: well,
      ready: well,
    });
    stop = first.stop;
    await assert.rejects(
      served({ listen: first.address }),
      /cannot be served at 127\.0\.0\.1:\d+ \(EADDRINUSE\)/,
    );
    stop = first.stop;
    await assert.rejects(served({ listen: 'everywhere' }), /is not an address for metrics/);
  });
});
