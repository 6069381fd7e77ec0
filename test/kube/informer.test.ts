/** An informer's copy (src/kube/informer.ts) comes to be as the server's, whatever happens on the way. */
import assert from 'node:assert/strict';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient } from '../../src/kube/client.ts';
import { Informer } from '../../src/kube/informer.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { until } from '../support/commands.ts';
import { KubeServer } from '../support/kube-server.ts';

const LIST = '/api/v1/configmaps';
const path = (name: string) => `/api/v1/namespaces/shop/configmaps/${name}`;

describe('An informer', () => {
  let server: KubeServer;
  let informer: Informer<KubeObject>;
  let told: string[];

  beforeEach(async () => {
    server = await KubeServer.start();
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      { name: 'test', server: server.url, skipTLSVerify: true },
      { name: 'test' },
    );
    told = [];
    for (const name of ['a', 'b']) server.put(path(name), { metadata: {} });
    informer = new Informer<KubeObject>(new KubeClient(config), { path: LIST })
      .onChange(({ metadata }) => told.push(metadata.name))
      .start();
    await informer.synced;
  });
  afterEach(async () => {
    server.before = () => {};
    await informer.stop();
    await server.stop();
  });

  const names = () =>
    informer
      .list()
      .map(({ metadata }) => metadata.name)
      .sort()
      .join();
  const untilItIs = (expected: string) => until(`the copy is ${expected}`, () => names() === expected);

  it('has everything when it says so, and has told of it', () => {
    assert.equal(names(), 'a,b');
    assert.deepEqual(told.sort(), ['a', 'b']);
    assert.equal(informer.list('other').length, 0);
  });

  it('follows what is made, changed and deleted', async () => {
    server.put(path('c'), { metadata: {} });
    await untilItIs('a,b,c');
    server.put(path('a'), { metadata: { labels: { x: 'y' } } });
    await until('the change is seen', () => informer.get('a', 'shop')?.metadata.labels?.['x'] === 'y');
    server.remove(path('b'));
    await untilItIs('a,c');
    assert.deepEqual(told.slice(2), ['c', 'a', 'b']);
  });

  it('goes on from where it was when a watch is broken off', async () => {
    server.before = (asked) => {
      if (asked === `GET ${LIST}`) server.put(path('made-meanwhile'), { metadata: {} });
    };
    server.dropWatches();
    await untilItIs('a,b,made-meanwhile');
  });

  it('tells of what was deleted while nothing could be seen, also when the server has forgotten since when', async () => {
    let away = true;
    server.before = () => {
      if (away) throw new Error('away');
    };
    server.forget();
    server.remove(path('a'));
    server.forget();
    away = false;
    await untilItIs('b');
    assert.ok(told.includes('a'));
  });

  it('comes back to what there is when the server knows less than it did', async () => {
    // As after etcd was restored from a backup: versions begin again below those that were seen.
    server.rewind(path('a'));
    await untilItIs('b');
    server.put(path('z'), { metadata: {} });
    await untilItIs('b,z');
  });

  it('is not stopped by a handler that fails', async () => {
    informer.onChange(() => {
      throw new Error('no');
    });
    server.put(path('c'), { metadata: {} });
    await untilItIs('a,b,c');
    server.put(path('d'), { metadata: {} });
    await untilItIs('a,b,c,d');
  });
});
