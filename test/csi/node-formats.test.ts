/**
 * Only an empty volume is formatted: whatever else a device holds, staging it as a filesystem is refused and leaves every
 * byte as it is.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { run } from '../support/commands.ts';
import { CsiNode, fails } from '../support/csi-node.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';

const VOLUME_BYTES = 64 * MiB;

/** Writes the bytes at the offset, and nothing else. */
async function put(device: string, offset: number, text: string): Promise<void> {
  const script = `printf '${text}' | dd of=${device} bs=1 seek=${offset} conv=notrunc,fsync status=none`;
  await run('sh', ['-c', script]);
}

const contents: Record<string, (device: string) => Promise<unknown>> = {
  'a LUKS header': (device) => put(device, 0, 'LUKS\\272\\276\\000\\001aes'),
  'an LVM label': (device) => put(device, 512, 'LABELONE\\001\\000\\000\\000\\000\\000\\000\\000'),
  'swap space': (device) => run('mkswap', [device]),
  'a partition table': (device) =>
    put(device, 446, '\\200\\001\\001\\000\\203\\376\\377\\377\\077'.padEnd(36, ' ')),
  'another filesystem': (device) =>
    run('mkfs.ext4', ['-q', '-F', '-O', '^has_journal,^extents,^64bit,^metadata_csum', '-t', 'ext2', device]),
  'a byte at the beginning': (device) => put(device, 0, '\\001'),
  'a byte in the middle': (device) => put(device, 40 * MiB + 12_345, '\\001'),
  'a byte at the end': (device) => put(device, VOLUME_BYTES - 1, '\\001'),
};

const checksum = async (device: string): Promise<string> => (await run('sha256sum', [device])).split(' ')[0]!;

describe('Staging a volume as a filesystem', () => {
  const suite = engineSuite();
  let node: CsiNode;
  before(async () => {
    node = await CsiNode.start(suite);
  });

  for (const [what, write] of Object.entries(contents)) {
    it(`leaves ${what} as it is`, async () => {
      const name = what.replaceAll(' ', '-');
      const device = await suite.volume(name, VOLUME_BYTES);
      await write(device);
      const written = await checksum(device);
      await suite.engine.detachVolume(name);
      for (const fsType of ['', 'ext4', 'xfs']) {
        const message = await fails('FAILED_PRECONDITION', node.stage(name, { fsType }));
        assert.match(message, /It was not touched/);
      }
      assert.equal((await suite.engine.getVolume(name)).device, '', 'it is not attached any more');
      assert.equal(await checksum(await suite.engine.attachVolume(name)), written);
      await suite.engine.detachVolume(name);
      assert.ok(!existsSync(`${node.staging(name)}/.flashcopy-unfinished-format`));
    });
  }

  it('formats one that zeros were written to', async () => {
    const device = await suite.volume('zeros', VOLUME_BYTES);
    await run('dd', [
      'if=/dev/zero',
      `of=${device}`,
      'bs=1M',
      'oflag=direct',
      'status=none',
      `count=${VOLUME_BYTES / MiB}`,
    ]);
    await suite.engine.detachVolume('zeros');
    await node.stage('zeros');
    await node.unstage('zeros');
  });

  it('formats a thick one, and a large one without taking space for it', async () => {
    await suite.engine.createVolume({ name: 'thick', sizeBytes: VOLUME_BYTES, provisioning: 'thick' });
    await node.stage('thick');
    await node.unstage('thick');
    for (const fsType of ['ext4', 'xfs']) {
      const name = `large-${fsType}`;
      await suite.engine.createVolume({ name, sizeBytes: 1024 * 1024 * MiB });
      await node.stage(name, { fsType });
      await node.unstage(name);
      const { allocatedBytes } = await suite.engine.getVolume(name);
      assert.ok(allocatedBytes < 1024 * MiB, `${allocatedBytes} bytes`);
    }
  });
});
