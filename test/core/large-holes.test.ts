/** A large hole of its source is given to a copy whose file may have data there: an earlier content, or what a dead engine left. */
import assert from 'node:assert/strict';
import type { Driver } from '../../src/core/ops.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const MIB = 2 ** 20;
const PUNCH_MAX = 64 * MIB;

/** `v` has grains of 1 MiB, and so many of them some data. `c` is a copy of it. */
function pool(sizeMib: number, filled: number): SmallPool {
  const made = new SmallPool(3);
  const { core, disk } = made.world;
  disk.vagueExtents = false;
  made.world.run('create', core.createVolume({ name: 'v', sizeBytes: sizeMib * MIB, grainBytes: MIB }));
  const block = { bytes: new Uint8Array(BLOCK).fill(1), address: 0 };
  for (let at = 0; at < filled; at++)
    made.world.run('write', core.write(made.found('v'), at * MIB, BLOCK, block, 0));
  made.clone('c', 'v');
  return made;
}

/** Bytes of each that is punched out of the file of `c` from now on. */
function punchesOf(made: SmallPool): number[] {
  const lengths: number[] = [];
  const { path } = made.found('c').file;
  const disk: Driver = made.world.disk;
  const submit = disk.submit.bind(disk);
  disk.submit = (io) => {
    if (io.kind === 'punch' && io.file!.path === path) lengths.push(io.length);
    submit(io);
  };
  return lengths;
}

describe('A large hole that a copy is given', () => {
  it('is made in pieces where its file has data, and a write waits for one of them at the most', () => {
    const mib = 160;
    const made = pool(mib, mib);
    const { core } = made.world;
    made.copyAll('c');
    made.world.run('discard', core.discard(made.found('v'), 0, mib * MIB));
    const punches = punchesOf(made);
    made.world.run('sync', core.syncMapping('c'));
    made.awaitCopied('c');
    assert.ok(punches.length > 0 && Math.max(...punches) <= PUNCH_MAX, `${punches}`);
    for (let at = 0; at < mib; at++) assert.equal(made.read('c', (at * MIB) / BLOCK), 0);
  });

  it('takes no I/O where its file has none', () => {
    const made = pool(4096, 1);
    made.world.processDeath();
    made.world.open();
    assert.equal(made.found('c').sparse, false);
    const punches = punchesOf(made);
    const looks = made.world.disk.submitted.get('extents') ?? 0;
    made.copyAll('c');
    assert.deepEqual(punches, []);
    const more = made.world.disk.submitted.get('extents')! - looks;
    assert.ok(more < 16, `${more} looks for holes`);
    assert.equal(made.read('c', 0), 1);
  });
});
