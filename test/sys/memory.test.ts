/** Memory that the kernel and other processes see too. */
import assert from 'node:assert/strict';
import { closeSync, fstatSync } from 'node:fs';
import { parseMount } from '../../src/sys/mount.ts';
import { createSharedMemory, mapSharedMemory, SHARED_MEMORY_BYTES } from '../../src/sys/shm.ts';

describe('The shared memory', () => {
  it('is large, costs what is touched, and is the same wherever it is mapped', () => {
    const fd = createSharedMemory('test');
    const words = mapSharedMemory(fd);
    const again = mapSharedMemory(fd);
    assert.equal(words.length, SHARED_MEMORY_BYTES / 4);
    assert.equal(fstatSync(fd).blocks, 0);
    assert.equal(words[words.length - 1], 0);
    words[words.length - 1] = 0xdeadbeef;
    Atomics.add(words, 2 ** 31 + 7, 5);
    assert.equal(again[again.length - 1], 0xdeadbeef);
    assert.equal(again[2 ** 31 + 7], 5);
    assert.ok(fstatSync(fd).blocks * 512 <= 16 * 4096);
    closeSync(fd);
  });

  it('is as large as another release made it', () => {
    const fd = createSharedMemory('test', 12 * 2 ** 30);
    assert.equal(mapSharedMemory(fd).length, (12 * 2 ** 30) / 4);
    closeSync(fd);
  });
});

describe('A line of the mount table', () => {
  it('is understood with any number of optional fields, and with blanks in names', () => {
    assert.deepEqual(parseMount('36 35 98:0 /r /mnt rw,noatime shared:1 master:2 - ext3 /dev/root rw'), {
      device: '98:0',
      directory: '/mnt',
      root: '/r',
      options: ['rw', 'noatime'],
      type: 'ext3',
      source: '/dev/root',
      superOptions: ['rw'],
    });
    const plain = parseMount('40 1 0:45 / /run/a\\040b\\011c rw - fuse.flashcopy pool\\0401 rw,user_id=0');
    assert.deepEqual(plain, {
      device: '0:45',
      directory: '/run/a b\tc',
      root: '/',
      options: ['rw'],
      type: 'fuse.flashcopy',
      source: 'pool 1',
      superOptions: ['rw', 'user_id=0'],
    });
  });
});
