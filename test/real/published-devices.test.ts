/**
 * A raw device that is published somewhere, and that nobody has open at the moment. Its number must not become that of
 * another volume, which would be read and written there then.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { attempt, run, until } from '../support/commands.ts';
import { MiB, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite, refused } from '../support/engine-suite.ts';
import { KeptEngine } from '../support/kept-engine.ts';

const SIZE = 16 * MiB;

describe('A device that is published and not open', function () {
  this.timeout(180_000);
  const suite = engineSuite({ started: false });
  let kept: KeptEngine;
  let published: string;
  const attached = (device: string) => attempt('losetup', [device]).then(({ status }) => status === 0);
  const publish = async (device: string): Promise<void> => {
    await writeFile(published, '');
    await run('mount', ['--bind', device, published]);
  };
  /** What is written there lands in no other volume than `name`. */
  const nothingLandsIn = async (others: string[]): Promise<void> => {
    await withDirectFile(published, 'write', (file) => file.write(0, tagSector('stray'))).catch(() => {}); // or it fails
    for (const name of others) {
      const device = await kept.engine.attachVolume(name);
      const found = await withDirectFile(device, 'read', (file) => file.read(0, SECTOR));
      assert.ok(found.equals(Buffer.alloc(SECTOR)), `volume ${name} was written`);
    }
  };

  before(async () => {
    kept = new KeptEngine(suite);
    published = path.join(suite.directory, 'published');
    suite.cleanup.defer('unmount what was published', () => attempt('umount', [published]));
    await kept.start();
    for (const name of ['raw', 'other', 'third']) await kept.engine.createVolume({ name, sizeBytes: SIZE });
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(kept.output);
  });

  it('is in use: its volume is neither detached nor deleted nor overwritten, and its engine does not stop', async () => {
    await publish(await kept.engine.attachVolume('raw'));
    const says = new RegExp(`published at ${published}`);
    assert.match(await refused('VolumeInUse', kept.engine.detachVolume('raw')), says);
    assert.match(await refused('VolumeInUse', kept.engine.deleteVolume('raw')), says);
    await kept.engine.createMapping({ name: 'over', source: 'other', target: 'raw' });
    assert.match(await refused('VolumeInUse', kept.engine.startMappings(['over'])), says);
    await kept.engine.deleteMapping('over', false);
    kept.signal('SIGTERM');
    await kept.untilLogged(says);
  });

  it('stays, dead, when its engine is killed with its supervisor, and shows no other volume', async () => {
    const { device } = await kept.engine.getVolume('raw');
    const detach = suite.cleanup.defer('detach the dead device', () => run('losetup', ['--detach', device]));
    await kept.killAll();
    await kept.start();
    assert.match(kept.output, /a device of the dead engine is published/);
    assert.ok(await attached(device), 'its number is not free');
    await nothingLandsIn(['other', 'third', 'raw']);
    await run('umount', [published]);
    await detach();
  });

  it('goes away with the loop device that was put on top of it, as kubelet does', async () => {
    const device = await kept.engine.attachVolume('raw');
    await publish(device);
    const top = (await run('losetup', ['--find', '--show', published])).trim();
    const endTop = suite.cleanup.defer('detach the one on top', () => run('losetup', ['--detach', top]));
    const sequence = () => readFileSync(`/sys/block/${path.basename(device)}/diskseq`, 'utf8');
    const before = sequence();
    await kept.killAll();
    await kept.start();
    assert.ok(await attached(device));
    await endTop();
    await until('the dead device is gone', async () => sequence() !== before || !(await attached(device)));
    await run('umount', [published]);
  });
});
