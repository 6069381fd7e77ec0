/**
 * A volume whose snapshots were deleted under uncopied clones has as many children as there are such clones. Its writes give all of
 * them what they lack, in turns where that is more than the undo log has room for at once.
 */
import assert from 'node:assert/strict';
import { EIO } from '../../src/base/errors.ts';
import type { CowFailure } from '../../src/base/model.ts';
import type { Plan } from '../../src/core/ops.ts';
import { BLOCK } from '../sim/sim-file.ts';
import { fileOf, SmallPool } from '../sim/small-pool.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** `v` that shows 1, and children `c0`, `c1` ... of it, on the smallest undo log. */
class Family {
  readonly pool: SmallPool;
  readonly bytes: number;
  readonly children: string[];

  constructor(seed: number, grain: number, children: number, bytes = grain, cowFailure?: CowFailure) {
    this.pool = new SmallPool(seed);
    this.bytes = bytes;
    this.children = Array.from({ length: children }, (_, i) => `c${i}`);
    const { core } = this.pool.world;
    const request = { name: 'v', sizeBytes: bytes, grainBytes: grain, ...(cowFailure && { cowFailure }) };
    this.run(core.createVolume(request));
    for (let at = 0; at < bytes; at += MiB) this.write('v', at, Math.min(MiB, bytes - at), 1);
    this.pool.flush('v');
    for (const name of this.children) this.adopt(name);
    assert.equal(this.pool.found('v').children.length, children);
  }

  /** Another clone of a snapshot that is deleted. */
  adopt(name: string): void {
    const { core, runner } = this.pool.world;
    this.pool.snapshot(`${name}-s`, 'v');
    this.run(core.cloneVolume(`${name}-s`, { name, sizeBytes: 0, copyRate: 0 }));
    this.run(core.deleteSnapshot(`${name}-s`));
    runner.runUntil(() => this.pool.found(name).parent === this.pool.found('v'));
  }

  private run(plan: Plan<unknown>): void {
    this.pool.world.run('', plan);
  }

  writing(name: string, at: number, length: number, byte: number): Plan<void> {
    const block = { bytes: new Uint8Array(length).fill(byte), address: 0 };
    return this.pool.world.core.write(this.pool.found(name), at, length, block, 0);
  }

  write(name: string, at: number, length: number, byte: number): void {
    this.run(this.writing(name, at, length, byte));
  }

  discard(at: number, length: number): void {
    this.run(this.pool.world.core.discard(this.pool.found('v'), at, length));
  }

  /** Asserts that all bytes are these. */
  shows(name: string, byte: number, at = 0, end = this.bytes): void {
    for (let from = at; from < end; from += MiB) {
      const bytes = Buffer.alloc(Math.min(MiB, end - from));
      const reading = this.pool.world.core.read(
        this.pool.found(name),
        from,
        bytes.length,
        { bytes, address: 0 },
        0,
      );
      this.run(reading);
      assert.ok(bytes.equals(Buffer.alloc(bytes.length, byte)), `${name} shows not only ${byte}`);
    }
  }

  childrenShow(byte: number): void {
    for (const name of this.children) this.shows(name, byte);
  }
}

/** Grain, children: from as many on as one record has room for, to as many as need several turns of one write. */
const SIZES: [number, number][] = [
  [MiB, 3],
  [MiB, 8],
  [512 * KiB, 5],
  [256 * KiB, 9],
  [128 * KiB, 17],
  [64 * KiB, 33],
  [4 * KiB, 14],
];

