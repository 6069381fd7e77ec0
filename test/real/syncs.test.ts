/**
 * Cuts and syncs under load: the writer finds what it wrote, and each copy is one moment, before and after it is
 * copied.
 */
import assert from 'node:assert/strict';
import { checksum, MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { VerifyingWriter } from '../support/fio.ts';
import { untilCopied } from '../support/standalone.ts';

const VOLUME_BYTES = 128 * MiB;

describe('A mapping that is synced under load', () => {
  const suite = engineSuite({ sound: true });

  it('disturbs no verifying writer through ten cuts and ten syncs, and shows one moment each time', async () => {
    const { engine } = suite;
    const source = await suite.volume('data', VOLUME_BYTES);
    const writer = new VerifyingWriter(source, VOLUME_BYTES / 2, suite.cleanup);
    const target = await suite.copy('map', 'data', 'backup');
    for (let turn = 0; turn < 10; turn++) {
      await suite.snapshot('data', `cut-${turn}`);
      // Slow enough that a part is still read through the source.
      await engine.setCopyRate('map', 100);
      await engine.syncMapping('map');
      const atOnce = await checksum(target, VOLUME_BYTES);
      await engine.setCopyRate('map', 150);
      await untilCopied(engine, 'map');
      assert.equal(await checksum(target, VOLUME_BYTES), atOnce, `sync ${turn}`);
    }
    await writer.end();
    await engine.syncMapping('map');
    await untilCopied(engine, 'map');
    assert.equal(await checksum(target, VOLUME_BYTES), await checksum(source, VOLUME_BYTES));
  });
});
