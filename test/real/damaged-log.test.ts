/**
 * Block devices of a pool whose undo log was lost while the machine was down: what may have had old grains there is refused
 * with file and byte, everything else is served, and goes on. (engine/damaged-log.test.ts has the other damages.)
 */
import assert from 'node:assert/strict';
import { statSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite, refused } from '../support/engine-suite.ts';
import { KeptEngine } from '../support/kept-engine.ts';

describe('An engine whose undo log became zeros', function () {
  this.timeout(180_000);
  const suite = engineSuite({ started: false });
  let kept: KeptEngine;

  const write = async (name: string, text: string): Promise<void> => {
    await withDirectFile(await kept.engine.attachVolume(name), 'durable', async (file) => {
      for (let at = 0; at < 64; at++) await file.write(at * SECTOR, tagSector(text));
    });
  };
  const read = async (name: string): Promise<string> =>
    withDirectFile(await kept.engine.attachVolume(name), 'read', async (file) =>
      readTag(await file.read(63 * SECTOR, SECTOR)),
    );
  const stateOf = async (name: string) => (await kept.engine.getVolume(name)).state;

  before(async () => {
    kept = new KeptEngine(suite);
    await kept.start();
    for (const name of ['data', 'well']) {
      await kept.engine.createVolume({ name, sizeBytes: 16 * MiB });
      await write(name, 'first');
    }
    await kept.engine.createSnapshots([{ name: 'kept', source: 'data' }]);
    await write('data', 'second'); // the snapshot's grains are in the log
    await kept.killAll();
    const log = path.join(kept.pool, 'log');
    const { size } = statSync(log);
    truncateSync(log, 0);
    truncateSync(log, size);
    await kept.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(kept.output);
  });

  it('suspends the snapshot whose grains were there, and says where', async () => {
    const { state, error } = await kept.engine.getVolume('kept');
    assert.equal(state, 'suspended');
    assert.match(error, /^log at byte \d+ is damaged: record \d+, which may have held grains of it/);
    assert.match(await refused('Suspended', kept.engine.attachVolume('kept')), /log at byte \d+/);
  });

  it('serves the others with all that was written', async () => {
    assert.equal(await read('data'), 'second');
    assert.equal(await read('well'), 'first');
  });

  it('goes on: a new snapshot keeps what it shows, also when the power fails again', async () => {
    await kept.engine.createSnapshots([{ name: 'later', source: 'data' }]);
    await kept.killAll();
    await kept.start();
    assert.equal(await stateOf('later'), 'online');
    await write('data', 'third');
    await kept.killAll();
    await kept.start();
    assert.equal(await read('later'), 'second');
    assert.equal(await read('data'), 'third');
    assert.equal(await stateOf('kept'), 'suspended');
  });

  it('lets the snapshot be deleted', async () => {
    await kept.engine.deleteSnapshot('kept');
    await refused('VolumeNotFound', kept.engine.getVolume('kept'));
  });
});
