/** FlashCopySchedules and the pinning of restores at work, over the tests' own API server. */
import assert from 'node:assert/strict';
import { until } from '../support/commands.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { NAMESPACE, NODE, OperatorRig, readyReason } from '../support/operator-rig.ts';

const SNAPSHOTS = `/apis/snapshot.storage.k8s.io/v1/namespaces/${NAMESPACE}/volumesnapshots`;
const CONTENTS = '/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents';
const HOUR = 3_600_000;

type Snapshot = {
  metadata: { name: string; labels?: Record<string, string> };
  spec: { source: { persistentVolumeClaimName: string }; volumeSnapshotClassName?: string };
};

const ago = (ms: number) => new Date(Date.now() - ms).toISOString().replace(/\.\d+/, '');

describe('The operator', () => {
  const suite = engineSuite();
  let rig: OperatorRig;

  before(async () => {
    rig = await OperatorRig.start(suite);
    await rig.claim('db');
    await rig.claim('files');
    await rig.claim('other');
    for (const name of ['db', 'files'])
      rig.kube.put(rig.claimPath(name), {
        ...rig.kube.get(rig.claimPath(name)),
        metadata: { labels: { backup: 'nightly' } },
      });
    rig.run();
  });

  const snapshotsOf = (schedule: string) =>
    rig.kube.list<Snapshot>(SNAPSHOTS).filter(({ metadata }) => metadata.labels?.['flashcopy.dev/schedule'] === schedule); // biome-ignore format: one line

  /** One that has last decided so long ago. */
  function schedule(name: string, spec: Record<string, unknown>, decidedMs = 2 * HOUR): void {
    rig.schedule(name, { schedule: '@hourly', suspend: true, ...spec });
    const path = rig.path('flashcopyschedules', name);
    rig.kube.put(path, { ...rig.kube.get(path), status: { decidedTime: ago(decidedMs) } });
    rig.schedule(name, { schedule: '@hourly', ...spec });
  }
  const ran = (name: string) => rig.untilSchedule(name, 'has run', ({ status }) => status?.lastScheduleTime !== undefined); // biome-ignore format: one line

  describe('for a FlashCopySchedule', () => {
    it('makes a snapshot of each claim that is selected, once for all runs that were missed', async () => {
      schedule('nightly', {
        snapshots: { matchLabels: { backup: 'nightly' }, volumeSnapshotClassName: 'fast' },
      });
      const { status } = await ran('nightly');
      const made = snapshotsOf('nightly');
      assert.deepEqual(
        made.map(({ spec }) => [spec.source.persistentVolumeClaimName, spec.volumeSnapshotClassName]).sort(),
        [['db', 'fast'], ['files', 'fast']],
      ); // biome-ignore format: a table
      assert.deepEqual(
        status?.history?.[0]?.created.sort(),
        made.map(({ metadata }) => metadata.name).sort(),
      );
      assert.equal(status?.history?.length, 1);
      assert.equal(status?.lastSuccessfulTime, status?.lastScheduleTime);
      assert.ok(Date.parse(status!.nextScheduleTime!) > Date.now());
      await rig.pause();
      assert.equal(snapshotsOf('nightly').length, 2);
    });

    it('keeps what it is to keep of each claim and deletes no snapshot that others made', async () => {
      const put = (name: string, hours: number, labels: object, ready = true) =>
        rig.kube.put(`${SNAPSHOTS}/${name}`, {
          metadata: { labels, creationTimestamp: ago(hours * HOUR) },
          spec: { source: { persistentVolumeClaimName: 'db' } },
          status: { readyToUse: ready },
        });
      for (let hours = 1; hours <= 6; hours++)
        put(`kept-${hours}`, hours, { 'flashcopy.dev/schedule': 'kept' });
      put('kept-bad', 0.5, { 'flashcopy.dev/schedule': 'kept' }, false);
      put('by-hand', 9, {});
      schedule('kept', { snapshots: { matchLabels: { none: 'such' } }, retention: { keepLast: 3 } });
      await until('the surplus is deleted', () => snapshotsOf('kept').length === 4);
      assert.deepEqual(snapshotsOf('kept').map(({ metadata }) => metadata.name).sort(), ['kept-1', 'kept-2', 'kept-3', 'kept-bad']); // biome-ignore format: one line
      assert.ok(rig.kube.get(`${SNAPSHOTS}/by-hand`));
    });

    it('deletes what is too much as soon as what replaces it is ready', async () => {
      const put = (name: string, ms: number, ready: boolean) =>
        rig.kube.put(`${SNAPSHOTS}/${name}`, {
          metadata: { labels: { 'flashcopy.dev/schedule': 'one' }, creationTimestamp: ago(ms) },
          spec: { source: { persistentVolumeClaimName: 'db' } },
          status: { readyToUse: ready },
        });
      put('one-old', HOUR, true);
      put('one-new', 1000, false);
      schedule('one', { snapshots: { matchLabels: { none: 'such' } }, retention: { keepLast: 1 } });
      await ran('one');
      await rig.pause();
      assert.equal(snapshotsOf('one').length, 2);
      put('one-new', 1000, true);
      await until('the old one is deleted', () => snapshotsOf('one').length === 1);
      assert.equal(snapshotsOf('one')[0]!.metadata.name, 'one-new');
    });

    it('makes each schedule its own snapshot where two would call theirs the same', async () => {
      for (const [name, clash] of [
        ['prod-data', 'one'],
        ['data', 'two'],
      ] as const) {
        await rig.claim(name);
        rig.kube.put(rig.claimPath(name), { ...rig.kube.get(rig.claimPath(name)), metadata: { labels: { clash } } }); // biome-ignore format: one line
      }
      schedule('db', { snapshots: { matchLabels: { clash: 'one' } } });
      await ran('db');
      for (let time = 0; time < 2; time++) {
        schedule('db-prod', { snapshots: { matchLabels: { clash: 'two' } } });
        await ran('db-prod');
        assert.deepEqual(snapshotsOf('db').map(({ spec }) => spec.source.persistentVolumeClaimName), ['prod-data']); // biome-ignore format: one line
        assert.deepEqual(snapshotsOf('db-prod').map(({ spec }) => spec.source.persistentVolumeClaimName), ['data']); // biome-ignore format: one line
      }
    });

    it('makes syncs, not one more while the former one is not over', async () => {
      await rig.claim('copy');
      rig.mapping('refresh', 'db', 'copy');
      await rig.untilMapping('refresh', 'is copied', ({ status }) => status?.state === 'Copied');
      rig.pod('reader', 'copy');
      schedule('syncs', { sync: { mappingName: 'refresh', timeout: '1h' } });
      const { status } = await ran('syncs');
      const [name] = status!.history![0]!.created;
      await rig.untilSync(name!, 'waits', (each) => each.status?.phase === 'Waiting');
      const path = rig.path('flashcopyschedules', 'syncs');
      const before = rig.kube.get<{ spec: object; status: object }>(path)!;
      rig.kube.put(path, { ...before, status: { decidedTime: ago(2 * HOUR) } });
      rig.schedule('syncs', { schedule: '0 * * * *', sync: { mappingName: 'refresh', timeout: '1h' } });
      // It is the same hour, so it is the same sync: made already, and nothing is refused.
      await ran('syncs');
      rig.kube.put(path, { ...rig.kube.get(path), status: { decidedTime: ago(2 * HOUR) } });
      rig.schedule('syncs', { schedule: '* * * * *', sync: { mappingName: 'refresh', timeout: '1h' } });
      const { status: later } = await rig.untilSchedule('syncs', 'fails', (each) => each.status?.history?.[0]?.error !== undefined); // biome-ignore format: one line
      assert.match(later!.history![0]!.error!, new RegExp(`the former one, ${name}, is not over yet`));
      rig.kube.remove(rig.podPath('reader'));
      await rig.untilSync(name!, 'succeeds', (each) => each.status?.phase === 'Succeeded');
    });

    it('makes nothing while it is suspended, nor afterwards for that time', async () => {
      const spec = { snapshots: { matchLabels: { backup: 'nightly' } } };
      schedule('paused', { ...spec, suspend: true });
      await rig.untilSchedule('paused', 'decides', ({ status }) => Date.parse(status?.decidedTime ?? '') > Date.now() - HOUR); // biome-ignore format: one line
      rig.schedule('paused', { schedule: '@hourly', ...spec });
      await rig.untilSchedule('paused', 'goes on', (each) => readyReason(each) === 'Scheduled');
      assert.deepEqual(snapshotsOf('paused'), []);
    });

    it('says what the schema cannot see: a time zone that there is not', async () => {
      schedule('nowhere', { timeZone: 'Europe/Atlantis', snapshots: { matchLabels: { a: 'b' } } });
      await rig.untilSchedule('nowhere', 'says so', (each) => readyReason(each) === 'Invalid');
      await rig.untilEvent('nowhere', /Invalid: .*Europe\/Atlantis/);
    });

    it('tells of a claim that it could not snapshot, and makes the others', async () => {
      rig.kube.put(rig.claimPath('pending'), { metadata: { labels: { set: 'mixed' } }, spec: {}, status: { phase: 'Pending' } }); // biome-ignore format: one line
      rig.kube.put(rig.claimPath('db'), {
        ...rig.kube.get(rig.claimPath('db')),
        metadata: { labels: { set: 'mixed' } },
      });
      schedule('mixed', { snapshots: { matchLabels: { set: 'mixed' } } });
      const { status } = await ran('mixed');
      assert.match(status!.history![0]!.error!, /snapshot of pending was not made: the claim is not bound/);
      assert.equal(status!.history![0]!.created.length, 1);
      assert.equal(status!.lastSuccessfulTime, undefined);
    });
  });

  describe('for a pending copy', () => {
    const SELECTED = 'volume.kubernetes.io/selected-node';
    const selected = (name: string) => rig.kube.get(rig.claimPath(name))?.metadata.annotations?.[SELECTED];

    function restore(name: string, spec: object, annotations = {}): void {
      rig.kube.put(rig.claimPath(name), {
        metadata: { annotations },
        spec: { storageClassName: 'flashcopy', ...spec },
        status: { phase: 'Pending' },
      });
    }
    const ofSnapshot = { dataSource: { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: 'monday' } }; // biome-ignore format: one line

    it('binds a restore to the node of its snapshot when that has come, and again when it was dropped', async () => {
      restore('again', ofSnapshot, { [SELECTED]: 'node-2' });
      await rig.pause(500);
      assert.equal(selected('again'), 'node-2');
      rig.kube.put(`${CONTENTS}/content-1`, {
        metadata: {},
        spec: { driver: 'csi.flashcopy.dev' },
        status: { snapshotHandle: `${NODE}/0123abcd/7` },
      });
      rig.kube.put(`${SNAPSHOTS}/monday`, {
        metadata: {},
        spec: { source: { persistentVolumeClaimName: 'db' } },
        status: { boundVolumeSnapshotContentName: 'content-1', readyToUse: true },
      });
      await until('it is bound', () => selected('again') === NODE);
      await rig.untilEvent('again', /PinnedToNode: Its source is on node node-1/);
      restore('again', ofSnapshot);
      await until('it is bound again', () => selected('again') === NODE);
    });

    it('binds a clone to the node of its source', async () => {
      restore('clone', { dataSourceRef: { kind: 'PersistentVolumeClaim', name: 'db' } });
      await until('it is bound', () => selected('clone') === NODE);
    });

    it('tells on the claim that the node cannot take the pod', async () => {
      const conditions = [{ type: 'Ready', status: 'True' }];
      rig.kube.put(`/api/v1/nodes/${NODE}`, { metadata: {}, spec: { unschedulable: true }, status: { conditions } }); // biome-ignore format: one line
      await rig.untilEvent('again', /NodeCannotTakePod: .*cordoned/);
    });
  });
});
