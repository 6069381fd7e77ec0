/** The death of the engine: what the host and the calls notice of it. */
import assert from 'node:assert/strict';
import { promises as fs } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { PassThroughRig, sh } from '../support/pass-through-rig.ts';

const MIB = 1 << 20;

describe('The engine', () => {
  let rig: PassThroughRig;

  beforeEach(async function () {
    if (process.getuid?.() !== 0) this.skip();
    rig = await PassThroughRig.start();
    await rig.call('createVolume', { id: 1, sizeBytes: 256 * MIB });
  });
  afterEach(() => rig?.end());

  it('can be killed at any moment without an error for the host', async () => {
    const device = await rig.attach(1);
    const fio = sh(
      'fio', '--name=verify', `--filename=${device}`, '--direct=1', '--ioengine=io_uring', '--iodepth=32', '--rw=randwrite',
      '--bssplit=4k/70:64k/20:1m/10', '--size=128m', '--loops=3', '--verify=crc32c', '--verify_fatal=1',
      '--verify_state_save=0', '--rate=80m',
    ); // biome-ignore format: a command line
    for (let kill = 0; kill < 5; kill++) {
      await sleep(300 + kill * 97);
      await rig.kill();
      await rig.startEngine();
    }
    await fio;
    assert.deepEqual(await rig.call('counters'), [6]);
  });

  it('can be killed under a filesystem', async () => {
    const device = await rig.attach(1);
    await sh('mkfs.ext4', '-q', device);
    const dir = await rig.mount(device);
    const written = sh('cp', '-r', path.resolve('node_modules/typescript/lib'), dir);
    await sleep(100);
    await rig.kill();
    await sleep(100);
    await rig.startEngine();
    await written;
    await sh('diff', '-r', path.resolve('node_modules/typescript/lib'), path.join(dir, 'lib'));
    await rig.unmount(dir);
    await sh('fsck.ext4', '-f', '-n', device);
  });

  it('stops while requests keep coming, and they wait for the next one', async () => {
    const device = await rig.attach(1);
    const fio = sh(
      'fio', '--name=verify', `--filename=${device}`, '--direct=1', '--ioengine=io_uring', '--iodepth=32', '--rw=randwrite',
      '--bs=4k', '--size=64m', '--verify=crc32c', '--verify_fatal=1',
      '--verify_state_save=0', '--rate=40m',
    ); // biome-ignore format: a command line
    await sleep(500);
    await rig.stop();
    await sleep(200);
    await rig.startEngine();
    await fio;
  });

  it('stops while nothing happens', async () => {
    await rig.stop();
    await rig.startEngine();
    assert.deepEqual(await rig.call('counters'), [2]);
    await rig.stop();
  });

  it('answers calls while it serves, by their code when they fail', async () => {
    assert.deepEqual(await rig.call('counters'), [1]);
    await assert.rejects(rig.call('deleteVolume', 4), { code: 'VolumeNotFound' });
    await assert.rejects(rig.call('open'), { code: 'Internal' });
  });

  it('tells that a create did not fit, and leaves nothing of it', async () => {
    // In memory the kernel refuses at once. A disk would first be filled to the brim.
    await rig.end();
    rig = await PassThroughRig.start('/dev/shm');
    const request = { id: 2, sizeBytes: 8 * 2 ** 40, thick: true };
    await assert.rejects(rig.call('createVolume', request), { code: 'OutOfSpace' });
    assert.deepEqual(await fs.readdir(path.join(rig.pool, 'volumes')), []);
  });
});
