/** A pool with real devices: looked at while an engine has it, and while none has. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { MiB, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { flashcopy } from '../support/standalone.ts';

describe('A pool in use', () => {
  const suite = engineSuite({ started: false, sound: true });
  const pool = (): string => path.join(suite.directory, 'pool');
  const check = () => flashcopy('check', '--pool', pool(), '--output', 'json');

  it('is scrubbed under its engine, also across its death, and checked when the engine is gone', async () => {
    await suite.whileStarted(async () => {
      const device = await suite.volume('data', 64 * MiB);
      const write = (text: string) =>
        withDirectFile(device, 'durable', async (file) => {
          for (let i = 0; i < 64; i++) await file.write(i * 5 * SECTOR, tagSector(`${text} ${i}`));
        });
      await write('first');
      await suite.snapshot('data', 'monday');
      await write('second');
      await suite.copy('m', 'data', 'copy');
      await write('third');

      const { status, stderr } = await check();
      assert.equal(status, 1);
      assert.match(stderr, /PoolLocked: .* in use by the engine with pid \d+/);

      const at = ['--endpoint', `unix://${suite.standalone.endpoint}`];
      await suite.engine.startScrub(MiB);
      const killed = await suite.standalone.killChild();
      assert.ok(killed > 0);
      const scrub = await flashcopy(...at, 'scrub', 'start', '--rate', '1Gi', '--wait');
      assert.equal(scrub.status, 0, scrub.stderr);
      assert.match(scrub.stdout, /state +done/);
      const info = await suite.engine.getScrub();
      assert.deepEqual([info.state, info.findings, info.doneBytes], ['done', [], info.totalBytes]);
    });
    const { status, stdout } = await check();
    assert.equal(status, 0, stdout);
    const report = JSON.parse(stdout);
    assert.deepEqual([report.findings, report.volumes, report.snapshots], [[], 2, 1]);
  });
});
