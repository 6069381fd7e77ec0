/** FlashCopyMapping and FlashCopySync at work: the operator, a real engine, and the tests' own API server. */
import assert from 'node:assert/strict';
import { FlashCopyError } from '../../src/base/errors.ts';
import { formatId } from '../../src/csi/ids.ts';
import { FINALIZER } from '../../src/operator/mapping-plan.ts';
import { mappingResource } from '../../src/operator/resources.ts';
import { until } from '../support/commands.ts';
import { MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite, refused } from '../support/engine-suite.ts';
import { NODE, OperatorRig, readyReason } from '../support/operator-rig.ts';

const SIZE = 4 * MiB;

describe('The operator', () => {
  const suite = engineSuite();
  let rig: OperatorRig;

  before(async () => {
    rig = await OperatorRig.start(suite);
    rig.run();
    await rig.claim('db');
    await write('db', 0, SIZE, 'one');
  });

  /** Says `text` in every sector of a part of a claim's volume. */
  async function write(claim: string, from: number, length: number, text: string): Promise<void> {
    await suite.whileAttached(`pvc-${claim}`, (device) =>
      withDirectFile(device, 'durable', async (file) => {
        const part = Buffer.concat(Array.from({ length: length / SECTOR }, () => tagSector(text)));
        await file.write(from, part);
      }),
    );
  }

  const read = (claim: string, at = 0) =>
    suite.whileAttached(`pvc-${claim}`, (device) =>
      withDirectFile(device, 'read', async (file) => readTag(await file.read(at, SECTOR))),
    );

  const copied = (name: string) =>
    rig.untilMapping(name, 'is copied', ({ status }) => status?.state === 'Copied');
  const mappingsTo = async (claim: string) =>
    (await rig.engine.listMappings()).filter(({ target }) => target === `pvc-${claim}`);

  describe('for a FlashCopyMapping', () => {
    it('makes the cut, fills the target, and tells how far it is', async () => {
      await rig.claim('report');
      rig.mapping('nightly', 'db', 'report');
      const { status, metadata } = await copied('nightly');
      assert.equal(await read('report'), 'one');
      assert.deepEqual(metadata.finalizers, [FINALIZER]);
      assert.equal(status?.progress, '100%');
      assert.deepEqual([status.totalBytes, status.copiedBytes, status.remainingBytes], [SIZE, SIZE, 0]);
      assert.equal(status.node, NODE);
      assert.ok(Date.parse(status.pointInTime!) > Date.now() - 60_000);
      assert.deepEqual(status.conditions?.map(({ type, status: is }) => `${type} ${is}`).sort(), [
        'Complete True',
        'Ready True',
      ]);
      await rig.untilEvent('nightly', /^Started: /m);
    });

    it('sets the copy rate of the mapping when it is changed', async () => {
      rig.mapping('nightly', 'db', 'report', { copyRate: 77 });
      await until('the rate is set', async () => (await mappingsTo('report'))[0]?.copyRate === 77);
    });

    it('waits while a pod uses the target, and says which', async () => {
      await rig.claim('busy');
      rig.pod('web-0', 'busy');
      rig.pod('job-1', 'busy', { phase: 'Succeeded' });
      rig.mapping('waits', 'db', 'busy');
      const waiting = await rig.untilMapping('waits', 'waits', (each) => readyReason(each) === 'TargetInUse');
      assert.deepEqual(waiting.status?.usedBy, ['web-0']);
      assert.equal(waiting.status?.state, 'Pending');
      await rig.untilEvent('waits', /TargetInUse: The pod web-0 uses the target claim busy/);
      assert.equal(await read('busy'), '');
      rig.kube.remove(rig.podPath('web-0'));
      const { status } = await copied('waits');
      assert.equal(status?.usedBy, undefined);
      assert.equal(await read('busy'), 'one');
    });

    it('waits for a crowd of pods, of which it tells as many as its status may hold', async () => {
      await rig.claim('crowded');
      const pods = Array.from({ length: 120 }, (_, n) => `web-${n}`);
      for (const pod of pods) rig.pod(pod, 'crowded', { phase: 'Pending' });
      rig.mapping('crowd', 'db', 'crowded');
      const { status } = await rig.untilMapping('crowd', 'waits', (each) => readyReason(each) === 'TargetInUse'); // biome-ignore format: one line
      const fields = mappingResource.status.schema['properties'] as Record<string, { maxItems?: number }>;
      assert.equal(status?.usedBy?.length, fields['usedBy']!.maxItems);
      for (const pod of pods) rig.kube.remove(rig.podPath(pod));
      await copied('crowd');
    });

    it('is told by the engine of users that no pod shows', async () => {
      await rig.claim('open');
      await suite.whileAttached('pvc-open', (device) =>
        withDirectFile(device, 'read', async () => {
          rig.mapping('opened', 'db', 'open');
          const { status } = await rig.untilMapping('opened', 'waits', (each) => readyReason(each) === 'TargetInUse'); // biome-ignore format: one line
          assert.match(status!.conditions!.find(({ type }) => type === 'Ready')!.message, /in use|open/);
        }),
      );
      await copied('opened');
    });

    it('says what is wrong with claims: missing, foreign, on another node, too small, lost', async () => {
      await rig.claim('small', MiB);
      const pool = await rig.engine.pool();
      rig.bind('away', formatId('node-2', pool.id, 1));
      rig.bind('lost', formatId(NODE, pool.id, 999_999));
      rig.kube.put('/api/v1/persistentvolumes/pv-nfs', {
        metadata: {},
        spec: { csi: { driver: 'nfs.csi.k8s.io', volumeHandle: 'x' } },
      });
      rig.kube.put(rig.claimPath('nfs'), {
        metadata: {},
        spec: { volumeName: 'pv-nfs' },
        status: { phase: 'Bound' },
      });
      const expected = {
        nothing: 'ClaimMissing',
        nfs: 'ClaimForeign',
        small: 'InvalidArgument',
        lost: 'VolumeLost',
        away: 'VolumeLost',
      };
      for (const [claim, reason] of Object.entries(expected)) {
        rig.mapping(`to-${claim}`, 'db', claim);
        await rig.untilMapping(`to-${claim}`, `says ${reason}`, (each) => readyReason(each) === reason);
      }
      for (const claim of Object.keys(expected)) await rig.delete('flashcopymappings', `to-${claim}`);
      for (const claim of Object.keys(expected)) await rig.untilGone('flashcopymappings', `to-${claim}`);
      assert.deepEqual(await mappingsTo('small'), []);
    });

    it('has a target that waits for a consumer made on the node of the source', async () => {
      rig.kube.put(rig.claimPath('unbound'), {
        metadata: {},
        spec: { storageClassName: 'flashcopy' },
        status: { phase: 'Pending' },
      });
      rig.mapping('first', 'db', 'unbound');
      await until('the claim is pinned', () => {
        const claim = rig.kube.get(rig.claimPath('unbound'));
        return claim?.metadata.annotations?.['volume.kubernetes.io/selected-node'] === NODE;
      });
      await rig.untilEvent('unbound', /PinnedToNode/);
      await rig.claim('unbound'); // the provisioner's work
      await copied('first');
    });

    it('gives a target to the oldest of two objects', async () => {
      await rig.claim('wanted');
      rig.mapping('older', 'db', 'wanted');
      await copied('older');
      await rig.pause(1100);
      rig.mapping('younger', 'report', 'wanted');
      await rig.untilMapping('younger', 'is told', (each) => readyReason(each) === 'TargetTaken');
      await rig.delete('flashcopymappings', 'younger');
      await rig.untilGone('flashcopymappings', 'younger');
      assert.equal((await mappingsTo('wanted')).length, 1);
    });

    it('adopts the mapping of an incremental clone, without another cut', async () => {
      await rig.engine.cloneVolume('pvc-db', {
        name: 'pvc-clone',
        sizeBytes: 0,
        incremental: true,
        copyRate: 150,
      });
      await rig.claimOf('clone');
      const [before] = await mappingsTo('clone');
      rig.mapping('adopted', 'db', 'clone');
      const { status } = await copied('adopted');
      assert.equal(status?.adopted, true);
      assert.equal(status.mapping, 'pvc-clone');
      assert.equal((await mappingsTo('clone'))[0]!.cutAt, before!.cutAt);
    });

    it('does not adopt a clone of another source', async () => {
      await rig.engine.cloneVolume('pvc-report', { name: 'pvc-foreign', sizeBytes: 0, incremental: true });
      await rig.claimOf('foreign');
      rig.mapping('wrong', 'db', 'foreign');
      await rig.untilMapping('wrong', 'is told', (each) => readyReason(each) === 'TargetInUse');
      await rig.delete('flashcopymappings', 'wrong');
      await rig.untilGone('flashcopymappings', 'wrong');
      assert.equal((await mappingsTo('foreign')).length, 1);
    });

    it('ends a mapping that is not incremental when the target is complete, and leaves it at that', async () => {
      await rig.claim('plain');
      rig.mapping('once', 'db', 'plain', { incremental: false });
      const done = await rig.untilMapping(
        'once',
        'is completed',
        ({ status }) => status?.state === 'Completed',
      );
      assert.equal(done.status?.progress, '100%');
      await until('the mapping is ended', async () => (await mappingsTo('plain')).length === 0);
      await write('plain', 0, SECTOR, 'own');
      await rig.pause();
      assert.equal(await read('plain'), 'own');
    });

    it('does not begin again by itself when its mapping was ended in the engine', async () => {
      await rig.claim('ended');
      rig.mapping('ends', 'db', 'ended');
      await copied('ends');
      await rig.engine.deleteMapping((await mappingsTo('ended'))[0]!.name, false);
      await write('ended', 0, SECTOR, 'own');
      rig.mapping('ends', 'db', 'ended', { copyRate: 140 });
      await rig.untilMapping('ends', 'says so', (each) => readyReason(each) === 'MappingGone');
      assert.equal(await read('ended'), 'own');
    });

    it('finishes the copy before it lets go of a target, if onDelete is Finish', async () => {
      await rig.claim('finish');
      rig.mapping('finishing', 'db', 'finish', { copyRate: 0 });
      await rig.untilMapping('finishing', 'is copying', ({ status }) => status?.state === 'Copying');
      await rig.delete('flashcopymappings', 'finishing');
      await rig.untilGone('flashcopymappings', 'finishing');
      assert.deepEqual(await mappingsTo('finish'), []);
      await write('db', 0, SECTOR, 'later');
      assert.deepEqual([await read('finish'), await read('finish', MiB)], ['one', 'one']);
    });

    it('ends the copy at once if onDelete is Discard, but not under a pod', async () => {
      await rig.claim('discard');
      rig.mapping('dropped', 'db', 'discard', { copyRate: 0, onDelete: 'Discard' });
      await rig.untilMapping('dropped', 'is copying', ({ status }) => status?.state === 'Copying');
      rig.pod('reader', 'discard');
      await rig.delete('flashcopymappings', 'dropped');
      await rig.untilMapping('dropped', 'waits', (each) => readyReason(each) === 'TargetInUse');
      assert.equal(await read('discard', MiB), 'one');
      rig.kube.remove(rig.podPath('reader'));
      await rig.untilGone('flashcopymappings', 'dropped');
      assert.equal(await read('discard', MiB), '');
    });

    it('empties no target under a pod whose copy was stopped half-way', async () => {
      const stopped = async (onDelete: string) => {
        const [claim, name] = [`half-${onDelete.toLowerCase()}`, `halved-${onDelete.toLowerCase()}`];
        await rig.claim(claim);
        rig.mapping(name, 'db', claim, { copyRate: 0, onDelete });
        await rig.untilMapping(name, 'is copying', ({ status }) => status?.state === 'Copying');
        rig.pod(`reader-of-${claim}`, claim);
        await rig.engine.stopMapping((await mappingsTo(claim))[0]!.name);
        await rig.delete('flashcopymappings', name);
        await rig.untilMapping(name, 'waits', (each) => readyReason(each) === 'TargetInUse');
        assert.equal((await rig.engine.getVolume(`pvc-${claim}`)).state, 'stopped');
        rig.kube.remove(rig.podPath(`reader-of-${claim}`));
        await rig.untilGone('flashcopymappings', name);
        assert.equal(await read(claim), '');
      };
      await Promise.all(['Finish', 'Discard'].map(stopped));
    });
  });

  describe('for a FlashCopySync', () => {
    before(async () => {
      await rig.claim('orders');
      await rig.claim('lab');
      await write('orders', 0, SIZE, 'old');
      rig.mapping('refresh', 'orders', 'lab');
      await copied('refresh');
    });

    it('copies only what changed, and tells how much that was', async () => {
      await write('orders', MiB, 256 * 1024, 'new');
      rig.sync('s1', 'refresh');
      const { status } = await rig.untilSync('s1', 'succeeds', (each) => each.status?.phase === 'Succeeded');
      assert.deepEqual([status?.copiedBytes, status?.skippedBytes], [256 * 1024, SIZE - 256 * 1024]);
      assert.equal(status?.progress, '100%');
      assert.ok(status.startTime && status.pointInTime && status.completionTime);
      assert.deepEqual([await read('lab'), await read('lab', MiB)], ['old', 'new']);
      await rig.untilEvent('s1', /^Succeeded: .*262144 bytes were copied/m);
    });

    it('never refreshes a target under a pod: Wait waits for its end, and says which pod it is', async () => {
      await write('orders', 0, SECTOR, 'newer');
      rig.pod('reader-0', 'lab');
      rig.sync('s2', 'refresh');
      const waiting = await rig.untilSync('s2', 'waits', (each) => each.status?.phase === 'Waiting');
      assert.deepEqual(waiting.status?.usedBy, ['reader-0']);
      assert.match(waiting.status?.message ?? '', /pod reader-0 uses the target claim lab/);
      await rig.untilEvent('s2', /TargetInUse: The pod reader-0/);
      assert.equal(await read('lab'), 'old');
      rig.kube.remove(rig.podPath('reader-0'));
      const done = await rig.untilSync('s2', 'succeeds', (each) => each.status?.phase === 'Succeeded');
      assert.equal(done.status?.usedBy, undefined);
      assert.equal(await read('lab'), 'newer');
    });

    it('and Fail fails', async () => {
      rig.pod('reader-0', 'lab');
      rig.sync('s3', 'refresh', { whenInUse: 'Fail' });
      const { status } = await rig.untilSync('s3', 'fails', (each) => each.status?.phase === 'Failed');
      assert.deepEqual(status?.usedBy, ['reader-0']);
      rig.kube.remove(rig.podPath('reader-0'));
    });

    it('is refused by the engine while something else has the target open', async () => {
      await suite.whileAttached('pvc-lab', (device) =>
        withDirectFile(device, 'read', async () => {
          rig.sync('s4', 'refresh');
          await rig.untilSync('s4', 'waits', ({ status }) => status?.phase === 'Waiting');
        }),
      );
      await rig.untilSync('s4', 'succeeds', ({ status }) => status?.phase === 'Succeeded');
    });

    it('gives up after its timeout, with nothing changed', async () => {
      await write('orders', 0, SECTOR, 'unseen');
      rig.pod('reader-0', 'lab');
      rig.sync('s5', 'refresh', { timeout: '2s' });
      const { status } = await rig.untilSync('s5', 'fails', (each) => each.status?.phase === 'Failed');
      assert.match(status?.message ?? '', /within 2s: nothing was changed.*reader-0/);
      assert.equal(await read('lab'), 'newer');
      rig.kube.remove(rig.podPath('reader-0'));
    });

    it('is deleted when its time after the end is over', async () => {
      rig.sync('s6', 'refresh', { ttlSecondsAfterFinished: 1 });
      await rig.untilSync('s6', 'succeeds', ({ status }) => status?.phase === 'Succeeded');
      await rig.untilGone('flashcopysyncs', 's6');
    });

    it('fails where it can never succeed, and waits for a mapping that may come', async () => {
      rig.sync('plain-sync', 'once');
      await rig.untilSync('plain-sync', 'fails', ({ status }) => status?.phase === 'Failed');
      rig.sync('frozen', 'refresh', { freeze: true });
      await rig.untilSync('frozen', 'succeeds', (each) => each.status?.phase === 'Succeeded');
      rig.sync('early', 'comes-later');
      await rig.untilSync('early', 'waits', (each) => each.status?.phase === 'Waiting');
      await rig.claim('later');
      rig.mapping('comes-later', 'orders', 'later');
      await rig.untilSync('early', 'succeeds', (each) => each.status?.phase === 'Succeeded');
    });

    it('waits for its turn among the syncs of a mapping', async () => {
      await rig.engine.setCopyRate((await mappingsTo('lab'))[0]!.name, 0);
      rig.mapping('refresh', 'orders', 'lab', { copyRate: 0 });
      await write('orders', 0, SIZE, 'slow');
      rig.sync('turn-1', 'refresh');
      await rig.untilSync('turn-1', 'copies', ({ status }) => status?.phase === 'Copying');
      rig.sync('turn-2', 'refresh');
      const { status } = await rig.untilSync('turn-2', 'waits', (each) => each.status?.phase === 'Waiting');
      assert.match(status?.message ?? '', /FlashCopySync turn-1 .* goes first/);
      rig.mapping('refresh', 'orders', 'lab', { copyRate: 150 });
      await rig.untilSync('turn-1', 'succeeds', (each) => each.status?.phase === 'Succeeded');
      await rig.untilSync('turn-2', 'succeeds', (each) => each.status?.phase === 'Succeeded');
    });

    it('copies what was written in the target back too', async () => {
      await write('lab', 2 * MiB, SECTOR, 'own');
      rig.sync('s7', 'refresh');
      await rig.untilSync('s7', 'succeeds', ({ status }) => status?.phase === 'Succeeded');
      assert.equal(await read('lab', 2 * MiB), 'slow');
    });
  });

  it('tells Prometheus who leads, what was looked at, and how far the mappings are', async () => {
    await rig.claim('measured');
    rig.mapping('measured', 'db', 'measured');
    await copied('measured');
    const metrics = await until('it is told', async () => {
      const text = await rig.metrics();
      return text.includes('flashcopy_mapping_progress_ratio{namespace="shop",name="measured"} 1') && text;
    });
    assert.match(metrics, /^flashcopy_operator_leader 1$/m);
    assert.match(metrics, /^flashcopy_operator_queue_depth \d+$/m);
    assert.match(metrics, /^flashcopy_operator_reconciles_total\{kind="mapping",result="ok"\} [1-9]/m);
    assert.match(metrics, /^flashcopy_mapping_changed_bytes\{namespace="shop",name="measured"\} 0$/m);
  });

  describe('while a node does not answer', () => {
    it('says so, forgets nothing, and goes on when it answers again', async () => {
      await rig.stop();
      let away = true;
      const real = rig.engine;
      const engine = new Proxy(real, {
        get: (target, name) => {
          const call = Reflect.get(target, name) as unknown;
          if (typeof call !== 'function' || name === 'then') return call;
          return (...args: unknown[]) => {
            if (!away) return call.apply(target, args);
            throw new FlashCopyError('Unavailable', 'No engine runs on node node-1 now.');
          };
        },
      });
      rig.run(engine);
      rig.sync('in-the-dark', 'refresh', { timeout: '1h' });
      const { status } = await rig.untilMapping('refresh', 'says so', (each) => readyReason(each) === 'NodeUnavailable'); // biome-ignore format: one line
      assert.equal(status?.state, 'Copied');
      const dark = await rig.untilSync('in-the-dark', 'waits', (each) => each.status?.phase === 'Waiting');
      assert.match(dark.status?.message ?? '', /No engine runs on node node-1/);
      rig.sync('too-late', 'refresh', { timeout: '1s' });
      await rig.untilSync('too-late', 'fails', (each) => each.status?.phase === 'Failed');
      await rig.untilEvent('refresh', /NodeUnavailable: No engine runs/);
      away = false;
      await rig.untilSync('in-the-dark', 'succeeds', (each) => each.status?.phase === 'Succeeded');
      await rig.untilMapping('refresh', 'is ready', (each) => readyReason(each) === 'Copied');
    });
  });

  describe('when it stops', () => {
    it('gives the lease up, and another leads at once', async () => {
      await rig.stop();
      const [lease] = rig.kube.list<{ spec: { holderIdentity: string } }>(
        '/apis/coordination.k8s.io/v1/namespaces/flashcopy-system/leases',
      );
      assert.equal((lease as { spec: { holderIdentity: string } }).spec.holderIdentity, '');
      rig.run();
      rig.sync('after', 'refresh');
      await rig.untilSync('after', 'succeeds', ({ status }) => status?.phase === 'Succeeded');
      await refused('MappingNotFound', rig.engine.getMapping('nothing'));
    });
  });
});
