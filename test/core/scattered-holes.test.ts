/** Very many single holes are given to a copy. To make one takes no I/O, and looking for one ends at once, as in the engine. */
import assert from 'node:assert/strict';
import { LOG_BYTES_MIN } from '../../src/core/undo-log.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const GRAINS = 8192;
/** Looks for holes, of which a piece needs two. */
const IN_ONE_GO_MAX = 1500;

/** `v` is all holes. */
function pool(): SmallPool {
  const made = new SmallPool(1, LOG_BYTES_MIN, true);
  const { core, disk } = made.world;
  disk.looksAtOnce = true;
  disk.vagueExtents = false;
  const request = { name: 'v', sizeBytes: GRAINS * BLOCK, grainBytes: BLOCK };
  made.world.run('create', core.createVolume(request));
  return made;
}

/** From now on, between two I/Os that end. */
function looksInOneGo({ world: { disk } }: SmallPool): () => number {
  const looks = () => disk.submitted.get('extents') ?? 0;
  let most = 0;
  let before = looks();
  const step = disk.step.bind(disk);
  disk.step = () => {
    most = Math.max(most, looks() - before);
    before = looks();
    return step();
  };
  return () => most;
}

const ODD = Array.from({ length: GRAINS / 2 }, (_, i) => 2 * i + 1);

describe('All else has its turn while a copy is given very many holes', () => {
  it('in the background, at the highest rate', () => {
    const made = pool();
    made.clone('c', 'v');
    const { core } = made.world;
    for (const grain of ODD) made.world.run('discard', core.discard(made.found('c'), grain * BLOCK, BLOCK));
    const inOneGo = looksInOneGo(made);
    made.copyAll('c');
    assert.ok(inOneGo() > 100 && inOneGo() < IN_ONE_GO_MAX, `${inOneGo()} in one go`);
  });

  it('because the one that it reads from is synced', () => {
    const made = pool();
    made.clone('c', 'v');
    made.copyAll('c');
    made.snapshot('s', 'c');
    for (const grain of ODD) made.write('v', grain, 1);
    const inOneGo = looksInOneGo(made);
    made.world.run('sync', made.world.core.syncMapping('c'));
    assert.ok(inOneGo() > 100 && inOneGo() < IN_ONE_GO_MAX, `${inOneGo()} in one go`);
  });
});
