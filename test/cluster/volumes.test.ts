/** What anybody does with volumes: make, write, snapshot, restore, clone, grow, delete. */
import assert from 'node:assert/strict';
import { until } from '../support/commands.ts';
import { claim, DEVICE, MOUNT, pod, snapshot } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

const from = (kind: 'VolumeSnapshot' | 'PersistentVolumeClaim', name: string) => ({ from: { kind, name } });

describe('A volume', () => {
  const at = scene('volumes');

  it('is made for a claim and holds what its pod writes', async () => {
    await at.apply(claim('origin'), pod('writer', { claim: 'origin' }));
    await at.running('writer');
    await at.write('writer', ['a', 'b']);
  });

  it('has a snapshot that is ready within seconds of kubectl apply', async function () {
    const seconds: number[] = [];
    for (const name of ['first', 'next', 'last']) {
      const began = performance.now();
      await at.apply(snapshot(name, 'origin'));
      await at.ready(name);
      seconds.push((performance.now() - began) / 1000);
    }
    const told = seconds.map((each) => each.toFixed(1)).join(', ');
    this.test!.title += ` (here: ${told} s, kubectl's own start and waiting included; the aim is 2 s)`;
  });

  it('is restored from a snapshot with the content of its instant, whatever was written since', async () => {
    const before = await at.files('writer');
    await at.write('writer', ['a', 'c']);
    await at.apply(claim('restored', from('VolumeSnapshot', 'first')), pod('reader', { claim: 'restored' }));
    await at.running('reader');
    assert.equal(await at.files('reader'), before);
    assert.notEqual(await at.files('writer'), before);
  });

  it('is cloned from another claim', async () => {
    const before = await at.files('writer');
    await at.apply(
      claim('cloned', from('PersistentVolumeClaim', 'origin')),
      pod('clone', { claim: 'cloned' }),
    );
    await at.running('clone');
    assert.equal(await at.files('clone'), before);
    await at.write('clone', ['a']);
    assert.equal(await at.files('writer'), before);
  });

  it('is restored into a larger claim, and the filesystem has its size', async () => {
    const before = await at.files('writer');
    await at.apply(snapshot('second', 'origin'));
    await at.apply(
      claim('larger', { size: '1Gi', ...from('VolumeSnapshot', 'second') }),
      pod('larger', { claim: 'larger' }),
    );
    await at.running('larger');
    assert.equal(await at.files('larger'), before);
    assert.ok((await at.mib('larger')) > 850);
  });

  it('grows for its next pod, where the kernel lets ext4 not grow while it is mounted', async () => {
    const before = await at.files('writer');
    await at.grow('origin', '1Gi');
    await until(
      'the claim has grown, or says why not yet',
      async () => {
        const { status } = await at.get('pvc', 'origin');
        const conditions = (status.conditions ?? []) as { type: string }[];
        return status.capacity.storage === '1Gi' || conditions.some(({ type }) => type === 'NodeResizeError');
      },
      120_000,
      500,
    );
    await at.delete('pod', 'writer');
    await at.apply(pod('writer', { claim: 'origin' }));
    await at.running('writer');
    await at.wait('pvc/origin', 'jsonpath={.status.capacity.storage}=1Gi');
    assert.ok((await at.mib('writer')) > 850);
    assert.equal(await at.files('writer'), before);
  });

  it('is restored for reading only', async () => {
    await at.apply(
      claim('fixed', { size: '1Gi', accessMode: 'ReadOnlyMany', ...from('VolumeSnapshot', 'second') }),
      pod('fixed', { claim: 'fixed', readOnly: true }),
    );
    await at.running('fixed');
    assert.notEqual(await at.files('fixed'), '');
    await assert.rejects(at.sh('fixed', `touch ${MOUNT}/new`), /Read-only file system/);
  });

  it('goes to whoever comes next with what was written', async () => {
    const before = await at.files('writer');
    await at.delete('pod', 'writer');
    await at.apply(pod('heir', { claim: 'origin' }));
    await at.running('heir');
    assert.equal(await at.files('heir'), before);
  });
});

