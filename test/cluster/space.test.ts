/** A node whose pool is full: writes go on, what gives way is told where people look, and waits until there is space. */
import { claim, MOUNT, pod, snapshot } from './harness/objects.ts';
import { scene } from './harness/scene.ts';

const NODE = 'node-2';
const POOL_DISK = '/var/lib/flashcopy';
const LEFT_BYTES = 2 * 1024 * 1024;
/** More than the undo log holds: what is in the log is not lost yet. */
const WRITTEN_MIB = 400;

describe('On a node whose pool is full', () => {
  const at = scene('space');
  const node = at.cluster.node(NODE);
  const thick = { storageClass: 'flashcopy-thick', size: '512Mi' };

  before(async () => {
    await at.apply(claim('origin', thick), pod('origin', { claim: 'origin', node: NODE }));
    await at.running('origin');
    await at.write('origin', ['a'], WRITTEN_MIB * 1024);
    await at.apply(snapshot('kept', 'origin'));
    await at.ready('kept');
    const free = await node.run(['df', '--block-size=1', '--output=avail', POOL_DISK]);
    const bytes = Number(free.trim().split('\n').at(-1)) - LEFT_BYTES;
    await node.run(['fallocate', '--length', String(bytes), `${POOL_DISK}/ballast`]);
  });
  after(() => node.run(['rm', '-f', `${POOL_DISK}/ballast`]));

  it('a thick volume is written as before', async () => {
    await at.sh(
      'origin',
      `dd if=/dev/urandom of=${MOUNT}/a bs=1M count=${WRITTEN_MIB} conv=notrunc,fsync 2>/dev/null`,
    );
  });

  it('the snapshot that could not keep its content is broken, and a claim that is made of it says so', async () => {
    const from = { kind: 'VolumeSnapshot', name: 'kept' } as const;
    await at.apply(claim('restored', { size: '512Mi', from }), pod('restored', { claim: 'restored' }));
    await at.event(
      'PersistentVolumeClaim',
      'restored',
      /ProvisioningFailed: .*(suspended|offline|broken|copied)/,
    );
    await at.delete('pod', 'restored');
    await at.delete('pvc', 'restored');
    await at.delete('volumesnapshot', 'kept');
  });

  it('a volume that needs its space at once waits, says why, and is made when there is space', async () => {
    await at.apply(claim('waiting', thick), pod('waiting', { claim: 'waiting', node: NODE }));
    const why = Promise.any([
      at.event('PersistentVolumeClaim', 'waiting', /ProvisioningFailed: .*node-2.*free/),
      at.event('Pod', 'waiting', /did not have enough free storage/),
    ]);
    await why;
    await node.run(['rm', `${POOL_DISK}/ballast`]);
    // What is free is looked at each minute.
    await at.wait('pod/waiting', 'condition=Ready', 240_000);
  });
});
