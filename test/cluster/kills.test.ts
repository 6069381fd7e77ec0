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

describe('While a pod writes and verifies', () => {
  const at = scene('kills');
  let made = 0;

  /** A pod that verifies for so long, and whether all was well. */
  const load = async (seconds: number): Promise<{ node: string; well: () => Promise<void> }> => {
    made += 1;
    const name = `load-${made}`;
    await at.apply(claim(name), pod(name, { claim: name, node: 'node-1', script: verifying(seconds) }));
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
    const { well } = await load(20);
    const names = ['s1', 's2', 's3'];
    for (const name of names) await at.apply(snapshot(name, `load-${made}`));
    await at.ready(...names);
    await well();
  });
});

describe('The controller', () => {
  const at = scene('controller');

  it('is killed in the midst of each step, and each step is completed', async () => {
    const steps = [
      () => at.apply(claim('origin'), pod('origin', { claim: 'origin' })),
      () => at.apply(snapshot('first', 'origin')),
      () =>
        at.apply(
          claim('copy', { from: { kind: 'VolumeSnapshot', name: 'first' } }),
          pod('copy', { claim: 'copy' }),
        ),
    ];
    for (const step of steps) {
      await step();
      await killControllers(at.cluster);
    }
    await at.running('origin', 'copy');
    await at.ready('first');
    assert.equal(await at.files('copy'), await at.files('origin'));
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