describe('A volume with XFS', () => {
  const at = scene('xfs');

  it('is written, snapshotted and restored beside the one that it was copied from', async () => {
    const options = { storageClass: 'flashcopy-xfs', size: '512Mi' };
    await at.apply(claim('origin', options), pod('writer', { claim: 'origin' }));
    await at.running('writer');
    assert.match(await at.sh('writer', `grep ' ${MOUNT} ' /proc/mounts`), / xfs /);
    const before = await at.write('writer', ['a', 'b']);
    await at.apply(snapshot('first', 'origin'));
    await at.ready('first');
    await at.apply(
      claim('restored', { ...options, ...from('VolumeSnapshot', 'first') }),
      pod('reader', { claim: 'restored' }),
    );
    await at.running('reader');
    assert.equal(await at.files('reader'), before);
  });

  it('grows while its pod uses it', async () => {
    const before = await at.files('writer');
    await at.grow('origin', '1Gi');
    await at.wait('pvc/origin', 'jsonpath={.status.capacity.storage}=1Gi');
    assert.ok((await at.mib('writer')) > 850);
    assert.equal(await at.files('writer'), before);
  });
});

describe('A raw block volume', () => {
  const at = scene('block');
  const sum = (name: string) => at.sh(name, `sha256sum < ${DEVICE}`);

  it('is written, snapshotted, restored and cloned', async () => {
    await at.apply(claim('origin', { block: true }), pod('writer', { claim: 'origin', block: true }));
    await at.running('writer');
    const write = `dd if=/dev/urandom of=${DEVICE} bs=1M seek=7 count=32 conv=fsync 2>/dev/null`;
    await at.sh('writer', write);
    const before = await sum('writer');
    await at.apply(snapshot('first', 'origin'));
    await at.ready('first');
    await at.sh('writer', write);
    const after = await sum('writer');
    assert.notEqual(after, before);
    await at.apply(
      claim('restored', { block: true, ...from('VolumeSnapshot', 'first') }),
      claim('cloned', { block: true, ...from('PersistentVolumeClaim', 'origin') }),
      pod('reader', { claim: 'restored', block: true }),
      pod('clone', { claim: 'cloned', block: true }),
    );
    await at.running('reader', 'clone');
    assert.equal(await sum('reader'), before);
    assert.equal(await sum('clone'), after);
  });
});

type Thing = 'source' | 'snapshot' | 'copy';
const ORDERS: Thing[][] = [
  ['source', 'snapshot', 'copy'],
  ['source', 'copy', 'snapshot'],
  ['snapshot', 'source', 'copy'],
  ['snapshot', 'copy', 'source'],
  ['copy', 'source', 'snapshot'],
  ['copy', 'snapshot', 'source'],
];

describe('A volume, its snapshot and a copy of that', () => {
  const at = scene('orders');
  const contents: string[] = [];
  const nameOf = (thing: Thing, set: number) => `${thing}-${set}`;

  before('six of each are made', async () => {
    for (const set of ORDERS.keys())
      await at.apply(
        claim(nameOf('source', set), { size: '64Mi' }),
        pod(nameOf('source', set), { claim: nameOf('source', set) }),
      );
    for (const set of ORDERS.keys()) {
      await at.running(nameOf('source', set));
      contents.push(await at.write(nameOf('source', set), ['x', 'y']));
      await at.apply(snapshot(nameOf('snapshot', set), nameOf('source', set)));
    }
    for (const set of ORDERS.keys()) {
      await at.ready(nameOf('snapshot', set));
      const options = { size: '64Mi', ...from('VolumeSnapshot', nameOf('snapshot', set)) };
      await at.apply(
        claim(nameOf('copy', set), options),
        pod(nameOf('copy', set), { claim: nameOf('copy', set) }),
      );
    }
    await at.running(...ORDERS.map((_, set) => nameOf('copy', set)));
  });

  const deleted = async (thing: Thing, set: number) => {
    const name = nameOf(thing, set);
    if (thing === 'snapshot') return at.delete('volumesnapshot', name);
    await at.delete('pod', name);
    await at.delete('pvc', name);
  };
  /** What is left has the content of then; a snapshot, in what is made of it. */
  const holds = async (thing: Thing, set: number) => {
    const name = thing === 'snapshot' ? `again-${set}` : nameOf(thing, set);
    if (thing === 'snapshot') {
      const options = { size: '64Mi', ...from('VolumeSnapshot', nameOf('snapshot', set)) };
      await at.apply(claim(name, options), pod(name, { claim: name }));
      await at.running(name);
    }
    assert.equal(await at.files(name), contents[set]);
  };

  for (const [set, order] of ORDERS.entries())
    it(`are deleted in the order ${order.join(', ')}: what is left stays what it is`, async () => {
      await deleted(order[0]!, set);
      for (const thing of order.slice(1)) if (thing !== 'snapshot') await holds(thing, set);
      await deleted(order[1]!, set);
      await holds(order[2]!, set);
      await deleted(order[2]!, set);
    });
});
