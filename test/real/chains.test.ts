/**
 * Many snapshots of one volume: each shows its own moment, and a write costs no more for it.
 */
import assert from 'node:assert/strict';
import { until } from '../support/commands.ts';
import { MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';

const SNAPSHOTS = 256;
/** Sectors that are written again and again, before those that are written once. */
const AGAIN = 16;

/** The sectors as they were at a moment: number -> tag. */
function contentAt(moment: number): string[] {
  const tags = new Array<string>(AGAIN + SNAPSHOTS).fill('');
  for (let at = 0; at <= moment; at++) {
    tags[at % AGAIN] = `moment ${at}`;
    tags[AGAIN + at] = `moment ${at}`;
  }
  return tags;
}

describe('A chain of 256 snapshots', () => {
  const suite = engineSuite({ sound: true });
  let device: string;

  const showsItsMoment = (place: string, moment: number): Promise<void> =>
    withDirectFile(place, 'read', async (file) => {
      const bytes = await file.read(0, (AGAIN + SNAPSHOTS) * SECTOR);
      const tags = Array.from({ length: AGAIN + SNAPSHOTS }, (_, at) =>
        readTag(bytes.subarray(at * SECTOR, (at + 1) * SECTOR)),
      );
      assert.deepEqual(tags, contentAt(moment), `snapshot ${moment}`);
    });

  const showTheirMoments = async (moments: Iterable<number>): Promise<void> => {
    for (const moment of moments) {
      const name = `moment-${moment}`;
      // Some as devices.
      if (moment % 32 === 1) await suite.whileAttached(name, (device) => showsItsMoment(device, moment));
      else await showsItsMoment(await suite.servedFile(name), moment);
    }
  };

  it('shows the content of its moment in each', async () => {
    device = await suite.volume('data', 64 * MiB);
    await withDirectFile(device, 'write', async (file) => {
      for (let moment = 0; moment < SNAPSHOTS; moment++) {
        await file.write((moment % AGAIN) * SECTOR, tagSector(`moment ${moment}`));
        await file.write((AGAIN + moment) * SECTOR, tagSector(`moment ${moment}`));
        await suite.snapshot('data', `moment-${moment}`);
      }
    });
    assert.equal((await suite.engine.pool()).snapshots, SNAPSHOTS);
    await showTheirMoments(new Array(SNAPSHOTS).keys());
  });

  it('costs a write one copy, as one snapshot does', async () => {
    const other = await suite.volume('other', 64 * MiB);
    const { grainBytes } = await suite.engine.getVolume('other');
    const grains = 500;
    const copiesOf = async (writtenTo: string): Promise<number> => {
      const before = (await suite.engine.counters()).grainsCopiedOnWrite;
      // Far from what the snapshots were told apart by, and twice: only the first write of a grain copies.
      for (const turn of ['once', 'twice']) {
        await withDirectFile(writtenTo, 'write', async (file) => {
          for (let at = 0; at < grains; at++) await file.write(32 * MiB + at * grainBytes, tagSector(turn));
        });
      }
      return (await suite.engine.counters()).grainsCopiedOnWrite - before;
    };
    await withDirectFile(other, 'write', (file) => file.write(0, tagSector('other')));
    await suite.snapshot('other', 'only');
    const withOne = await copiesOf(other);
    assert.equal(withOne, grains);
    assert.equal(await copiesOf(device), withOne);
  });

  it('keeps the others as they are when every second is deleted', async () => {
    const moments = Array.from({ length: SNAPSHOTS }, (_, at) => at);
    for (const moment of moments.filter((at) => at % 2 === 0)) {
      await suite.engine.deleteSnapshot(`moment-${moment}`);
    }
    const kept = moments.filter((at) => at % 2 === 1);
    // While those deleted are still being cleaned, and after.
    await showTheirMoments(kept.filter((at) => at % 16 === 1));
    await until('they are reclaimed', async () => (await suite.engine.pool()).retired === 0);
    await showTheirMoments(kept);
  });
});
