/**
 * `npm run demo`: FlashCopy on this machine, with a real filesystem and real files, in about twenty seconds.
 *
 * Says what it shows as it goes, runs the commands that it prints, and checks every claim, by checksum where content
 * is meant. Ends with 0 only if all of them are true. Leaves nothing behind, whatever happens.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Cleanup } from '../support/cleanup.ts';
import { CommandFailed, run } from '../support/commands.ts';
import { checksum, MiB, readTag, SECTOR, temporaryDirectory } from '../support/disks.ts';
import { checkFilesystem, checksumFiles, makeFilesystem, mount } from '../support/filesystems.ts';
import { flashcopy, Standalone } from '../support/standalone.ts';
import { claim, claimsMade, progress, say, scene, showCommand, title } from './stage.ts';

const VOLUME_BYTES = 512 * MiB;
const PICTURES = 120;
const DATABASE_BYTES = 64 * MiB;

const mib = (bytes: number): string => {
  const value = bytes / MiB;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} MiB`;
};
const count = (value: number): string => value.toLocaleString('en-US');
const short = (sum: string): string => `${sum.slice(0, 12)}…`;

/** The program that goes on writing while copies are taken. */
class Writer {
  readonly #child: ChildProcess;
  #ended: Promise<void> | undefined;
  constructor(cleanup: Cleanup, directory: string) {
    const files = ['journal', 'database'].map((name) => path.join(directory, name));
    this.#child = fork(new URL('./writer.ts', import.meta.url), files);
    cleanup.defer('end the writer', () => this.end());
  }

  /** The number of the last record that is durable. */
  async howFar(): Promise<number> {
    const answer = once(this.#child, 'message');
    this.#child.send('how far?');
    return (await answer)[0] as number;
  }

  end(): Promise<void> {
    this.#ended ??= (async () => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
      const exit = once(this.#child, 'exit');
      this.#child.send('end');
      await exit;
    })();
    return this.#ended;
  }
}

class Demo {
  readonly cleanup: Cleanup;
  readonly directory: string;
  readonly standalone: Standalone;

  constructor(cleanup: Cleanup, directory: string, standalone: Standalone) {
    this.cleanup = cleanup;
    this.directory = directory;
    this.standalone = standalone;
  }

  get engine() {
    return this.standalone.engine;
  }

  /** A command as its user types it; the answer is what it prints. */
  async command(text: string): Promise<string> {
    showCommand(`flashcopy ${text}`);
    const args = [...text.split(' '), '--endpoint', `unix://${this.standalone.endpoint}`];
    const { status, stdout, stderr } = await flashcopy(...args);
    if (status !== 0) throw new CommandFailed(['flashcopy', ...args], status, stderr + stdout);
    return stdout.trim();
  }

  mountPoint(name: string): string {
    return path.join(this.directory, name);
  }

  mount(device: string, name: string): Promise<() => Promise<void>> {
    return mount(this.cleanup, device, this.mountPoint(name), 'ext4');
  }
}

async function fillWithFiles(directory: string): Promise<void> {
  await mkdir(path.join(directory, 'pictures'));
  for (let at = 1; at <= PICTURES; at++) {
    await writeFile(path.join(directory, 'pictures', `${at}.jpg`), randomBytes(MiB));
  }
  await writeFile(path.join(directory, 'database'), randomBytes(DATABASE_BYTES));
  await run('sync', ['--file-system', directory]);
}

const pictureSums = (directory: string): Promise<Map<string, string>> =>
  checksumFiles(path.join(directory, 'pictures'));

/** How many files have another checksum, or are missing or new. */
function differences(a: Map<string, string>, b: Map<string, string>): number {
  const names = new Set([...a.keys(), ...b.keys()]);
  return [...names].filter((name) => a.get(name) !== b.get(name)).length;
}

/** The number of the last record of a journal, all of whose records are whole and in order. */
function lastRecord(journal: string): number {
  const bytes = readFileSync(journal);
  const records = bytes.length / SECTOR;
  for (let at = 0; at < records; at++) {
    const tag = readTag(bytes.subarray(at * SECTOR, (at + 1) * SECTOR));
    if (tag !== `record ${at + 1}`) claim(`record ${at + 1} of the journal is in its place`, false, tag);
  }
  return records;
}

