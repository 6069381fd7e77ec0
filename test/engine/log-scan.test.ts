/** Where in the undo log's ring records are looked for, on rings that were written here block by block. */
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { EIO, IoError } from '../../src/base/errors.ts';
import { COPY, encodeHeader, poolKey, type RecordEntry, SLOT } from '../../src/core/log-record.ts';
import { type LogScan, type LogSource, scanLog } from '../../src/core/log-scan.ts';
import { type IoOp, type Plan, PoolFile } from '../../src/core/ops.ts';
import type { LogMark } from '../../src/core/rows.ts';

const SLOTS = 4096;
const POOL = poolKey('01234567-89ab-4cde-8f01-23456789abcd');

class RingOfRecords {
  readonly bytes = Buffer.alloc(SLOTS * SLOT);
  /** Slots that the disk cannot read. */
  readonly unreadable = new Set<number>();
  reads = 0;

  /** A record of one entry; the slot behind it. */
  write(slot: number, seq: number, payloadSlots: number, pool = POOL): number {
    const payload = Buffer.alloc(payloadSlots * SLOT, `grains of ${seq} `);
    const entry: RecordEntry = {
      kind: COPY,
      bitmap: 2,
      volume: 1,
      first: 0,
      count: payloadSlots,
      crc: crc32(payload),
      slot: 0,
    };
    const header = new Uint8Array(SLOT);
    encodeHeader({ seq, headerBlocks: 1, payloadSlots, entries: [entry] }, pool, header);
    this.bytes.set(header, slot * SLOT);
    this.bytes.set(payload, (slot + 1) * SLOT);
    return slot + 1 + payloadSlots;
  }

  zero(slot: number, slots: number): void {
    this.bytes.fill(0, slot * SLOT, (slot + slots) * SLOT);
  }

  scan(from: { slot: number; seq: number; clean?: boolean; mark?: LogMark }, trusted = false): LogScan {
    const memory = {
      take: (bytes: number) => ({ bytes: new Uint8Array(bytes), address: 0 }),
      give: () => undefined,
    };
    const log: LogSource = { file: new PoolFile('log'), slots: SLOTS, memory, pool: POOL, named: true };
    const { slot: tailSlot, seq: tailSeq, clean = false, mark } = from;
    return this.#run(scanLog(log, { tailSlot, tailSeq, clean, mark }, trusted));
  }

  #run<T>(plan: Plan<T>): T {
    let step = plan.next(0);
    while (!step.done) {
      const ios = Array.isArray(step.value) ? step.value : [step.value as IoOp];
      const failed = ios.map((io) => this.#read(io)).find((error) => error !== null);
      step = failed ? plan.throw(failed) : plan.next(0);
    }
    return step.value;
  }

  #read(io: IoOp): IoError | null {
    this.reads += io.length;
    const { offset, length } = io;
    for (let at = offset; at < offset + length; at += SLOT)
      if (this.unreadable.has(at / SLOT)) return new IoError(EIO, 'read', 'log', { offset, length });
    io.block!.bytes.set(this.bytes.subarray(offset, offset + length), io.start);
    return null;
  }
}

const found = (scan: LogScan) => scan.records.map(({ header, slot }) => [header.seq, slot]);

describe('The scan of an undo log', () => {
  it("finds a record that did not fit before the ring's end, also where a torn one of its number has left a header", () => {
    for (const trusted of [false, true]) {
      const ring = new RingOfRecords();
      const at = ring.write(SLOTS - 100, 7, 9);
      ring.write(at, 8, 30);
      ring.zero(at + 3, 5); // torn by a power loss; the next engine wrote a longer one
      const next = ring.write(0, 8, 300);
      ring.write(next, 9, 1);
      const scan = ring.scan({ slot: SLOTS - 100, seq: 7 }, trusted);
      assert.deepEqual(found(scan), [
        [7, SLOTS - 100],
        [8, 0],
        [9, next],
      ]);
      assert.deepEqual([scan.missing, scan.seq], [[], 10]);
    }
  });

  it('goes through all of the ring for a later record, wherever it is, and names what is missing', () => {
    for (const distance of [0, 600, 2000, SLOTS - 40]) {
      const ring = new RingOfRecords();
      const end = ring.write(10, 1, 2);
      ring.write((end + distance) % SLOTS, 5, 1);
      const scan = ring.scan({ slot: 10, seq: 1 });
      assert.deepEqual(scan.missing, [{ seq: 2, slot: end }], `${distance}`);
      assert.equal(scan.seq, 6);
    }
  });

  it('takes older rounds and records of other pools for none', () => {
    const ring = new RingOfRecords();
    const end = ring.write(2000, 50, 2);
    for (let slot = end + 3, seq = 20; slot < SLOTS - 4; slot += 4, seq++)
      ring.write(slot, Math.min(seq, 49), 1);
    ring.write(100, 60, 1, poolKey('11111111-89ab-4cde-8f01-23456789abcd'));
    const scan = ring.scan({ slot: 2000, seq: 50 });
    assert.deepEqual([found(scan), scan.missing, scan.foreign], [[[50, 2000]], [], null]);
  });

  it('tells a closed catalog that is older: what it knows is gone, and a record is there that came after', () => {
    const from = { slot: 2000, seq: 50, clean: true, mark: { slot: 1900, seq: 49 } };
    const ring = new RingOfRecords();
    ring.write(1900, 49, 2);
    ring.write(100, 48, 1);
    assert.deepEqual(ring.scan(from).newer, null);
    ring.write(1900, 30, 2);
    assert.deepEqual(ring.scan(from).newer, null, 'the log was lost, and an older one is there');
    ring.write(1700, 70, 250);
    assert.deepEqual(ring.scan(from).newer, { slot: 1700, seq: 70, pool: POOL });
    ring.write(1900, 49, 2);
    ring.zero(1700, 1);
    assert.deepEqual(ring.scan(from).newer, null);
    ring.write(2100, 71, 1);
    assert.deepEqual(
      ring.scan(from).newer,
      { slot: 2100, seq: 71, pool: POOL },
      'what was cut off last is there',
    );
  });

  it('reads on where places of the ring cannot be read: a later record counts, and nothing else does', () => {
    const ring = new RingOfRecords();
    const end = ring.write(10, 1, 2);
    for (const slot of [end + 1, end + 400, end + 1000, end + 1001, SLOTS - 1]) ring.unreadable.add(slot);
    assert.deepEqual(ring.scan({ slot: 10, seq: 1 }).missing, []);
    ring.write(end + 1003, 3, 1);
    assert.deepEqual(ring.scan({ slot: 10, seq: 1 }).missing, [{ seq: 2, slot: end }]);
  });

  it('reads little of a log that was closed, or whose process alone died', () => {
    for (const [clean, trusted] of [
      [true, false],
      [false, true],
    ] as const) {
      // biome-ignore format: one line
      const ring = new RingOfRecords();
      ring.scan({ slot: 10, seq: 1, clean }, trusted);
      assert.ok(ring.reads < (SLOTS * SLOT) / 4, `${ring.reads} bytes`);
    }
  });
});