describe('A volume with many children', function () {
  this.timeout(60_000);

  for (const [grain, children] of SIZES) {
    const title = `${children} with grains of ${grain / KiB} KiB`;

    it(`takes writes, and what the children need of it is durable: ${title}`, () => {
      const family = new Family(1, grain, children, 2 * MiB);
      const { pool } = family;
      family.write('v', 0, BLOCK, 2);
      pool.cutPower();
      family.childrenShow(1);
      family.write('v', MiB / 2 + BLOCK, MiB, 3);
      family.shows('v', 3, MiB / 2 + BLOCK, (3 * MiB) / 2 + BLOCK);
      pool.cutPower();
      family.childrenShow(1);
    });

    it(`takes discards: ${title}`, () => {
      const family = new Family(2, grain, children, 2 * MiB);
      family.discard(0, family.bytes);
      family.pool.cutPower();
      family.childrenShow(1);
      family.discard(0, family.bytes);
      family.shows('v', 0);
      family.childrenShow(1);
    });
  }

  it('takes them though each child has something that the power could take', () => {
    for (const [grain, children] of SIZES) {
      const family = new Family(3, grain, children, 2 * MiB);
      const odd = (name: string) => family.children.indexOf(name) % 2 === 1;
      // It was written in the volume first: the undo log has something older of it.
      family.write('v', 0, BLOCK, 2);
      for (const name of family.children) if (odd(name)) family.write(name, 0, grain, 5);
      for (const name of family.children) if (odd(name)) family.write(name, MiB, MiB, 6);
      family.write('v', MiB, MiB, 4);
      family.write('v', 0, MiB, 4);
      for (const name of family.children) family.pool.flush(name);
      family.pool.cutPower();
      for (const name of family.children) {
        family.shows(name, odd(name) ? 5 : 1, 0, grain);
        family.shows(name, odd(name) ? 6 : 1, MiB);
      }
    }
  });

  it('flushes those together of which the power could take something', () => {
    const family = new Family(7, 4 * KiB, 90);
    const { disk, runner, core } = family.pool.world;
    for (const name of family.children) family.write(name, 0, BLOCK, 5);
    const paths = family.children.map((name) => family.pool.found(name).file.path);
    for (const path of paths) disk.slowFlushes.add(path);
    const { log } = core['state'];
    const { commits } = log;
    runner.call('write', family.writing('v', 0, BLOCK, 2), () => {});
    runner.runUntil(() => paths.filter((path) => disk.isUnderWay('flush', path)).length > 45);
    runner.runUntilAnswered();
    assert.ok(log.commits - commits < 20);
    family.pool.cutPower();
    family.childrenShow(5);
  });

  it('and little room in the undo log takes many writes at once', () => {
    for (let seed = 1; seed <= 3; seed++) {
      const family = new Family(seed, 4 * KiB, 64, 6 * 64 * KiB);
      const { runner } = family.pool.world;
      const length = 64 * KiB;
      const write = (i: number, byte: number): void =>
        runner.call('write', family.writing('v', i * length, length, byte), (error) =>
          assert.equal(error, null),
        );
      for (const byte of [2, 3]) for (let i = 0; i < 6; i++) write(i, byte);
      runner.runUntilAnswered();
      family.pool.cutPower();
      family.childrenShow(1);
    }
  });

  it('gives all of them what they need before it is overwritten, whenever the power goes', () => {
    let landed = 0;
    const last = () => {
      const family = new Family(4, 512 * KiB, 6);
      const { runner, disk } = family.pool.world;
      runner.runFor(1000);
      const since = disk.now;
      family.write('v', BLOCK, BLOCK, 2);
      return disk.now - since;
    };
    const us = last();
    for (let part = 0; part <= 24; part++) {
      const family = new Family(4, 512 * KiB, 6);
      const { pool } = family;
      const { runner, disk } = pool.world;
      runner.runFor(1000);
      const until = disk.now + (us * part) / 22;
      let isAnswered = false;
      runner.call('write', family.writing('v', BLOCK, BLOCK, 2), () => {
        isAnswered = true;
        pool.world.runner.call('flush', pool.world.core.flush(pool.found('v')), () => {});
      });
      while (disk.now < until && runner.advance());
      if (isAnswered) landed++;
      pool.cutPower();
      family.childrenShow(1);
    }
    assert.ok(landed > 0 && landed < 20);
  });

  it('may be cut between two turns: the new snapshot gets what it lacks too', () => {
    let between = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const family = new Family(seed, 512 * KiB, 9);
      const { pool } = family;
      const { core, runner } = pool.world;
      let isWritten = false;
      let isBetween = false;
      runner.call('write', family.writing('v', 0, BLOCK, 2), (error) => {
        assert.equal(error, null);
        isWritten = true;
      });
      runner.runUntil(() => pool.found('c0').holdsDurably(0, 1));
      runner.call('cut', core.createSnapshots([{ name: 's', source: 'v', copyRate: 0 }]), () => {
        isBetween = !isWritten;
      });
      runner.runUntilAnswered();
      pool.cutPower();
      family.childrenShow(1);
      if (isBetween) between++;
      family.shows('s', isBetween || pool.read('s', 0) === 1 ? 1 : 2, 0, BLOCK);
      family.shows('s', 1, BLOCK);
    }
    assert.ok(between > 0);
  });

  it('breaks all of them at a grain that cannot be read, also those that others read through, and takes the write', () => {
    const family = new Family(5, MiB, 7);
    const { pool } = family;
    for (const name of family.children) pool.snapshot(`${name}-t`, name);
    const path = fileOf(pool.found('v'));
    pool.world.disk.faults = [{ kinds: ['read'], path, errno: EIO, times: Number.POSITIVE_INFINITY }];
    family.write('v', 0, BLOCK, 2);
    pool.world.disk.faults = [];
    for (const name of family.children)
      for (const broken of [name, `${name}-t`]) assert.match(pool.found(broken).offline, /grain 0 of v/);
    family.shows('v', 2, 0, BLOCK);
  });

  it('breaks none of them where its writes are to fail instead', () => {
    const family = new Family(6, MiB, 7, MiB, 'failWrite');
    const { pool } = family;
    const path = fileOf(pool.found('v'));
    pool.world.disk.faults = [{ kinds: ['read'], path, errno: EIO, times: Number.POSITIVE_INFINITY }];
    assert.throws(() => family.write('v', 0, BLOCK, 2), /EIO/);
    // The last one's file takes nothing.
    const last = fileOf(pool.found('c6'));
    pool.world.disk.faults = [{ kinds: ['write'], path: last, errno: EIO, times: 1 }];
    assert.throws(() => family.write('v', 0, BLOCK, 2), /EIO/);
    family.shows('v', 1);
    family.childrenShow(1);
    family.write('v', 0, BLOCK, 2);
    pool.cutPower();
    family.childrenShow(1);
  });
});
