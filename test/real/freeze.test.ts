/**
 * A cut with frozen filesystems shows files that were never flushed and needs no recovery; and whatever dies on the way,
 * nothing stays frozen.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { Freezing } from '../../src/engine/freezing.ts';
import { attempt, run, until } from '../support/commands.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { type FilesystemKind, makeFilesystem, mount } from '../support/filesystems.ts';
import { childrenOf } from '../support/standalone.ts';

/** '' where it is gone meanwhile. */
function attemptRead(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

const freezer = path.resolve('src/engine/freezer.ts');

describe('A cut with frozen filesystems', function () {
  this.timeout(180_000);
  const suite = engineSuite();
  const place = (name: string) => path.join(suite.directory, name);

  async function mounted(name: string, kind: FilesystemKind): Promise<string> {
    const device = await suite.volume(name, (kind === 'xfs' ? 320 : 64) * MiB);
    await makeFilesystem(kind, device);
    await mount(suite.cleanup, device, place(name), kind);
    return device;
  }

  const numberOf = (device: string) => readFileSync(`/sys/block/${path.basename(device)}/dev`, 'utf8').trim();
  const needsRecovery = async (device: string) =>
    /needs_recovery/.test(await run('dumpe2fs', ['-h', device], { env: { LC_ALL: 'C' } }));
  /** Frozen already, it cannot be frozen a second time. */
  async function isFrozen(name: string): Promise<boolean> {
    const { device } = await suite.engine.getVolume(name);
    const { child, told } = await frozenBy([{ path: place(name), device: numberOf(device) }]);
    child.stdin!.destroy();
    if (child.exitCode === null) await once(child, 'exit');
    if (told.kind === 'failed') assert.match(told.error!, /EBUSY/);
    return told.kind === 'failed';
  }

  async function frozenBy(
    places: object[],
  ): Promise<{ child: ChildProcess; told: { kind: string; error?: string } }> {
    const args = [freezer, 'freeze', JSON.stringify(places), '60000'];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
    return { child, told: JSON.parse(line) };
  }

  it('of a group shows what was written just before, and needs no recovery', async () => {
    await mounted('a', 'ext4');
    await mounted('b', 'ext4');
    await mounted('x', 'xfs');
    for (const name of ['a', 'b', 'x']) await writeFile(path.join(place(name), 'file'), `written to ${name}`);
    const requests = ['a', 'b', 'x'].map((source) => ({ name: `s-${source}`, source }));
    await suite.engine.createSnapshots(requests, { freeze: true });
    for (const name of ['a', 'b', 'x']) {
      assert.equal(await isFrozen(name), false);
      await suite.whileAttached(`s-${name}`, async (device) => {
        if (name !== 'x') assert.equal(await needsRecovery(device), false);
        const at = place(`look-${name}`);
        await mkdir(at);
        const options = name === 'x' ? 'ro,norecovery,nouuid' : 'ro,noload';
        await run('mount', ['-o', options, device, at]);
        try {
          assert.equal(await readFile(path.join(at, 'file'), 'utf8'), `written to ${name}`);
        } finally {
          await run('umount', [at]);
        }
      });
    }
    assert.deepEqual(
      readdirSync(suite.standalone.runDirectory).filter((name) => name.startsWith('frozen')),
      [],
    );
  });

  it('is not what a cut without freezing is', async () => {
    await suite.snapshot('a', 'crash');
    await suite.whileAttached('crash', async (device) => assert.equal(await needsRecovery(device), true));
  });

  it('is made by start and sync, too, and of volumes that are not mounted as well', async () => {
    await suite.engine.createVolume({ name: 'copy', sizeBytes: 64 * MiB });
    await suite.engine.createMapping({
      name: 'map',
      source: 'a',
      target: 'copy',
      copyRate: 150,
      incremental: true,
    });
    await suite.engine.startMappings(['map'], 'start', { freeze: true });
    await suite.whileAttached('copy', async (device) => assert.equal(await needsRecovery(device), false));
    await suite.engine.syncMapping('map', 'sync', { freeze: true });
    await suite.whileAttached('copy', async (device) => assert.equal(await needsRecovery(device), false));
    await suite.engine.createVolume({ name: 'raw', sizeBytes: MiB });
    const [snapshot] = await suite.engine.createSnapshots([{ name: 's-raw', source: 'raw' }], {
      freeze: true,
    });
    assert.equal(snapshot?.state, 'online');
  });

  it('finds a filesystem that is mounted where only other processes see it', async () => {
    const device = await suite.volume('hidden', 64 * MiB);
    await makeFilesystem('ext4', device);
    const at = place('hidden');
    await mkdir(at);
    const script = `mount ${device} ${at} && echo text > ${at}/file && echo ready && read end`;
    const other = spawn('unshare', ['--mount', 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const undo = suite.cleanup.defer('end the other mount namespace', async () => {
      other.stdin!.end('\n');
      await once(other, 'exit');
    });
    await once(other.stdout!, 'data');
    await suite.engine.createSnapshots([{ name: 's-hidden', source: 'hidden' }], { freeze: true });
    await undo();
    await suite.whileAttached('s-hidden', async (each) => assert.equal(await needsRecovery(each), false));
  });

  it('is refused where somebody has the device for himself and no filesystem on it is to be seen', async () => {
    const device = await suite.volume('claimed', MiB);
    const freeze = () =>
      suite.engine.createSnapshots([{ name: 's-claimed', source: 'claimed' }], { freeze: true });
    // As a filesystem on LVM or LUKS has it, or btrfs.
    const fd = openSync(device, constants.O_RDONLY | constants.O_EXCL);
    try {
      await assert.rejects(freeze(), {
        code: 'WrongState',
        message: /volume claimed: .*claimed it.* Nothing was cut/,
      });
    } finally {
      closeSync(fd);
    }
    const [snapshot] = await freeze();
    assert.equal(snapshot?.state, 'online');
  });

  it('is thawed when the engine is gone', async () => {
    const { device } = await suite.engine.getVolume('a');
    const { child, told } = await frozenBy([{ path: place('a'), device: numberOf(device) }]);
    assert.equal(told.kind, 'frozen');
    assert.ok(await isFrozen('a'));
    child.stdin!.destroy();
    await once(child, 'exit');
    assert.equal(await isFrozen('a'), false);
  });

  it('freezes nothing when one of its filesystems is not what was meant', async () => {
    const [a, b] = await Promise.all(['a', 'b'].map((name) => suite.engine.getVolume(name)));
    const { child, told } = await frozenBy([
      { path: place('a'), device: numberOf(a!.device) },
      { path: suite.directory, device: numberOf(b!.device) },
    ]);
    assert.match(told.error!, /is not on device/);
    if (child.exitCode === null) await once(child, 'exit');
    assert.equal(await isFrozen('a'), false);
  });

  it('is thawed by the next engine when both died', async () => {
    const { device } = await suite.engine.getVolume('a');
    const { child } = await frozenBy([{ path: place('a'), device: numberOf(device) }]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const sequence = readFileSync(`/sys/block/${path.basename(device)}/diskseq`, 'utf8').trim();
    const { runDirectory } = suite.standalone;
    const mnt = readdirSync(runDirectory).find((name) => name.startsWith('mnt-'));
    writeFileSync(path.join(runDirectory, `frozen-${mnt}-1-1`), JSON.stringify([{ device, sequence }]));
    // Should that be in vain, it must not stay frozen: what is unmounted then can never be thawed.
    const undo = suite.cleanup.defer('thaw', () => attempt('fsfreeze', ['--unfreeze', place('a')]));
    assert.ok(await isFrozen('a'));
    await suite.standalone.killChild();
    await until('it is thawed', async () => !(await isFrozen('a')), 60_000);
    await undo();
  });

  /** Kills whoever is there for that, as want of memory may. Whether there was one. */
  function killFreezer(mode: 'freeze' | 'thaw'): boolean {
    const found = childrenOf(process.pid).filter((pid) => {
      const args = attemptRead(`/proc/${pid}/cmdline`).split('\0');
      return args[args.indexOf(freezer) + 1] === mode;
    });
    for (const pid of found) process.kill(pid, 'SIGKILL');
    return found.length > 0;
  }

  /** Like an engine, of a volume that it has; with a place for its notes. */
  async function cutBeside(during: () => Promise<void>) {
    const { id, name, device } = await suite.engine.getVolume('a');
    const undo = suite.cleanup.defer('thaw', () => attempt('fsfreeze', ['--unfreeze', place('a')]));
    const notes = place('notes');
    await mkdir(notes, { recursive: true });
    const freezing = () => new Freezing(path.join(notes, 'mnt-x'));
    const { whole } = await freezing().during([{ id, name, device }], during);
    return { whole, undo, left: () => readdirSync(notes), next: freezing };
  }

  it('is thawed when the freezer is killed, and is not told to be whole', async () => {
    const { whole, undo, left } = await cutBeside(async () => assert.ok(killFreezer('freeze')));
    assert.equal(whole, false);
    assert.equal(await isFrozen('a'), false);
    assert.deepEqual(left(), []);
    await undo();
  });

  it('is thawed by the next engine when all were killed that would have thawed it', async () => {
    let killing: NodeJS.Timeout | undefined;
    const { whole, undo, left, next } = await cutBeside(async () => {
      assert.ok(killFreezer('freeze'));
      killing = setInterval(() => killFreezer('thaw'), 5);
    }).finally(() => clearInterval(killing));
    assert.equal(whole, false);
    assert.equal(left().length, 1);
    assert.ok(await isFrozen('a'));
    await next().thawLeftovers();
    assert.equal(await isFrozen('a'), false);
    assert.deepEqual(left(), []);
    await undo();
  });
});
