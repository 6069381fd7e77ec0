/** The custom resources: a copy that is refreshed night after night, by kubectl alone. */
import assert from 'node:assert/strict';
import { until } from '../support/commands.ts';
import { killControllers } from './harness/driver-pods.ts';
import type { KubeObject } from './harness/kubectl.ts';
import { claim, pod } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

const custom = (kind: string, name: string, spec: object): KubeObject => ({
  apiVersion: 'flashcopy.dev/v1alpha1',
  kind,
  metadata: { name },
  spec,
});
const sync = (name: string, whenInUse = 'Wait') =>
  custom('FlashCopySync', name, { mappingName: 'nightly', whenInUse });
const MiB = 1024 * 1024;

describe('Custom resources', () => {
  const scheduled = scene('schedule');

  before('a schedule begins', async () => {
    const kept = claim('kept');
    kept.metadata.labels = { backup: 'yes' };
    await scheduled.apply(
      kept,
      claim('other'),
      pod('kept', { claim: 'kept' }),
      pod('other', { claim: 'other' }),
      custom('FlashCopySchedule', 'minutely', {
        schedule: '* * * * *',
        snapshots: { matchLabels: { backup: 'yes' }, volumeSnapshotClassName: 'flashcopy' },
        retention: { keepLast: 1 },
      }),
    );
    await scheduled.running('kept', 'other');
  });

  for (const killing of [false, true]) {
    describe(`A nightly refresh${killing ? ', the controller being killed in the midst of each step' : ''}`, () => {
      const at = scene(killing ? 'nightly-killed' : 'nightly');
      const step = async (...objects: KubeObject[]) => {
        await at.apply(...objects);
        if (killing) await killControllers(at.cluster);
      };
      const phase = (name: string, value: string) =>
        at.wait(`flashcopysync/${name}`, `jsonpath={.status.phase}=${value}`);

      before(async () => {
        await at.apply(
          claim('production', { size: '512Mi' }),
          claim('test', { size: '512Mi' }),
          pod('production', { claim: 'production', node: 'node-2' }),
          pod('first-use', { claim: 'test', node: 'node-2' }),
        );
        await at.running('production', 'first-use');
        await at.delete('pod', 'first-use');
        await at.write('production', ['a', 'b', 'c'], 20 * 1024);
      });

      /** What a pod finds on the target; the pod stays. */
      const found = async (name: string): Promise<string> => {
        await at.apply(pod(name, { claim: 'test' }));
        await at.running(name);
        return at.files(name);
      };

      it('begins with a mapping, whose target has all there was', async () => {
        await step(
          custom('FlashCopyMapping', 'nightly', {
            source: { claimName: 'production' },
            target: { claimName: 'test' },
            copyRate: 150,
            incremental: true,
          }),
        );
        await at.wait('flashcopymapping/nightly', 'jsonpath={.status.state}=Copied');
        const { status } = await at.get('flashcopymapping', 'nightly');
        assert.equal(status.node, 'node-2');
        assert.ok(Date.parse(status.pointInTime) > 0);
        assert.equal(await found('user'), await at.files('production'));
      });

      it('is refused at once while a pod uses the target, if that is wanted', async () => {
        await at.write('production', ['d']);
        await step(sync('refused', 'Fail'));
        await phase('refused', 'Failed');
        const { status } = await at.get('flashcopysync', 'refused');
        assert.match(JSON.stringify(status.usedBy), /user/);
        assert.match(status.message, /user/);
      });

      it('waits for that pod otherwise, says so, and goes through when it ends', async () => {
        await step(sync('night-1'));
        await phase('night-1', 'Waiting');
        await until(
          'the sync says who uses the target',
          async () =>
            JSON.stringify((await at.get('flashcopysync', 'night-1')).status.usedBy ?? []).includes('user'),
          120_000,
          300,
        );
        await at.delete('pod', 'user');
        if (killing) await killControllers(at.cluster);
        await phase('night-1', 'Succeeded');
      });

      it('has copied only what had changed', async function () {
        const { status } = await at.get('flashcopysync', 'night-1');
        assert.ok(status.copiedBytes >= MiB, JSON.stringify(status));
        assert.ok(status.copiedBytes <= 16 * MiB, JSON.stringify(status));
        assert.ok(status.skippedBytes >= 480 * MiB, JSON.stringify(status));
        this.test!.title += ` (${status.copiedBytes} bytes of ${status.totalBytes})`;
        assert.equal(await found('user'), await at.files('production'));
        await at.delete('pod', 'user');
      });

      it('leaves a complete copy when the mapping is deleted', async () => {
        const before = await at.files('production');
        await at.kubectl('delete', 'flashcopymapping', 'nightly', '--wait=false');
        if (killing) await killControllers(at.cluster);
        await at.wait('flashcopymapping/nightly', 'delete');
        await at.delete('pod', 'production');
        await at.delete('pvc', 'production');
        assert.equal(await found('user'), before);
      });
    });
  }

  describe('A schedule', () => {
    it('has made snapshots of the claims with its labels, and keeps as many as it is told to', async () => {
      const seen = new Set<string>();
      await until(
        'two runs were made and one is kept',
        async () => {
          const snapshots = await scheduled.list('volumesnapshot');
          for (const { metadata, spec } of snapshots) {
            seen.add(metadata.name);
            assert.equal(spec.source.persistentVolumeClaimName, 'kept');
          }
          const { status } = await scheduled.get('flashcopyschedule', 'minutely');
          for (const run of status.history ?? []) for (const name of run.created) seen.add(name);
          return seen.size >= 2 && snapshots.length === 1;
        },
        240_000,
        1000,
      );
      const stop = ['--type=merge', '-p', '{"spec":{"suspend":true}}'];
      await scheduled.kubectl('patch', 'flashcopyschedule', 'minutely', ...stop);
    });
  });
});
