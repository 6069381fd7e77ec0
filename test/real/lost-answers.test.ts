/**
 * An answer that is lost: the engine has done what it was asked for, and the caller cannot know. The call is repeated by
 * itself, and has had exactly one effect.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RemoteEngine } from '../../src/api/client.ts';
import type { MappingInfo, VolumeInfo } from '../../src/base/model.ts';
import { until } from '../support/commands.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite, refused } from '../support/engine-suite.ts';
import { untilCopied } from '../support/standalone.ts';

const SIZE = 16 * MiB;
/** In succession: the repetitions' answers are lost as well. */
const LOSSES = 3;

describe('A call whose answer is lost', () => {
  const suite = engineSuite();
  let proxy: CuttingProxy;
  let engine: RemoteEngine;

  before(async () => {
    const target = suite.standalone.endpoint;
    proxy = await CuttingProxy.start(path.join(suite.directory, 'cut.sock'), target);
    engine = new RemoteEngine(proxy.endpoint);
    suite.cleanup.defer('stop the proxy', async () => {
      engine.close();
      await proxy.stop();
    });
    for (const name of ['source', 'source-2', 'target', 'target-2'])
      await suite.engine.createVolume({ name, sizeBytes: SIZE });
  });

  /** The answer that arrives in the end, when those before it were lost. `preludes`: answers that are needed before. */
  async function withLosses<T>(ask: () => Promise<T>): Promise<T> {
    const before = proxy.cuts;
    proxy.cutNextAnswers(LOSSES);
    const answer = await ask();
    assert.equal(proxy.cuts - before, LOSSES);
    return answer;
  }

  const volumes = async (): Promise<string[]> => (await suite.engine.listVolumes()).map(({ name }) => name);
  const cuts = async (): Promise<number> => (await suite.engine.counters()).cuts;
  /** How far the count of cuts goes up. */
  const cutsOf = async (ask: () => Promise<unknown>): Promise<number> => {
    const before = await cuts();
    await ask();
    return (await cuts()) - before;
  };
  const idOf = async (name: string): Promise<number> => (await suite.engine.getVolume(name)).id;

  it('made one volume, one group of snapshots and one clone', async () => {
    const before = await volumes();
    const made: VolumeInfo[] = [
      await withLosses(() => engine.createVolume({ name: 'made', sizeBytes: SIZE })),
    ];
    const cutsBefore = await cuts();
    const group = [
      { name: 'group-1', source: 'source' },
      { name: 'group-2', source: 'source-2' },
    ];
    made.push(...(await withLosses(() => engine.createSnapshots(group))));
    assert.equal((await cuts()) - cutsBefore, 1);
    made.push(
      await withLosses(() => engine.cloneVolume('group-1', { name: 'clone', sizeBytes: 0, copyRate: 0 })),
    );
    assert.equal((await cuts()) - cutsBefore, 2);
    assert.deepEqual(await volumes(), [...before, 'made', 'group-1', 'group-2', 'clone']);
    for (const { id, name } of made) assert.equal(await idOf(name), id);
  });

  it('made one clone, also if that is complete and independent when it is asked for again', async () => {
    await suite.engine.createVolume({ name: 'origin', sizeBytes: SIZE });
    for (const name of ['whole-1', 'whole-2']) {
      const ask = () => engine.cloneVolume('origin', { name, sizeBytes: 0, copyRate: 150 });
      proxy.cutNextAnswers(Number.POSITIVE_INFINITY);
      const asking = ask();
      await until('it is complete', () =>
        suite.engine.getVolume(name).then(
          ({ source }) => source === '',
          () => false,
        ),
      );
      proxy.cutNextAnswers(0);
      assert.equal((await asking).id, await idOf(name));
    }
  });

  it('grew, attached and detached a volume once', async () => {
    await suite.engine.createVolume({ name: 'device', sizeBytes: SIZE });
    const device = await withLosses(() => engine.attachVolume('device'));
    assert.equal((await suite.engine.getVolume('device')).device, device);
    assert.equal((await withLosses(() => engine.growVolume('device', 2 * SIZE))).sizeBytes, 2 * SIZE);
    await withLosses(() => engine.detachVolume('device'));
    const { device: left, sizeBytes } = await suite.engine.getVolume('device');
    assert.deepEqual({ left, sizeBytes }, { left: '', sizeBytes: 2 * SIZE });
  });

  it('started, synced and stopped a mapping once', async () => {
    const request = { name: 'm', source: 'source', target: 'target', copyRate: 150, incremental: true };
    const { id } = await withLosses(() => engine.createMapping(request));
    assert.equal((await withLosses(() => engine.prepareMapping('m'))).state, 'prepared');
    assert.equal(await cutsOf(() => withLosses(() => engine.startMappings(['m']))), 1);
    const { cutAt } = await untilCopied(suite.engine, 'm');
    assert.ok((await withLosses(() => engine.syncMapping('m'))).cutAt > cutAt);
    assert.equal((await withLosses(() => engine.setCopyRate('m', 100))).copyRate, 100);
    assert.equal((await withLosses(() => engine.stopMapping('m'))).state, 'stopped');
    const mappings: MappingInfo[] = await suite.engine.listMappings();
    assert.deepEqual(
      mappings.filter(({ name }) => name === 'm').map((mapping) => mapping.id),
      [id],
    );
  });

  it('started and synced again: each wish is a cut of its own', async () => {
    await suite.engine.createMapping({
      name: 'again',
      source: 'source-2',
      target: 'target-2',
      copyRate: 150,
      incremental: true,
    });
    await withLosses(() => engine.startMappings(['again']));
    await untilCopied(suite.engine, 'again');
    const usual = await cutsOf(() => suite.engine.syncMapping('again'));
    for (let syncs = 0; syncs < 3; syncs++) {
      const { cutAt } = await untilCopied(suite.engine, 'again');
      let answer: MappingInfo | undefined;
      const made = await cutsOf(async () => {
        answer = await withLosses(() => engine.syncMapping('again'));
      });
      assert.equal(made, usual);
      assert.ok(answer!.cutAt > cutAt);
    }
  });

  it('deleted a volume, and not a namesake that was made meanwhile', async () => {
    await suite.engine.createVolume({ name: 'old', sizeBytes: SIZE });
    await suite.engine.createSnapshots([{ name: 'old-1', source: 'old' }]);
    await suite.engine.createMapping({ name: 'old-m', source: 'source-2', target: 'old' });
    for (const [ask, lookUp, make] of [
      [
        () => engine.deleteMapping('old-m', true),
        () => suite.engine.getMapping('old-m'),
        () => suite.engine.createMapping({ name: 'old-m', source: 'source-2', target: 'made' }),
      ],
      [
        () => engine.deleteSnapshot('old-1'),
        () => suite.engine.getVolume('old-1'),
        () => suite.engine.createSnapshots([{ name: 'old-1', source: 'source' }]),
      ],
      [
        () => engine.deleteVolume('old'),
        () => suite.engine.getVolume('old'),
        () => suite.engine.createVolume({ name: 'old', sizeBytes: 2 * SIZE }),
      ],
    ] as const) {
      const { id } = await lookUp();
      // The first answer tells the id, and arrives; from then on all are lost until the namesake is there.
      const before = proxy.cuts;
      proxy.cutNextAnswers(Number.POSITIVE_INFINITY, 1);
      const deleting = ask();
      await until('it is gone', () =>
        lookUp().then(
          (found) => found.id !== id,
          () => true,
        ),
      );
      await make();
      proxy.cutNextAnswers(0);
      await deleting;
      assert.ok(proxy.cuts > before);
      assert.notEqual((await lookUp()).id, id);
    }
  });

  it('tells that there is nothing to delete, if there was nothing', async () => {
    await refused('VolumeNotFound', engine.deleteVolume('nobody'));
    await refused('VolumeNotFound', engine.deleteSnapshot('nobody'));
    await refused('MappingNotFound', engine.deleteMapping('nobody', false));
  });
});

