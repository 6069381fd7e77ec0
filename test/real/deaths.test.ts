/**
 * Deaths of a supervisor, alone and with its engine, where no keeper holds the descriptors. What the keeper changes is in
 * keepers.test.ts.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, until } from '../support/commands.ts';
import { DirectFile, MiB, SECTOR, tagSector } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { checkFilesystem, loopDevicesBelow, makeFilesystem, mountsBelow } from '../support/filesystems.ts';
import { KeptEngine } from '../support/kept-engine.ts';
import { childrenOf, runDirectoryOf } from '../support/standalone.ts';

/** Far more than an error takes, and less than for ever. */
const HANG_MS = 30_000;

async function writeDurably(file: string, data: Buffer): Promise<void> {
  const handle = await open(file, 'w');
  try {
    await handle.writeFile(data);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

describe('An engine that no keeper knows', function () {
  this.timeout(180_000);
  const suite = engineSuite({ started: false });
  let kept: KeptEngine;
  let place: string;
  const content = randomBytes(MiB);

  const mountData = async (): Promise<void> => {
    await run('mount', [await kept.engine.attachVolume('data'), place]);
  };

  before(async () => {
    kept = new KeptEngine(suite);
    await kept.start();
    await kept.engine.createVolume({ name: 'data', sizeBytes: 64 * MiB });
    await makeFilesystem('ext4', await kept.engine.attachVolume('data'));
    place = path.join(suite.directory, 'mounted');
    await mkdir(place);
    await mountData();
    await writeDurably(path.join(place, 'before'), content);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(kept.output);
  });

  it('goes on when its supervisor alone is killed; another is refused and names it; it ends when it is told to', async () => {
    const [enginePid] = childrenOf(kept.pid);
    kept.signal('SIGKILL');
    await kept.ended();
    await writeDurably(path.join(place, 'without'), content);
    await kept.engine.createSnapshots([{ name: 'without', source: 'data' }]);

    kept.spawn();
    assert.equal(await kept.ended(), 1);
    assert.match(kept.output, new RegExp(`in use by the engine with pid ${enginePid}\\.`));

    await run('umount', [place]);
    process.kill(enginePid!, 'SIGTERM');
    await until('it has ended', () => !existsSync(`/proc/${enginePid}`), 60_000);
    await kept.start();
    await mountData();
    assert.ok((await readFile(path.join(place, 'without'))).equals(content));
    assert.equal((await kept.engine.getVolume('without')).state, 'online');
  });

  it('fails at once for its hosts when both are killed; the next clears everything away, and what was flushed is there', async () => {
    await kept.engine.createVolume({ name: 'raw', sizeBytes: MiB });
    const raw = await DirectFile.open(await kept.engine.attachVolume('raw'), 'durable');
    await raw.write(0, tagSector('flushed'));
    await kept.killAll();

    const hang = sleep(HANG_MS, 'it hangs', { ref: false });
    const failing = [
      () => raw.read(0, SECTOR),
      () => raw.write(0, tagSector('lost')),
      () => writeDurably(path.join(place, 'lost'), content),
    ];
    // What a filesystem makes of the error is its own affair: ext4 may call it ENOSPC.
    for (const io of failing)
      assert.match(await Promise.race([hang, io().then(() => 'it succeeded', String)]), /^Error: E/);

    // A filesystem is still mounted on the dead device, and a file is open on another.
    await kept.start();
    assert.match(kept.output, /killed with its supervisor: what it left is cleared away/);
    await raw.close();
    await run('umount', [place]);

    await mountData();
    assert.ok((await readFile(path.join(place, 'before'))).equals(content));
    assert.ok((await readFile(path.join(place, 'without'))).equals(content));
    await run('umount', [place]);
    await checkFilesystem('ext4', (await kept.engine.getVolume('data')).device);
    const again = await DirectFile.open(await kept.engine.attachVolume('raw'));
    assert.ok((await again.read(0, SECTOR)).equals(tagSector('flushed')));
    await again.close();
    assert.equal((await kept.engine.getVolume('without')).state, 'online');

    const runDirectory = runDirectoryOf(kept.pool);
    assert.equal(mountsBelow(runDirectory).length, 1);
    const attached = (await kept.engine.listVolumes()).filter(({ device }) => device !== '');
    await until(
      'no loop device of the dead engine is left',
      async () => (await loopDevicesBelow(runDirectory)).length === attached.length,
    );
  });
});
