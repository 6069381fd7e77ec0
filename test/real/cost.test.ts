/**
 * What a cut and a sync cost depends on what was changed, not on how large the volume is.
 *
 * Counted things are asserted. Times are printed, for whoever reads: on a busy machine they say little.
 */
import assert from 'node:assert/strict';
import { GiB, TiB, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { untilCopied } from '../support/standalone.ts';

const ROUNDS = 7;
const CHANGED = 300;

const medianMs = (times: number[]): string =>
  `${times.sort((a, b) => a - b)[times.length >> 1]!.toFixed(1)} ms`;

describe('The cost of a cut and of a sync', () => {
  const suite = engineSuite();

  for (const [size, sizeBytes] of [['1 GiB', GiB], ['1 TiB', TiB]] as const) {
    it(`is that of what was changed, on a volume of ${size}`, async () => {
      const { engine } = suite;
      const name = size.replace(' ', '');
      const source = await suite.volume(name, sizeBytes);
      await suite.copy(`map-${name}`, name, `target-${name}`);
      const { grainBytes } = await engine.getVolume(name);
      // Spread over the whole volume, and some of them in one row.
      const stride = Math.floor(sizeBytes / CHANGED / grainBytes) * grainBytes;
      const cutMs: number[] = [];
      const syncMs: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        await withDirectFile(source, 'write', async (file) => {
          for (let at = 0; at < CHANGED; at++) await file.write(at * stride, tagSector(`${round}.${at}`));
        });
        let start = performance.now();
        await suite.snapshot(name, `${name}-${round}`);
        cutMs.push(performance.now() - start);

        const { changedBytes } = await engine.getMapping(`map-${name}`);
        assert.equal(changedBytes, CHANGED * grainBytes);
        const before = await engine.counters();
        start = performance.now();
        await engine.syncMapping(`map-${name}`);
        await untilCopied(engine, `map-${name}`);
        syncMs.push(performance.now() - start);
        const after = await engine.counters();
        assert.equal(after.grainsCopiedInBackground - before.grainsCopiedInBackground, CHANGED);
      }
      console.log(`      ${size}: cut ${medianMs(cutMs)}, sync of ${CHANGED} grains ${medianMs(syncMs)}`);
    });
  } // biome-ignore format: a table
});