describe('Calls while the engine is killed again and again', () => {
  const suite = engineSuite();

  it('have each their one effect', async () => {
    const { engine } = suite;
    await engine.createVolume({ name: 'source', sizeBytes: SIZE });
    const device = await engine.attachVolume('source');
    let kills = 0;
    let done = false;
    const killing = (async () => {
      const other = new RemoteEngine(`unix://${suite.standalone.endpoint}`);
      while (!done) {
        // One that serves: whatever a start takes here, there is some time for calls between two deaths.
        await other.pool();
        await sleep(100 + kills * 37);
        await suite.standalone.killChild();
        kills += 1;
      }
      other.close();
    })();

    const expected = new Map<string, string>([['source', 'volume']]);
    for (let round = 0; kills < 6; round++) {
      await engine.createVolume({ name: `v${round}`, sizeBytes: SIZE });
      await engine.createSnapshots([{ name: `s${round}`, source: 'source' }]);
      const clone = await engine.cloneVolume(`s${round}`, { name: `c${round}`, sizeBytes: 0, copyRate: 0 });
      assert.equal(clone.name, `c${round}`);
      expected.set(`v${round}`, 'volume').set(`s${round}`, 'snapshot').set(`c${round}`, 'volume');
      if (round % 2 === 0) continue;
      await engine.deleteVolume(`c${round}`);
      await engine.deleteVolume(`v${round}`);
      await engine.deleteSnapshot(`s${round}`);
      for (const kind of ['v', 's', 'c']) expected.delete(`${kind}${round}`);
    }
    done = true;
    await killing;
    const found = (await engine.listVolumes()).map(({ name, kind }) => [name, kind] as const);
    assert.deepEqual(new Map(found), expected);
    assert.equal(await engine.attachVolume('source'), device);
  });

  it('have been answered late, not refused, and say so when the engine is gone for good', async () => {
    const { engine } = suite;
    await suite.standalone.stop();
    const after = new RemoteEngine(`unix://${suite.standalone.endpoint}`);
    assert.match(await refused('Unavailable', after.pool()), /there is no such socket/);
    after.close();
    assert.ok(engine);
  });
});
