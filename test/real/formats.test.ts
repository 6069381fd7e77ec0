/**
 * A release with a further on-disk format takes over from this one, and back, while a volume is under load: what cannot be
 * is refused and said, and host I/O waits for the release that can.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatOf, lookAt } from '../../src/engine/catalog-file.ts';
import { FORMAT } from '../../src/engine/migrations.ts';
import { RoleProcess } from '../support/csi-roles.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { checkFilesystem } from '../support/filesystems.ts';
import { VerifyingWriter } from '../support/fio.ts';
import { furtherRelease, KeptEngine } from '../support/kept-engine.ts';

describe('A release with a further on-disk format', function () {
  this.timeout(240_000);
  const suite = engineSuite({ started: false });
  let kept: KeptEngine;
  let device: string;
  let unmount: () => Promise<void>;
  let place: string;
  let further: string;

  const load = () => new VerifyingWriter(path.join(place, 'load'), 16 * MiB, suite.cleanup);
  const format = (): number => lookAt(path.join(kept.pool, 'catalog.db'), formatOf);

  before(async () => {
    further = furtherRelease(path.join(suite.directory, 'further'), 'same');
    kept = new KeptEngine(suite);
    await kept.start();
    await RoleProcess.start(suite, 'node', kept.nodeArgs);
    await kept.untilKept();
    ({ device, place, unmount } = await kept.mountData());
    await kept.engine.createSnapshots([{ name: 'monday', source: 'data' }]);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(kept.output);
  });

  it('that cannot read the memory of one that was killed leaves the pool in its format, and that one goes on', async () => {
    const program = furtherRelease(path.join(suite.directory, 'other'), 'other');
    const writer = load();
    await sleep(200);
    await kept.killAll();
    await kept.refuses(program, /WrongState: .*layout 1.* can be read by its own version only/);
    assert.equal(format(), FORMAT);
    await kept.goOn();
    await writer.end();
  });

  it('takes over from one that was killed; the way back is refused and said, and I/O waits for the further one', async () => {
    const writer = load();
    await sleep(200);
    await kept.killAll();
    await kept.goOn(further);
    for (const end of [() => kept.stop(), () => kept.killAll()]) {
      await end();
      assert.equal(format(), 99);
      await kept.refuses(
        undefined,
        /PoolTooNew: .*catalog\.db has format 99, and this program knows formats up to/,
      );
      await sleep(300);
      await kept.goOn(further);
    }
    await writer.end();
    assert.equal((await kept.engine.getVolume('monday')).state, 'online');
  });

  it('has lost nothing of all that', async () => {
    await unmount();
    await checkFilesystem('ext4', device);
  });
});
