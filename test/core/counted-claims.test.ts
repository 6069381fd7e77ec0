/**
 * Claims about how much is copied, counted: what a write costs does not depend on the number of snapshots, and a sync
 * copies the changed grains and no other.
 */
import assert from 'node:assert/strict';
import { Random } from '../sim/random.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { SimWorld } from '../sim/sim-world.ts';

const GRAINS = 64;

class Pool {
  readonly world = new SimWorld(new Random(4), 4096 * BLOCK);
  private tag = 0;

  constructor() {
    this.world.open();
  }

  volume(name: string): void {
    const { runner, core } = this.world;
    runner.run('create', core.createVolume({ name, sizeBytes: GRAINS * BLOCK, grainBytes: BLOCK }));
    this.write(name, ...Array.from({ length: GRAINS }, (_, grain) => grain));
  }

  snapshot(name: string, source: string): void {
    this.world.runner.run('snapshot', this.world.core.createSnapshots([{ name, source, copyRate: 0 }]));
  }

  write(name: string, ...grains: number[]): void {
    const { runner, core } = this.world;
    const volume = core.volumeByName(name)!;
    for (const grain of grains) {
      const block = { bytes: new Uint8Array(BLOCK).fill(++this.tag), address: 0 };
      runner.run('write', core.write(volume, grain * BLOCK, BLOCK, block, 0));
    }
  }

  get copiedOnWrite(): number {
    return this.world.runner.run('counters', this.world.core.counters()).grainsCopiedOnWrite;
  }

  get copiedBehind(): number {
    const counters = this.world.runner.run('counters', this.world.core.counters());
    return counters.grainsCopiedInBackground + counters.grainsCleaned;
  }

  awaitCopied(mapping: string): void {
    const { runner, core } = this.world;
    runner.runUntil(() => runner.run('look', core.getMapping(mapping)).state === 'copied');
  }
}

describe('What is copied', () => {
  const grainsCopied = (snapshots: number): number => {
    const pool = new Pool();
    pool.volume('v');
    for (let i = 0; i < snapshots; i++) {
      pool.snapshot(`s${i}`, 'v');
      pool.write('v', i % GRAINS);
    }
    const before = pool.copiedOnWrite;
    pool.snapshot('last', 'v');
    pool.write('v', 3, 9, 9, 21, 3, 60, 61, 62);
    return pool.copiedOnWrite - before;
  };

  it('for eight writes to six grains is six grains, after 1 snapshot and after 256', () => {
    assert.equal(grainsCopied(0), 6);
    assert.equal(grainsCopied(255), 6);
  });

  it('by a sync is the grains that source or target have changed, and no other', () => {
    const pool = new Pool();
    const { runner, core } = pool.world;
    pool.volume('v');
    pool.volume('copy');
    const request = { name: 'm', source: 'v', target: 'copy', copyRate: 150, incremental: true };
    runner.run('map', core.createMapping(request));
    runner.run('start', core.startMappings(['m']));
    pool.awaitCopied('m');
    assert.equal(pool.copiedBehind, GRAINS);

    pool.write('v', 1, 2, 3, 40);
    pool.write('copy', 3, 4, 50);
    assert.equal(runner.run('look', core.getMapping('m')).changedBytes, 6 * BLOCK);
    const before = pool.copiedBehind;
    runner.run('sync', core.syncMapping('m'));
    pool.awaitCopied('m');
    assert.equal(pool.copiedBehind - before, 6);
  });

  it('by a sync of a source that did not change is nothing', () => {
    const pool = new Pool();
    const { runner, core } = pool.world;
    pool.volume('v');
    runner.run('clone', core.cloneVolume('v', { name: 'c', sizeBytes: 0, copyRate: 150, incremental: true }));
    pool.awaitCopied('c');
    const before = pool.copiedBehind;
    runner.run('sync', core.syncMapping('c'));
    pool.awaitCopied('c');
    assert.equal(pool.copiedBehind - before, 0);
  });
});
