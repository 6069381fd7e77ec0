/**
 * An engine on a disk that fails, is slow, or moves less than it was asked to: what the host sees, and what is said. The
 * faults come from a layer under the engine's files (fault-layer.ts). Which I/O may fail, one after the other, is tried
 * on a simulated disk: test/core/faults.test.ts.
 */
import assert from 'node:assert/strict';
import { run, until } from '../support/commands.ts';
import { checksum, MiB, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { EIO, Faults, faultLayer } from '../support/faults.ts';

const BYTES = 16 * MiB;

describe('An engine on a disk with faults', () => {
  const suite = engineSuite({ started: false, sound: true });
  let faults: Faults;

  before(async () => {
    faults = new Faults(suite.directory);
    await suite.start(undefined, [], 'standalone', {
      nodeOptions: faultLayer,
      environment: faults.environment,
    });
  });
  afterEach(() => faults.clear());

  const stateOf = async (name: string) => (await suite.engine.getVolume(name)).state;
  const errorOf = async (name: string) => (await suite.engine.getVolume(name)).error;
  const fileOf = async (name: string) => `volumes/${(await suite.engine.getVolume(name)).id}\\.data$`;
  const fill = (device: string, text: string) =>
    withDirectFile(device, 'write', (file) =>
      file.write(0, Buffer.concat(Array(BYTES / SECTOR).fill(tagSector(text)))),
    );
  const write = (
    device: string,
    sector: number,
    text: string,
    sectors = 1,
    mode: 'write' | 'durable' = 'write',
  ) =>
    withDirectFile(device, mode, (file) =>
      file.write(sector * SECTOR, Buffer.concat(Array(sectors).fill(tagSector(text)))),
    );
  const read = (name: string) => suite.whileAttached(name, (device) => checksum(device, BYTES));

  /** A full volume with a snapshot: its device, and what the snapshot has to show. */
  async function withSnapshot(name: string): Promise<{ device: string; sum: string }> {
    const device = await suite.volume(name, BYTES);
    await fill(device, `of ${name}`);
    const sum = await checksum(device, BYTES);
    await suite.snapshot(name, `${name}-before`);
    return { device, sum };
  }

  it('breaks the one snapshot that needs a grain which cannot be read; it names grain, file and error', async () => {
    const one = await withSnapshot('one');
    const other = await withSnapshot('other');
    const from = 9 * SECTOR;
    await faults.set({ op: 'read', path: await fileOf('one'), from, to: from + SECTOR, errno: EIO });
    await write(one.device, 8, 'new', 3);
    await write(other.device, 8, 'new', 3);
    assert.ok(faults.injected().length > 0);
    const reason = new RegExp(
      `grain 9 of one could not be copied: read of volumes/\\d+\\.data at byte ${from} \\(${SECTOR} bytes\\) failed: EIO`,
    );
    assert.equal(await stateOf('one-before'), 'suspended');
    assert.match(await errorOf('one-before'), reason);
    assert.match((await suite.engine.getMapping('one-before')).error, reason);
    assert.match(suite.log, reason);
    assert.deepEqual([await stateOf('one'), await stateOf('other-before')], ['online', 'online']);
    assert.equal(await read('other-before'), other.sum);
  });

  it('takes a volume offline whose flush fails, for good; it is not flushed again, its snapshot is served', async () => {
    const { device, sum } = await withSnapshot('lost');
    await write(device, 0, 'durable', 1, 'durable');
    const path = await fileOf('lost');
    await faults.set({ op: 'flush', path, errno: EIO, times: 1 });
    await assert.rejects(write(device, 1, 'perhaps', 1, 'durable'), { code: 'EIO' });
    assert.match(
      await errorOf('lost'),
      /a flush of its data failed: flush of volumes\/\d+\.data failed: EIO/,
    );
    await faults.set({ op: 'flush', path, delayMs: 0 });
    await assert.rejects(write(device, 1, 'perhaps'), { code: 'EIO' });
    await suite.standalone.killChild();
    await until('there is an engine again', () => stateOf('lost').catch(() => undefined));
    assert.equal(await stateOf('lost'), 'suspended');
    assert.equal(await read('lost-before'), sum);
    assert.deepEqual(faults.injected(), [], 'no flush since');
  });

  it('waits for a disk that takes seconds, and mixes nothing up', async () => {
    const { device, sum } = await withSnapshot('slow');
    const calm = await suite.volume('calm', BYTES);
    const delayMs = 2000;
    await faults.set(
      { op: 'read', path: await fileOf('slow'), delayMs, times: 2 },
      { op: 'flush', path: 'log$', delayMs, times: 1 },
      { op: 'write', path: await fileOf('slow'), delayMs, times: 2 },
    );
    const began = performance.now();
    const slow = [0, 1, 2, 3].map((i) => write(device, 100 + i * 50, `slow ${i}`, 2));
    await write(calm, 0, 'meanwhile');
    const calmMs = performance.now() - began;
    await Promise.all(slow);
    assert.ok(performance.now() - began >= delayMs, 'they had to wait');
    assert.ok(calmMs < performance.now() - began, 'another volume did not');
    assert.equal(await read('slow-before'), sum);
    await withDirectFile(device, 'read', async (file) => {
      for (const i of [0, 1, 2, 3])
        assert.deepEqual(await file.read((101 + i * 50) * SECTOR, SECTOR), tagSector(`slow ${i}`));
    });
  });

  it('goes on with what a short read or write has left', async () => {
    const { device, sum } = await withSnapshot('short');
    await faults.set(
      { op: 'read', path: 'pool/', short: SECTOR, times: 40 },
      { op: 'write', path: 'pool/(volumes|log)', short: SECTOR, times: 40 },
    );
    await write(device, 0, 'new', 256);
    assert.ok(faults.injected().length >= 20, `${faults.injected().length}`);
    await faults.clear();
    assert.equal(await read('short-before'), sum);
    await withDirectFile(device, 'read', async (file) => {
      for (const at of [0, 1, 128, 255])
        assert.deepEqual(await file.read(at * SECTOR, SECTOR), tagSector('new'));
      assert.deepEqual(await file.read(256 * SECTOR, SECTOR), tagSector('of short'));
    });
  });

  it('fails writes that need the undo log while its disk fails, and no others; the next engine goes on', async () => {
    const { device, sum } = await withSnapshot('logged');
    const plain = await suite.volume('plain', BYTES);
    await faults.set({ op: 'flush', path: 'log$', errno: EIO, times: 1 });
    await assert.rejects(write(device, 3, 'lost'), { code: 'EIO' });
    await faults.clear();
    await assert.rejects(write(device, 3, 'lost'), { code: 'EIO' });
    await write(plain, 3, 'fine', 1, 'durable');
    const { warnings } = await suite.engine.pool();
    assert.ok(
      warnings.some((text) => /undo log takes no more records.*EIO/.test(text)),
      warnings.join('\n'),
    );
    await suite.standalone.killChild();
    await until('there is an engine again', () => stateOf('logged').catch(() => undefined));
    await write(device, 3, 'new', 1, 'durable');
    assert.equal(await read('logged-before'), sum);
  });

  it('ends when the catalog cannot be written, says why, and the next one does what was asked', async () => {
    const { device, sum } = await withSnapshot('rows');
    await suite.engine.createVolume({ name: 'target', sizeBytes: BYTES });
    const pid = suite.standalone.childPid()!;
    // No file of the process can be written behind this byte: SQLite gets an error that is not "disk full".
    await run('prlimit', [`--pid=${pid}`, '--fsize=4096']);
    const mapping = await suite.engine.createMapping({ name: 'late', source: 'rows', target: 'target' });
    assert.equal(mapping.state, 'idle');
    assert.notEqual(suite.standalone.childPid(), pid);
    assert.match(
      suite.log,
      /engine died and is started again.*a commit failed, and what the catalog has is not known/,
    );
    await write(device, 5, 'new', 1, 'durable');
    assert.equal(await read('rows-before'), sum);
  });
});