async function showVolume(demo: Demo): Promise<{ source: string; unmount: () => Promise<void> }> {
  scene('A volume with real files');
  await demo.command('volume create data 512Mi');
  const device = await demo.command('volume attach data');
  await makeFilesystem('ext4', device);
  const unmount = await demo.mount(device, 'data');
  await fillWithFiles(demo.mountPoint('data'));
  const { allocatedBytes } = await demo.engine.getVolume('data');
  say(`${device} carries ext4 with ${PICTURES} pictures and a database.`);
  claim(
    `A volume takes only what is written: ${mib(allocatedBytes)} of its 512 MiB.`,
    allocatedBytes < VOLUME_BYTES * 0.75,
    mib(allocatedBytes),
  );
  return { source: device, unmount };
}

type Copy = { device: string; sum: string; record: { atLeast: number; atMost: number } };

async function showCut(demo: Demo, writer: Writer): Promise<Copy> {
  scene('FlashCopy while a program writes');
  await demo.command('volume create backup 512Mi');
  await demo.command('map create nightly data backup --incremental --copy-rate 0');
  say('Copy rate 0: for now nothing may be copied in the background. The writer does not stop for the cut.');
  const atLeast = await writer.howFar();
  await demo.command('map start nightly');
  const atMost = (await writer.howFar()) + 1;
  const { lastPauseUs } = await demo.engine.counters();
  claim(
    `The cut fell while the writer went from record ${count(atLeast)} to ${count(atMost)}. It held writes for ${(lastPauseUs / 1000).toFixed(2)} ms.`,
    atMost > atLeast,
  );
  const device = await demo.command('volume attach backup');
  return { device, sum: await checksum(device, VOLUME_BYTES), record: { atLeast, atMost } };
}

async function showFakeRead(demo: Demo, writer: Writer, copy: Copy): Promise<void> {
  scene('Fake read: the copy is there before anything was copied');
  const { grainsCopiedInBackground } = await demo.engine.counters();
  claim(
    'The background copy has copied 0 bytes.',
    grainsCopiedInBackground === 0,
    `${grainsCopiedInBackground}`,
  );
  say(`And yet all of ${copy.device} could be read just now; its checksum was ${short(copy.sum)}.`);
  const now = await writer.howFar();
  const again = await checksum(copy.device, VOLUME_BYTES);
  const counters = await demo.engine.counters();
  claim(
    `The writer is at record ${count(now)} now, and the copy still has checksum ${short(again)}: it shows the moment of the cut.`,
    again === copy.sum && now > copy.record.atMost,
    short(again),
  );
  const { grainBytes } = await demo.engine.getVolume('data');
  say(
    `What the writer overwrites is saved for the copy first: ${mib(counters.grainsCopiedOnWrite * grainBytes)} until now.`,
  );
}

async function showContent(
  demo: Demo,
  copy: Copy,
  pictures: Map<string, string>,
): Promise<() => Promise<void>> {
  scene('The copy is a filesystem like any other, and yours to change');
  const unmount = await demo.mount(copy.device, 'backup');
  const backup = demo.mountPoint('backup');
  const wrong = differences(pictures, await pictureSums(backup));
  claim(`All ${PICTURES} pictures in it have their checksums.`, wrong === 0, `${wrong} differ`);
  const record = lastRecord(path.join(backup, 'journal'));
  const { atLeast, atMost } = copy.record;
  claim(
    `Its journal ends with record ${count(record)}: everything that was durable before the cut (${count(atLeast)}), nothing that was written after it (${count(atMost)}).`,
    record >= atLeast && record <= atMost,
    count(record),
  );
  await writeFile(path.join(backup, 'note'), 'written to the copy\n');
  await rm(path.join(backup, 'pictures/1.jpg'));
  await run('sync', ['--file-system', backup]);
  const untouched = existsSync(path.join(demo.mountPoint('data'), 'pictures/1.jpg'));
  const unseen = !existsSync(path.join(demo.mountPoint('data'), 'note'));
  claim(
    'A note written to the copy and a picture deleted there: the source sees neither.',
    untouched && unseen,
  );
  return unmount;
}

async function showBackgroundCopy(demo: Demo, copy: Copy): Promise<void> {
  scene('Background copy: it becomes independent');
  const before = await checksum(copy.device, VOLUME_BYTES);
  await demo.command('map rate nightly 100');
  await progress('MiB', async () => {
    const { copiedBytes, totalBytes, state } = await demo.engine.getMapping('nightly');
    return {
      done: Math.round(copiedBytes / MiB),
      total: Math.round(totalBytes / MiB),
      complete: state === 'copied',
    };
  });
  const after = await checksum(copy.device, VOLUME_BYTES);
  claim(
    `The copy holds everything itself now, and its checksum did not change: ${short(after)}.`,
    before === after,
  );
}

