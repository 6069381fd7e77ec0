/** The devices of an engine that was started again, on a machine that is slow to say whose they are. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { Devices } from '../../src/engine/devices.ts';
import { loopDevices } from '../../src/engine/loop-devices.ts';
import { Cleanup } from '../support/cleanup.ts';
import { run } from '../support/commands.ts';
import { MiB } from '../support/disks.ts';

const VOLUME = { id: 1, name: 'data', kind: 'volume' } as const;

describe('the devices of volumes', function () {
  this.timeout(60_000);
  const cleanup = new Cleanup();
  let dir: string;
  let served: string;

  before(async function () {
    if (process.geteuid?.() !== 0) this.skip();
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-devices-'));
    cleanup.defer('remove the directory', () => fs.rmSync(dir, { recursive: true }));
    served = path.join(dir, 'served');
    for (const made of [served, path.join(dir, 'bin'), path.join(dir, 'fs')]) fs.mkdirSync(made);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', served]);
    cleanup.defer('unmount what is served', () => run('umount', [served]));
    fs.writeFileSync(path.join(served, '1'), Buffer.alloc(16 * MiB));
  });
  after(() => cleanup.all());

  const attached = () => loopDevices().filter(({ file }) => file.startsWith(`${served}/`));
  /** The machine's program, which gives no answer in time when it is to list. */
  const slowLosetup = async (): Promise<() => Promise<void>> => {
    const before = process.env['PATH'];
    const losetup = (await run('sh', ['-c', 'command -v losetup'])).trim();
    const script = `#!/bin/sh\ncase "$*" in *--list*) exec sleep 60;; esac\nexec ${losetup} "$@"\n`;
    fs.writeFileSync(path.join(dir, 'bin', 'losetup'), script, { mode: 0o755 });
    process.env['PATH'] = `${dir}/bin:${before}`;
    return cleanup.defer('have the fast one again', () => {
      process.env['PATH'] = before;
    });
  };

  it('one that does not say in time whose it is stays in use, and gets no second one beside it', async () => {
    const device = await new Devices(served).attach(VOLUME);
    cleanup.defer('detach', () => run('losetup', ['--detach', device]));
    await run('mkfs.ext4', ['-q', device]);
    await run('mount', [device, path.join(dir, 'fs')]);
    cleanup.defer('unmount', () => run('umount', [path.join(dir, 'fs')]));

    const restoreFast = await slowLosetup();
    const again = new Devices(served);
    const [user, attachment] = await Promise.allSettled([again.userOf(1), again.attach(VOLUME)]);
    await restoreFast();
    for (const { device: other } of attached())
      if (other !== device) await run('losetup', ['--detach', other]);
    assert.match(user.status === 'fulfilled' ? `${user.value}` : '', /it is mounted at .*fs$/);
    assert.equal(attachment.status === 'rejected' ? attachment.reason.code : attachment.value, 'Unavailable');
    assert.equal(await again.attach(VOLUME), device);
  });
});
