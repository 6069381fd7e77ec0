/**
 * A disk, a file on a FUSE mount, that takes its time for writes that begin with a word, and lets others overtake them.
 * Arguments: where to mount it, the file with its content, the word, and how many milliseconds. Says when it is ready, and
 * when it has such a write.
 */
import { fstatSync, openSync, readSync, writeSync } from 'node:fs';
import process from 'node:process';
import type { HostRequest, HostVolume } from '../../src/fuse/host.ts';
import { FuseServer } from '../../src/fuse/server.ts';
import { fallocate } from '../../src/sys/libc.ts';
import { mountFuse, openFuseDevice } from '../../src/sys/mount.ts';
import { Ring } from '../../src/sys/ring.ts';

const [, , dir = '', image = '', word = '', delayMs = ''] = process.argv;
const PUNCH_HOLE_KEEP_SIZE = 3;
const fd = openSync(image, 'r+');
const disk: HostVolume = { id: 1, name: 'disk', sizeBytes: fstatSync(fd).size, readOnly: false };
const ring = new Ring();

function write({ block, length, offset, done }: HostRequest): void {
  const data = Buffer.from(block.bytes.buffer, block.bytes.byteOffset, length);
  const put = (): void => {
    writeSync(fd, data, 0, length, offset);
    done(null);
  };
  if (data.toString('latin1', 0, word.length) !== word) {
    put();
    return;
  }
  ring.timeout(Number(delayMs), ring.adopt({ complete: put }));
  writeSync(1, 'slow\n');
}

const fuseFd = openFuseDevice();
mountFuse(fuseFd, dir, 'slow disk');
const server = new FuseServer(ring, fuseFd, {
  volumeById: (id) => (id === disk.id ? disk : undefined),
  hostVolumes: () => [disk],
  read: ({ block, length, offset, done }) => {
    readSync(fd, block.bytes, 0, length, offset);
    done(null);
  },
  write,
  flush: ({ done }) => done(null),
  discard: ({ offset, length, done }) => {
    fallocate(fd, PUNCH_HOLE_KEEP_SIZE, offset, length, image);
    done(null);
  },
  log: (_level, message) => void writeSync(2, `${message}\n`),
});
server.start();
writeSync(1, 'ready\n');
for (;;) {
  if (ring.enter()) server.entered();
  ring.dispatch();
}