async function changeSource(demo: Demo): Promise<void> {
  const data = demo.mountPoint('data');
  await writeFile(path.join(data, 'pictures/new.jpg'), randomBytes(2 * MiB));
  await rm(path.join(data, 'pictures/7.jpg'));
  const picture = await open(path.join(data, 'pictures/8.jpg'), 'r+');
  await picture.write(randomBytes(64 * 1024), 0, 64 * 1024, 128 * 1024);
  await picture.close();
}

async function showSync(
  demo: Demo,
  source: string,
  copy: Copy,
  unmountSource: () => Promise<void>,
): Promise<void> {
  scene('Sync: only what changed is copied');
  const { grainBytes } = await demo.engine.getVolume('data');
  // Unmounted, so that nothing writes any more and both can be compared whole.
  await unmountSource();
  const changed = (await demo.engine.getMapping('nightly')).changedBytes;
  const before = await demo.engine.counters();
  say(
    `Since the cut the source was changed by the writer and by hand, the copy by you: ${mib(changed)} differ.`,
  );
  const start = performance.now();
  await demo.command('map sync nightly --wait');
  const tookMs = performance.now() - start;
  const after = await demo.engine.counters();
  const copied = (after.grainsCopiedInBackground - before.grainsCopiedInBackground) * grainBytes;
  say(`Changed: ${mib(changed)}. Copied: ${mib(copied)} of 512 MiB, in ${(tookMs / 1000).toFixed(1)} s.`);
  claim('Exactly what was changed was copied.', copied === changed, mib(copied));
  const [a, b] = [await checksum(source, VOLUME_BYTES), await checksum(copy.device, VOLUME_BYTES)];
  claim(`Source and copy are equal in every byte: ${short(a)} and ${short(b)}.`, a === b);
  await checkFilesystem('ext4', copy.device);
  claim('The copy passes e2fsck.', true);
}

async function showRestore(demo: Demo, source: string): Promise<void> {
  scene('Restore: back to before the accident');
  await demo.mount(source, 'data');
  const data = demo.mountPoint('data');
  const good = await pictureSums(data);
  await run('sync', ['--file-system', data]);
  await demo.command('snapshot create data:before');
  for (const name of await readdir(path.join(data, 'pictures'))) {
    await writeFile(path.join(data, 'pictures', name), 'overwritten by accident');
  }
  await run('sync', ['--file-system', data]);
  const lost = differences(good, await pictureSums(data));
  say(`An accident: ${lost} of ${good.size} pictures are overwritten.`);
  const start = performance.now();
  await demo.command('snapshot restore before rescued');
  const device = await demo.command('volume attach rescued');
  const tookMs = performance.now() - start;
  const unmount = await demo.mount(device, 'rescued');
  const wrong = differences(good, await pictureSums(demo.mountPoint('rescued')));
  claim(
    `${(tookMs / 1000).toFixed(1)} s later all ${good.size} are back on a new volume, each with its checksum.`,
    wrong === 0 && lost === good.size,
    `${wrong} differ`,
  );
  await unmount();
}

async function play(cleanup: Cleanup): Promise<void> {
  const start = performance.now();
  title('FlashCopy: a copy at once, its content later');
  if (process.getuid?.() !== 0)
    throw new Error('The demo mounts filesystems: run it as root (sudo npm run demo).');
  const directory = temporaryDirectory(cleanup, 3 * VOLUME_BYTES);
  const pool = path.join(directory, 'pool');
  showCommand(`flashcopy standalone --pool ${pool}`);
  const demo = new Demo(cleanup, directory, await Standalone.start(cleanup, pool));

  const { source, unmount } = await showVolume(demo);
  const data = demo.mountPoint('data');
  const pictures = await pictureSums(data);
  const writer = new Writer(cleanup, data);
  await writer.howFar();
  const copy = await showCut(demo, writer);
  await showFakeRead(demo, writer, copy);
  const unmountCopy = await showContent(demo, copy, pictures);
  await writer.end();
  await unmountCopy();
  await showBackgroundCopy(demo, copy);
  await changeSource(demo);
  await showSync(demo, source, copy, unmount);
  await showRestore(demo, source);

  say('');
  await cleanup.all();
  claim('Nothing is left: no process, no mount, no device, no file.', !existsSync(directory));
  const tookS = ((performance.now() - start) / 1000).toFixed(0);
  title(`${claimsMade()} claims, all true, in ${tookS} s.`);
}

const cleanup = new Cleanup();
await cleanup.guard(() => play(cleanup));
