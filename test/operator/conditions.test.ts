/** Claims are told when their volumes are not well any more, and when they are again: once each time. */
import assert from 'node:assert/strict';
import type { CreateVolume } from '../../src/base/model.ts';
import { LABELS } from '../../src/csi/labels.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { NODE, OperatorRig } from '../support/operator-rig.ts';
import { SmallDisk } from '../support/small-disk.ts';

const LOOK_MS = 200;

describe('The claims of a node', function () {
  this.timeout(120_000);
  const suite = engineSuite({ started: false });
  let disk: SmallDisk;
  let rig: OperatorRig;

  /** A claim as the provisioner makes it: its volume's CSI name is that of the persistent volume. */
  async function claim(name: string, more: Partial<CreateVolume> = {}): Promise<void> {
    const labels = { [LABELS.name]: `pv-${name}` };
    await rig.engine.createVolume({ name: `pvc-${name}`, sizeBytes: 16 * MiB, labels, ...more });
    await rig.claimOf(name);
  }

  const reasons = (name: string) => rig.events(name).map((event) => event.split(':')[0]);
  const run = () => rig.run(rig.engine, { conditionsMs: LOOK_MS });

  before(async () => {
    disk = await SmallDisk.make(suite.cleanup, suite.directory, 'ext4', 512 * MiB);
    await suite.start(disk.pool, ['--log-size', '16Mi']);
    rig = await OperatorRig.start(suite);
    await claim('db');
    await claim('web');
    await claim('thick', { provisioning: 'thick' });
    run();
  });
  afterEach(() => disk.relieve());

  it('hear nothing while all is well', async () => {
    await rig.pause();
    for (const name of ['db', 'web', 'thick']) assert.deepEqual(rig.events(name), []);
  });

  it('are told once that its pool is nearly full, once that it is full, and once that it is well again', async () => {
    await disk.leave(40 * MiB);
    for (const name of ['db', 'web'])
      await rig.untilEvent(
        name,
        new RegExp(`^PoolNearlyFull: The pool of node ${NODE} is 9\\d % full: .* Delete`, 'm'),
      );
    await rig.pause();
    assert.deepEqual(reasons('db'), ['PoolNearlyFull'], 'once in many looks');
    await disk.fillUp();
    await rig.untilEvent('db', /^PoolFull: .* Now writes to places of this volume .* fail \(ENOSPC\)/m);
    disk.relieve();
    for (const name of ['db', 'web']) await rig.untilEvent(name, /^VolumeWell: /m);
    await rig.pause();
    assert.deepEqual(reasons('db').sort(), ['PoolFull', 'PoolNearlyFull', 'VolumeWell']);
    assert.deepEqual(rig.events('thick'), [], 'that has all its space');
  });

  it('are told nothing new by a pool that is now above the limit and now below it', async () => {
    const before = reasons('web').length;
    const { totalBytes } = await rig.engine.pool();
    for (const part of [0.095, 0.105, 0.095, 0.105]) {
      disk.relieve();
      await disk.leave(Math.floor(totalBytes * part));
      await rig.pause(5 * LOOK_MS);
    }
    assert.equal(reasons('web').length - before, 1, rig.events('web').join('\n'));
  });

  it('are told why a volume is suspended, by a new leader too', async () => {
    await rig.stop();
    await claim('half');
    await rig.engine.createMapping({ name: 'm', source: 'pvc-db', target: 'pvc-half', copyRate: 0 });
    await rig.engine.startMappings(['m']);
    await rig.engine.stopMapping('m');
    run();
    await rig.untilEvent('half', /^VolumeOffline: The volume is stopped: .* start mapping m again\./m);
    await rig.engine.deleteMapping('m', true);
    await rig.untilEvent('half', /^VolumeWell: /m);
  });
});
