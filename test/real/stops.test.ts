/** An engine that is told to stop while it stops already: a Ctrl-C twice, a service manager that loses patience. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';

/** Between the two requests: the second comes before the engine closes, or while it does. */
const GAPS_MS = [3, 15];

describe('An engine that is told to stop twice', function () {
  this.timeout(120_000);
  const suite = engineSuite({ started: false });

  it('ends as one that is told once: what was acknowledged and not flushed is there, and nothing is left', async () => {
    const start = () => suite.start(undefined, ['--log-size', '16Mi'], 'engine');
    let running = await start();
    await suite.volume('source', 16 * MiB);
    for (const gapMs of GAPS_MS) {
      const name = `target-${gapMs}`;
      await suite.engine.createVolume({ name, sizeBytes: 16 * MiB });
      await suite.engine.createMapping({
        name,
        source: 'source',
        target: name,
        copyRate: 0,
        incremental: true,
      });
      await suite.engine.startMappings([name]);
      await withDirectFile(await suite.engine.attachVolume(name), 'write', (file) =>
        file.write(0, tagSector(name)),
      );
      process.kill(running.supervisorPid, 'SIGTERM');
      await sleep(gapMs);
      process.kill(running.supervisorPid, 'SIGTERM');
      await running.stop();
      assert.doesNotMatch(suite.log, /data thread died|stop failed/);
      running = await start();
      await withDirectFile(await suite.engine.attachVolume(name), 'read', async (file) =>
        assert.equal(readTag(await file.read(0, SECTOR)), name),
      );
    }
  });
});
