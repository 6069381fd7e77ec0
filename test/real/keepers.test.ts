/**
 * Two processes of a node hold what must outlive an engine: its own supervisor and the node service. Either can be killed
 * or stopped while volumes are under load; the other keeps host I/O waiting until the next one goes on.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RoleProcess } from '../support/csi-roles.ts';
import { DirectFile, MiB, SECTOR } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { checkFilesystem, loopDevicesBelow, mountsBelow } from '../support/filesystems.ts';
import { VerifyingWriter } from '../support/fio.ts';
import { KeptEngine, otherRelease, smallerRelease } from '../support/kept-engine.ts';
import { runDirectoryOf } from '../support/standalone.ts';

const KILLS = 4;

describe('An engine whose descriptors the node service holds too', function () {
  this.timeout(240_000);
  const suite = engineSuite({ started: false });
  let kept: KeptEngine;
  let node: RoleProcess;
  let device: string;
  let unmount: () => Promise<void>;
  let place: string;
  let other: string;
  let smaller: string;

  const startNode = async () => {
    node = await RoleProcess.start(suite, 'node', kept.nodeArgs);
  };
  const load = () => new VerifyingWriter(path.join(place, 'load'), 16 * MiB, suite.cleanup);

  before(async () => {
    other = otherRelease(path.join(suite.directory, 'other'));
    smaller = smallerRelease(path.join(suite.directory, 'smaller'));
    kept = new KeptEngine(suite);
    await kept.start();
    await startNode();
    await kept.untilKept();
    ({ device, place, unmount } = await kept.mountData());
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(kept.output);
  });

  it('is killed with its supervisor under load, again and again, and nobody sees an I/O error', async () => {
    const writer = load();
    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(randomInt(500));
      await kept.killAll();
      await sleep(randomInt(300));
      await kept.start();
      await kept.untilLogged(/going on with the descriptors/);
      const [snapshot] = await kept.engine.createSnapshots([{ name: `after-${kill}`, source: 'data' }]);
      assert.equal(snapshot?.state, 'online');
      await kept.untilKept();
    }
    await writer.end();
  });

  it('goes on when the node service is killed or replaced under load, and hands it the descriptors again', async () => {
    const writer = load();
    for (const end of ['kill', 'stop'] as const) {
      kept.forget();
      await node[end]();
      await startNode();
      await kept.untilKept();
    }
    await kept.killAll();
    await kept.goOn();
    await writer.end();
  });

  it('stops for an upgrade while volumes are in use: I/O waits, devices stay, the next one goes on', async () => {
    const writer = load();
    for (let upgrade = 0; upgrade < 2; upgrade++) {
      await sleep(randomInt(500));
      kept.signal('SIGTERM');
      assert.equal(await kept.ended(), 0);
      assert.match(kept.output, /stopping with volumes in use/);
      assert.ok((await loopDevicesBelow(runDirectoryOf(kept.pool))).includes(device));
      await kept.goOn();
      assert.equal((await kept.engine.getVolume('data')).device, device);
    }
    await writer.end();
  });

  it('hands over to a release with another layout of the shared memory, and back', async () => {
    const writer = load();
    for (const program of [other, undefined]) {
      await sleep(randomInt(500));
      await kept.stop();
      await kept.goOn(program);
    }
    await writer.end();
  });

  it('that was killed is not taken over by a release that cannot read its memory; I/O waits for one that can', async () => {
    const writer = load();
    await sleep(200);
    await kept.killAll();
    await kept.refuses(other, /WrongState: .*layout 1.* can be read by its own version only/);
    await kept.goOn();
    await writer.end();
  });

  it('that was killed is taken over by a release whose shared memory is of another size, and back', async () => {
    const writer = load();
    for (const program of [smaller, undefined]) {
      await sleep(randomInt(500));
      await kept.killAll();
      await kept.goOn(program);
    }
    await writer.end();
  });

  it('does not stop without a keeper while volumes are in use, and does as soon as one comes', async () => {
    const writer = load();
    kept.forget();
    await node.kill();
    await kept.untilLogged(/no keeper holds a copy/);
    kept.signal('SIGTERM');
    await kept.untilLogged(/not stopped: volumes are in use/);
    // It is ready when the engine is there again.
    const ready = startNode();
    assert.equal(await kept.ended(), 0);
    await kept.start();
    await kept.untilKept();
    await ready;
    await writer.end();
  });

  it('waited for alone by a node service that is to stop: that stops when the engine is back', async () => {
    const writer = load();
    await kept.killAll();
    const stopped = node.stop();
    await sleep(500);
    await kept.start();
    await kept.untilKept();
    await stopped;
    await startNode();
    await kept.untilKept();
    await writer.end();
  });

  it('has lost nothing of all that', async () => {
    await unmount();
    await checkFilesystem('ext4', device);
  });

  it('stops and leaves nothing when no volume is in use', async () => {
    kept.signal('SIGTERM');
    assert.equal(await kept.ended(), 0);
    assert.deepEqual(mountsBelow(runDirectoryOf(kept.pool)), []);
    await kept.start();
    await kept.untilKept();
    assert.doesNotMatch(kept.output, /going on with the descriptors/);
  });

  it('fails cleanly when both are killed: devices give errors, and the next start needs no hand', async () => {
    device = await kept.engine.attachVolume('data');
    const file = await DirectFile.open(device, 'read');
    await kept.killAll();
    await node.kill();
    await assert.rejects(file.read(0, SECTOR), /EIO|ECONNABORTED|ENOTCONN|EREMOTEIO/);
    await file.close();
    const ready = startNode();
    await kept.start();
    await ready;
    device = await kept.engine.attachVolume('data');
    await checkFilesystem('ext4', device);
  });
});
