/**
 * A group cut is one instant for all of its volumes: nobody sees a later write without the earlier ones.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { DirectFile, MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';

const MEMBERS = ['a', 'b', 'c', 'd'];
const VOLUME_BYTES = 128 * MiB;
const CUTS = 12;

describe('A group cut over four volumes', () => {
  const suite = engineSuite({ sound: true });

  it('never shows a number without all numbers before it', async () => {
    const files: DirectFile[] = [];
    for (const member of MEMBERS) {
      files.push(await DirectFile.open(await suite.volume(member, VOLUME_BYTES), 'durable'));
    }
    let stopped = false;
    let durable = 0;
    // Each number is durable before the next one is written, on the next volume.
    const write = async (): Promise<void> => {
      while (!stopped) {
        const at = Math.floor(durable / MEMBERS.length);
        assert.ok(at < VOLUME_BYTES / SECTOR, 'no number was overwritten');
        await files[durable % MEMBERS.length]!.write(at * SECTOR, tagSector(`${durable + 1}`));
        durable += 1;
      }
    };
    const writer = write();

    const bounds: { atLeast: number; atMost: number }[] = [];
    for (let cut = 0; cut < CUTS; cut++) {
      await sleep(100);
      const atLeast = durable;
      await suite.engine.createSnapshots(MEMBERS.map((source) => ({ source, name: `${source}-${cut}` })));
      bounds.push({ atLeast, atMost: durable + 1 });
    }
    stopped = true;
    await writer;
    for (const file of files) await file.close();

    for (const [cut, { atLeast, atMost }] of bounds.entries()) {
      const numbers: number[] = [];
      for (const member of MEMBERS) numbers.push(...(await numbersOf(`${member}-${cut}`, atMost)));
      numbers.sort((a, b) => a - b);
      assert.deepEqual(
        numbers,
        Array.from(numbers, (_, at) => at + 1),
        `cut ${cut} has gaps`,
      );
      assert.ok(numbers.length >= atLeast && numbers.length <= atMost, `cut ${cut}: ${numbers.length}`);
    }
    assert.ok(durable > CUTS * MEMBERS.length, `there were ${durable} writes`);
  });

  const numbersOf = (snapshot: string, atMost: number): Promise<number[]> =>
    suite.whileAttached(snapshot, (device) =>
      withDirectFile(device, 'read', async (file) => {
        const sectors = Math.ceil(atMost / MEMBERS.length) + 1;
        const bytes = await file.read(0, sectors * SECTOR);
        return Array.from({ length: sectors }, (_, at) =>
          readTag(bytes.subarray(at * SECTOR, (at + 1) * SECTOR)),
        )
          .filter((tag) => tag !== '')
          .map(Number);
      }),
    );
});
