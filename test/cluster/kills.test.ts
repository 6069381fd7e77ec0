/** The driver's own pods are killed and replaced while volumes are in use. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/commands.ts';
import { driverPods, killControllers, killInPod, replaced } from './harness/driver-pods.ts';
import { claim, MOUNT, pod, snapshot } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

/** Writes and reads back what it wrote, for so long; ends badly at the first error. */
const verifying = (seconds: number) =>
  `fio --name=verify --filename=${MOUNT}/file --size=96M --rw=randwrite --bs=4k --direct=1 --ioengine=psync --verify=crc32c ` +
  `--verify_fatal=1 --verify_backlog=512 --do_verify=1 --time_based --runtime=${seconds}`;

/** Besides, in the background: a number to one file and then to the other, durably, and then the next one. */
const COUNTING = `
  (i=0; while :; do
    i=$((i + 1))
    for file in a b; do printf %08d $i | dd of=${MOUNT}/$file conv=notrunc,fsync 2>/dev/null; done
  done) &
  exec `;

describe('While a pod writes and verifies', () => {
  const at = scene('kills');
  let made = 0;

  /** A pod that verifies for so long, and whether all was well. */
  const load = async (seconds: number, beside = ''): Promise<{ node: string; well: () => Promise<void> }> => {
    made += 1;
    const name = `load-${made}`;
    const script = beside + verifying(seconds);
    await at.apply(claim(name), pod(name, { claim: name, node: 'node-1', script }));
    await at.running(name);
    await sleep(2000);
    return { node: await at.nodeOf(name), well: () => at.completed(name, (seconds + 120) * 1000) };
  };

  it('the engine process is killed, and there is no I/O error', async () => {
    const { node, well } = await load(15);
    const [engine] = await driverPods(at.cluster, 'engine', node);
    await killInPod(at.cluster, node, 'flashcopy-engine');
    await well();
    assert.deepEqual(await driverPods(at.cluster, 'engine', node), [engine]);
  });

  it('the engine pod is deleted and replaced, and there is no I/O error', async () => {
    const { node, well } = await load(40);
    await replaced(at.cluster, 'engine', node);
    await well();
  });

  it('the engine pod is killed with its supervisor, and there is no I/O error', async () => {
    const { node, well } = await load(30);
    await killInPod(at.cluster, node, 'flashcopy engine');
    await well();
  });

  it('the node pod is replaced, and there is no I/O error', async () => {
    const { node, well } = await load(30);
    await replaced(at.cluster, 'node', node);
    await replaced(at.cluster, 'engine', node);
    await well();
  });

  it('snapshots are taken, and each has the content of one instant', async () => {
    const { well } = await load(40, COUNTING);
    await at.sh(`load-${made}`, `until [ -s ${MOUNT}/b ]; do sleep 0.1; done`);
    const names = ['s1', 's2', 's3'];
    for (const name of names) {
      await at.apply(snapshot(name, `load-${made}`));
      await at.ready(name);
    }
    const restored = names.map((name) => `from-${name}`);
    for (const name of names) {
      const from = { kind: 'VolumeSnapshot', name } as const;
      await at.apply(claim(`from-${name}`, { from }), pod(`from-${name}`, { claim: `from-${name}` }));
    }
    await at.running(...restored);
    let last = 0;
    for (const name of restored) {
      const [a, b] = (await at.sh(name, `cat ${MOUNT}/a; echo; cat ${MOUNT}/b`)).split('\n').map(Number);
      assert.ok(a === b || a === b! + 1, `${a} and ${b}`);
      assert.ok(b! >= last, `${b} after ${last}`);
      last = a!;
    }
    assert.ok(last > 0);
    await well();
  });
});

describe('The controller', () => {
  const at = scene('controller');

  it('is killed in the midst of each step, and each step is completed', async () => {
    const options = { storageClass: 'flashcopy-xfs', size: '512Mi' };
    const ofSnapshot = { ...options, from: { kind: 'VolumeSnapshot', name: 'first' } } as const;
    const ofClaim = { ...options, from: { kind: 'PersistentVolumeClaim', name: 'origin' } } as const;
    let files = '';
    const steps = [
      () => at.apply(claim('origin', options), pod('origin', { claim: 'origin' })),
      async () => {
        await at.running('origin');
        files = await at.write('origin', ['a', 'b']);
        await at.apply(snapshot('first', 'origin'));
      },
      () => at.apply(claim('copy', ofSnapshot), pod('copy', { claim: 'copy' })),
      () => at.apply(claim('clone', ofClaim), pod('clone', { claim: 'clone' })),
      async () => {
        await at.running('copy', 'clone');
        await at.grow('origin', '1Gi');
      },
    ];
    for (const step of steps) {
      await step();
      await killControllers(at.cluster);
    }
    await at.ready('first');
    await at.wait('pvc/origin', 'jsonpath={.status.capacity.storage}=1Gi');
    assert.ok((await at.mib('origin')) > 850);
    for (const name of ['origin', 'copy', 'clone']) assert.equal(await at.files(name), files);
    await at.kubectl('delete', 'pod,pvc,volumesnapshot', '--all', '--wait=false');
    await killControllers(at.cluster);
    await until(
      'all is deleted',
      async () => (await at.list('pvc,volumesnapshot')).length === 0,
      120_000,
      500,
    );
  });
});
