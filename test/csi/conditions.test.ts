/**
 * What Kubernetes is told of a volume that is not well, or will not be for long: by the node service, for one volume by the
 * controller, and in its list.
 */
import assert from 'node:assert/strict';
import type { VolumeCondition__Output } from '../../src/csi/generated/csi/v1/VolumeCondition.ts';
import { until } from '../support/commands.ts';
import { CsiNode, NODE } from '../support/csi-node.ts';
import { ask, CsiClient } from '../support/csi-suite.ts';
import { KiB, MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { fio } from '../support/fio.ts';
import { SmallDisk } from '../support/small-disk.ts';

const LOG_BYTES = 16 * MiB;
const SIZE = 48 * MiB;

describe('The condition of a volume', function () {
  this.timeout(120_000);
  const suite = engineSuite({ started: false });
  let disk: SmallDisk;
  let node: CsiNode;
  let csi: CsiClient;
  const block = { access: 'block' as const };

  before(async () => {
    disk = await SmallDisk.make(suite.cleanup, suite.directory, 'ext4', 512 * MiB);
    await suite.start(disk.pool, ['--log-size', `${LOG_BYTES / MiB}Mi`, '--node-id', NODE]);
    node = await CsiNode.start(suite);
    csi = new CsiClient(suite.standalone.endpoint);
    suite.cleanup.defer('close the client', () => csi.close());
    await csi.untilReady();
    const { engine } = suite;
    await engine.createVolume({ name: 'thin', sizeBytes: SIZE });
    await engine.createVolume({ name: 'strict', sizeBytes: SIZE, cowFailure: 'failWrite' });
    await engine.createVolume({ name: 'thick', sizeBytes: SIZE, provisioning: 'thick' });
    const all = { provisioning: 'thick', cowFailure: 'failWrite' } as const;
    await engine.createVolume({ name: 'thick-strict', sizeBytes: SIZE, ...all });
    await engine.createVolume({ name: 'copy', sizeBytes: SIZE });
    for (const name of ['thin', 'thick', 'copy']) {
      await node.stage(name, block);
      await node.publish(name, block);
    }
  });
  afterEach(() => disk.relieve());

  async function told(name: string): Promise<VolumeCondition__Output> {
    const { status } = await ask(csi.controller, 'controllerGetVolume', { volumeId: await node.id(name) });
    return status!.volumeCondition!;
  }

  async function toldByList(name: string): Promise<VolumeCondition__Output> {
    const volumeId = await node.id(name);
    const { entries } = await ask(csi.controller, 'listVolumes', {});
    return entries.find(({ volume }) => volume?.volumeId === volumeId)!.status!.volumeCondition!;
  }

  const toldByNode = async (name: string) => (await node.stats(name)).volumeCondition!;

  /** By all three. They look at a pool every few seconds only. */
  async function untilTold(name: string, pattern: RegExp): Promise<VolumeCondition__Output[]> {
    return until(
      `of ${name} is told ${pattern}`,
      async () => {
        const conditions = [await told(name), await toldByList(name), await toldByNode(name)];
        return conditions.every(({ message }) => pattern.test(message)) ? conditions : undefined;
      },
      30_000,
    );
  }

  it('can be asked for, as the capabilities say', async () => {
    const controller = await ask(csi.controller, 'controllerGetCapabilities', {});
    const ofController = controller.capabilities.map(({ rpc }) => rpc?.type);
    for (const wanted of ['VOLUME_CONDITION', 'GET_VOLUME', 'LIST_VOLUMES'] as const)
      assert.ok(ofController.includes(wanted), wanted);
    const { capabilities } = await ask(csi.node, 'nodeGetCapabilities', {});
    const ofNode = capabilities.map(({ rpc }) => rpc?.type);
    for (const wanted of ['VOLUME_CONDITION', 'GET_VOLUME_STATS'] as const)
      assert.ok(ofNode.includes(wanted), wanted);
  });

  it('is well while its pool has room', async () => {
    const well = { abnormal: false, message: 'The volume is online.' };
    for (const name of ['thin', 'strict', 'thick', 'thick-strict']) {
      assert.deepEqual(await told(name), well);
      assert.deepEqual(await toldByList(name), well);
    }
    for (const name of ['thin', 'thick']) assert.deepEqual(await toldByNode(name), well);
  });

  it('says how full a pool is that is nearly full, what will fail then, and what to do', async () => {
    await disk.leave(40 * MiB);
    const conditions = await untilTold('thin', /nearly|% full/);
    for (const { abnormal, message } of conditions) {
      assert.equal(abnormal, true);
      assert.match(
        message,
        /^The pool of node node-1 is 9\d % full: [34]\d\.\d MiB of \d+\.\d MiB are free\. /,
      );
      assert.match(message, /When it is full, writes to places of this volume that were never written fail/);
      assert.match(message, /its snapshots break/);
      assert.ok(
        message.includes(
          `Delete snapshots or volumes on that node, or enlarge the filesystem of ${disk.pool}`,
        ),
      );
    }
    assert.match(
      (await told('strict')).message,
      /were never written fail .* whose old content a snapshot needs/,
    );
    const { abnormal, message } = await told('thick-strict');
    assert.equal(abnormal, true);
    assert.match(message, /When it is full, writes fail \(ENOSPC\) whose old content a snapshot needs\./);
  });

  it('is not touched by that where the volume has all its space', async () => {
    await disk.leave(40 * MiB);
    await untilTold('thin', /% full/);
    assert.equal((await told('thick')).abnormal, false);
    assert.equal((await toldByNode('thick')).abnormal, false);
  });

  it('says what fails now when the pool is full, and is well again when it has room', async () => {
    await disk.fillUp();
    for (const { abnormal, message } of await untilTold('thin', /100 % full/)) {
      assert.equal(abnormal, true);
      assert.match(message, /Now writes to places of this volume that were never written fail \(ENOSPC\)/);
    }
    disk.relieve();
    for (const { abnormal } of await untilTold('thin', /is online/)) assert.equal(abnormal, false);
  });

  it('gives the reason why a volume is suspended before anything else', async () => {
    const { engine } = suite;
    await node.unpublish('copy');
    await node.unstage('copy');
    await engine.createVolume({ name: 'source', sizeBytes: SIZE });
    const source = await engine.attachVolume('source');
    const overwrite = () =>
      fio({ file: source, pattern: 'write', blockBytes: 64 * KiB, depth: 8, rangeBytes: SIZE });
    await overwrite();
    await engine.createMapping({ name: 'm', source: 'source', target: 'copy', copyRate: 0 });
    await engine.startMappings(['m']);
    await node.stage('copy', block);
    await node.publish('copy', block);
    await disk.fillUp();
    await overwrite(); // more old grains than the log holds, and no room for them in the copy
    for (const { abnormal, message } of await untilTold('copy', /suspended/)) {
      assert.equal(abnormal, true);
      assert.match(
        message,
        /^The volume is suspended: .*ENOSPC.*\. Its data is not served\. Mend .* or restore/,
      );
    }
    disk.relieve();
    await untilTold('copy', /served\. [^%]*$/); // and no more of the pool
    assert.equal((await told('source')).abnormal, false);
    await node.unpublish('copy');
    await node.unstage('copy');
    await engine.deleteMapping('m', true);
    await engine.detachVolume('source');
  });

  it('says of a target whose copy was stopped how it comes to be used again', async () => {
    const { engine } = suite;
    await engine.createVolume({ name: 'half', sizeBytes: SIZE });
    await engine.createMapping({ name: 'n', source: 'source', target: 'half', copyRate: 0 });
    await engine.startMappings(['n']);
    await engine.stopMapping('n');
    const { abnormal, message } = await told('half');
    assert.equal(abnormal, true);
    assert.match(message, /^The volume is stopped: .* start mapping n again\.$/);
    await engine.deleteMapping('n', true);
  });
});
