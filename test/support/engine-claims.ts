/**
 * What holds for every EngineApi, wherever the engine is and however it is reached. The tests of the API ask it of an
 * engine in memory, those on real devices of an engine process.
 */
import assert from 'node:assert/strict';
import type { EngineApi } from '../../src/api/engine-api.ts';
import { type ErrorCode, FlashCopyError } from '../../src/base/errors.ts';
import type { MappingInfo } from '../../src/base/model.ts';

const MiB = 2 ** 20;

export type Claimed = {
  api: EngineApi;
  /** Returns when the mapping's copy is complete. */
  copied(mapping: string): Promise<void>;
};

const failsWith = (code: ErrorCode) => (error: unknown) =>
  error instanceof FlashCopyError && error.code === code && error.message.length > 20;

/** Call it in a `describe`. Names begin with the number of the test, so that the engine may be the same for all. */
export function engineClaims(subject: () => Claimed): void {
  let api: EngineApi;
  let n = 0;
  const named = (name: string) => `t${n}-${name}`;
  const volume = (name: string) => api.createVolume({ name: named(name), sizeBytes: 4 * MiB });
  const ours = async () => (await api.listVolumes()).filter(({ name }) => name.startsWith(named('')));
  beforeEach(() => {
    api = subject().api;
    n += 1;
  });

  it('makes a volume once, however often and at how many places it is asked for', async () => {
    const created = await volume('a');
    assert.deepEqual(await volume('a'), created);
    assert.deepEqual(await api.getVolume(`#${created.id}`), created);
    const all = await Promise.all(Array.from({ length: 20 }, () => volume('b')));
    assert.equal(new Set(all.map(({ id }) => id)).size, 1);
    await assert.rejects(
      api.createVolume({ name: named('a'), sizeBytes: 8 * MiB }),
      failsWith('AlreadyExists'),
    );
    assert.deepEqual((await ours()).map(({ name }) => name).sort(), [named('a'), named('b')]);
  });

  it('grows and deletes a volume; then it is not found', async () => {
    await volume('a');
    assert.equal((await api.growVolume(named('a'), 8 * MiB)).sizeBytes, 8 * MiB);
    assert.equal((await api.growVolume(named('a'), 8 * MiB)).sizeBytes, 8 * MiB);
    await assert.rejects(api.growVolume(named('a'), 4 * MiB), failsWith('InvalidArgument'));
    assert.equal(await api.deleteVolume(named('a')), undefined);
    for (const ask of ['deleteVolume', 'getVolume', 'attachVolume', 'detachVolume'] as const)
      await assert.rejects(api[ask](named('a')), failsWith('VolumeNotFound'));
    assert.deepEqual(await ours(), []);
  });

  it('keeps labels', async () => {
    const labels = { 'csi/name': 'pvc-\u00e4', empty: '' };
    const request = { name: named('a'), sizeBytes: 4 * MiB, labels };
    assert.deepEqual((await api.createVolume(request)).labels, labels);
    const [snapshot] = await api.createSnapshots([{ name: named('s'), source: named('a'), labels }]);
    assert.deepEqual(snapshot!.labels, labels);
    assert.deepEqual((await api.getVolume(named('s'))).labels, labels);
  });

  it('attaches to one device until it is detached', async () => {
    await volume('a');
    const device = await api.attachVolume(named('a'));
    assert.match(device, /^\/dev\/loop\d+$/);
    assert.equal(await api.attachVolume(named('a')), device);
    assert.equal((await api.getVolume(named('a'))).device, device);
    for (let times = 0; times < 2; times++) assert.equal(await api.detachVolume(named('a')), undefined);
    assert.equal((await api.getVolume(named('a'))).device, '');
  });

  it('snapshots several volumes, all or none, and makes volumes of snapshots', async () => {
    for (const name of ['a', 'b']) await volume(name);
    const requests = ['a', 'b'].map((name) => ({ name: named(`${name}1`), source: named(name) }));
    const made = await api.createSnapshots(requests);
    assert.deepEqual(
      made.map(({ name, kind, source, sizeBytes }) => [name, kind, source, sizeBytes]),
      requests.map(({ name, source }) => [name, 'snapshot', source, 4 * MiB]),
    );
    const wrong = { name: named('c1'), source: named('c') };
    await assert.rejects(
      api.createSnapshots([{ name: named('a2'), source: named('a') }, wrong]),
      failsWith('VolumeNotFound'),
    );
    await assert.rejects(api.getVolume(named('a2')), failsWith('VolumeNotFound'));
    const clone = await api.cloneVolume(named('a1'), {
      name: named('d'),
      sizeBytes: 0,
      copyRate: 0,
      incremental: true,
    });
    assert.deepEqual([clone.kind, clone.sizeBytes], ['volume', 4 * MiB]);
    const { source, target, copyRate, incremental } = await api.getMapping(named('d'));
    assert.deepEqual([source, target, copyRate, incremental], [named('a1'), named('d'), 0, true]);
    assert.equal(await api.deleteSnapshot(named('b1')), undefined);
    await assert.rejects(api.getVolume(named('b1')), failsWith('VolumeNotFound'));
  });

  it('leads a mapping through its life; a wish that is repeated is one wish', async () => {
    for (const name of ['s', 't']) await volume(name);
    const request = { name: named('m'), source: named('s'), target: named('t'), incremental: true };
    const created = await api.createMapping(request);
    assert.deepEqual([created.state, created.copyRate, created.cutAt], ['idle', 50, 0]);
    await assert.rejects(api.syncMapping(named('m')), failsWith('WrongState'));
    assert.equal((await api.prepareMapping(named('m'))).state, 'prepared');
    assert.equal((await api.setCopyRate(named('m'), 150)).copyRate, 150);
    const [started] = await api.startMappings([named('m')], 'first');
    assert.ok(started!.cutAt > 0);
    const [again] = await api.startMappings([named('m')], 'first');
    assert.equal(again!.cutAt, started!.cutAt);
    await subject().copied(named('m'));
    const synced = await api.syncMapping(named('m'), 'second');
    assert.equal((await api.syncMapping(named('m'), 'second')).cutAt, synced.cutAt);
    assert.equal((await api.stopMapping(named('m'))).state, 'stopped');
    assert.equal((await api.stopMapping(named('m'))).state, 'stopped');
    assert.equal(await api.deleteMapping(named('m'), false), undefined);
    await assert.rejects(api.getMapping(named('m')), failsWith('MappingNotFound'));
    await assert.rejects(api.startMappings([named('m')]), failsWith('MappingNotFound'));
  });

  it('deletes a mapping that is copying only by force', async () => {
    for (const name of ['s', 't']) await volume(name);
    await api.createMapping({ name: named('m'), source: named('s'), target: named('t'), copyRate: 0 });
    await api.startMappings([named('m')]);
    await assert.rejects(api.deleteMapping(named('m'), false), failsWith('WrongState'));
    assert.equal(await api.deleteMapping(named('m'), true), undefined);
  });

  it('shows a watched mapping until it is gone', async () => {
    for (const name of ['s', 't']) await volume(name);
    await api.createMapping({ name: named('m'), source: named('s'), target: named('t'), copyRate: 0 });
    const seen = new Set<MappingInfo['state']>();
    for await (const { name, state } of api.watchMapping(named('m'), AbortSignal.timeout(30_000))) {
      assert.equal(name, named('m'));
      // A change may be shown late: each step is taken once.
      if (seen.has(state)) continue;
      seen.add(state);
      if (state === 'idle') await api.startMappings([name]);
      if (state === 'copying') await api.deleteMapping(name, true);
    }
    assert.deepEqual([...seen].slice(0, 2), ['idle', 'copying']);
    await assert.rejects(api.getMapping(named('m')), failsWith('MappingNotFound'));
  });

  it('tells of the pool and of its counters', async () => {
    const { id, path, totalBytes, freeBytes, warnings } = await api.pool();
    assert.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.match(path, /^\//);
    assert.ok(totalBytes >= freeBytes && freeBytes > 0 && Array.isArray(warnings));
    const counters = Object.entries(await api.counters());
    assert.equal(counters.length, 9);
    for (const [name, count] of counters) assert.ok(Number.isSafeInteger(count) && count >= 0, name);
  });
}
