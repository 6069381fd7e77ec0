/**
 * A load of everything that volumes are used for, with an account of what each must show: a filesystem under a verifying
 * fio, a device whose every acknowledged write is known, and beside them cuts, syncs, restores, clones, growing and
 * deleting, one after the other for as long as it goes on.
 *
 * The engine may be killed at any time meanwhile: a call that is not answered is repeated until it is.
 */
import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlashCopyError } from '../../src/base/errors.ts';
import { Accountant, assertVersions, PauseMeter, SLOTS, type Versions } from './accountant.ts';
import { checksum, DirectFile, MiB, readTag, SECTOR, tagSector, withDirectFile } from './disks.ts';
import type { EngineSuite } from './engine-suite.ts';
import { checkFilesystem, makeFilesystem, mount } from './filesystems.ts';
import { VerifyingWriter } from './fio.ts';
import { untilCopied } from './standalone.ts';

const RAW_BYTES = 64 * MiB;
const FILES_BYTES = 256 * MiB;
const LOAD_BYTES = 32 * MiB;
const GROWN_MAX = 96 * MiB;
const STEP_BYTES = 4 * MiB;
/** Snapshots kept at a time. */
const MOMENTS_MAX = 6;

/** Until it is answered, however often the engine dies meanwhile. `done`: what a repetition is told when it was done. */
export async function surely<T>(ask: () => Promise<T>, done?: string): Promise<T | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof FlashCopyError)) throw error;
      if (error.code === done && tries > 1) return undefined;
      if (error.code !== 'Unavailable' || tries === 50) throw error;
    }
  }
}

type Moment = { name: string; versions: Versions };

export class MixedLoad {
  /** How often each kind of thing was done. */
  readonly counts: Record<string, number> = {};
  pauses!: PauseMeter;
  readonly #suite: EngineSuite;
  readonly #moments: Moment[] = [];
  #backup: Versions = new Array<number>(SLOTS).fill(0);
  #accountant!: Accountant;
  #raw!: DirectFile;
  #verifying!: VerifyingWriter;
  #unmount!: () => Promise<void>;
  #working: Promise<void> = Promise.resolve();
  #failure: Error | undefined;
  #stopped = false;
  #names = 0;

  constructor(suite: EngineSuite) {
    this.#suite = suite;
  }

  /** Makes its volumes and begins. */
  async begin(): Promise<void> {
    const suite = this.#suite;
    const files = await suite.volume('files', FILES_BYTES);
    await makeFilesystem('ext4', files);
    const place = path.join(suite.directory, 'mounted');
    this.#unmount = await mount(suite.cleanup, files, place, 'ext4');
    const raw = await suite.volume('raw', RAW_BYTES);
    await suite.copy('map', 'raw', 'backup');
    await suite.volume('growing', STEP_BYTES);
    this.#raw = await DirectFile.open(raw, 'write');
    const close = suite.cleanup.defer('close the device', () => this.#raw.close());
    this.pauses = new PauseMeter(this.#raw);
    this.#accountant = new Accountant(this.#raw);
    this.#verifying = new VerifyingWriter(path.join(place, 'load'), LOAD_BYTES, suite.cleanup);
    this.#closeRaw = close;
    this.#accountant.begin();
    this.#working = this.#work().catch((error: Error) => {
      this.#failure = error;
    });
  }

  #closeRaw: () => Promise<void> = async () => {};

  get writes(): number {
    return this.#accountant.writes;
  }

  /** Returns when one more thing was done, or has not been for so long. */
  async untilActed(timeoutMs: number): Promise<void> {
    const done = () => Object.values(this.counts).reduce((sum, times) => sum + times, 0);
    const before = done();
    for (const end = Date.now() + timeoutMs; done() === before && Date.now() < end; ) await sleep(20);
  }

  /** What went wrong, as soon as it did. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Ends it; then everything is compared once more. */
  async end(): Promise<void> {
    this.#stopped = true;
    await this.#working;
    await this.#accountant.pause();
    await this.pauses.end();
    await this.#closeRaw();
    if (this.#failure !== undefined) throw this.#failure;
    await this.#verifying.end();
    await this.#compareAll();
  }

  async #compareAll(): Promise<void> {
    const { engine } = this.#suite;
    await this.#expect('raw', this.#accountant.versions);
    for (const { name, versions } of this.#moments) await this.#expect(name, versions);
    await this.#expect('backup', this.#backup);
    await surely(() => engine.syncMapping('map'));
    await untilCopied(engine, 'map');
    const sums = [];
    for (const name of ['raw', 'backup']) {
      const device = (await surely(() => engine.attachVolume(name)))!;
      sums.push(await checksum(device, RAW_BYTES));
    }
    assert.equal(sums[1], sums[0], 'a synced copy is its source');
    await this.#unmount();
    await checkFilesystem('ext4', (await engine.getVolume('files')).device);
  }

  async #work(): Promise<void> {
    const acts = { cut: 4, sync: 3, restore: 2, look: 2, grow: 3, group: 1 };
    const deck = Object.entries(acts).flatMap(([kind, times]) => new Array<string>(times).fill(kind));
    while (!this.#stopped) {
      const kind = deck[randomInt(deck.length)] as keyof typeof acts;
      await this[kind]();
      this.counts[kind] = (this.counts[kind] ?? 0) + 1;
      await sleep(randomInt(30));
    }
  }

  private async cut(): Promise<void> {
    const { engine } = this.#suite;
    const name = `moment-${++this.#names}`;
    const versions = await this.#accountant.between(() =>
      surely(() => engine.createSnapshots([{ name, source: 'raw' }])),
    );
    this.#moments.push({ name, versions });
    if (this.#moments.length > MOMENTS_MAX) await this.#dropMoment();
  }

  /** Looks at it for the last time; not always the oldest goes. */
  async #dropMoment(): Promise<void> {
    const [moment] = this.#moments.splice(randomInt(this.#moments.length), 1);
    await this.#expect(moment!.name, moment!.versions);
    await surely(() => this.#suite.engine.deleteSnapshot(moment!.name), 'VolumeNotFound');
    this.counts['delete'] = (this.counts['delete'] ?? 0) + 1;
  }

  private async sync(): Promise<void> {
    const request = randomUUID();
    this.#backup = await this.#accountant.between(() =>
      surely(() => this.#suite.engine.syncMapping('map', request)),
    );
    await this.#expect('backup', this.#backup);
  }

  /** A snapshot becomes a volume of its own; what is written there is seen there only. */
  private async restore(): Promise<void> {
    const { engine } = this.#suite;
    const moment = this.#moments[randomInt(Math.max(1, this.#moments.length))];
    if (moment === undefined) return;
    const name = `restored-${++this.#names}`;
    await surely(() => engine.cloneVolume(moment.name, { name, sizeBytes: 0, copyRate: 150 }));
    await this.#expect(name, moment.versions, async (file) => {
      await file.write(SLOTS * SECTOR, tagSector(name));
    });
    await this.#expect(moment.name, moment.versions);
    await surely(() => engine.deleteVolume(name), 'VolumeNotFound');
  }

  private async look(): Promise<void> {
    const moment = this.#moments[randomInt(Math.max(1, this.#moments.length))];
    if (moment !== undefined) await this.#expect(moment.name, moment.versions);
  }

  /** Grows step by step, a tag in the last sector of each; then begins anew. */
  private async grow(): Promise<void> {
    const { engine } = this.#suite;
    const { sizeBytes } = (await surely(() => engine.getVolume('growing')))!;
    if (sizeBytes >= GROWN_MAX) {
      await surely(() => engine.detachVolume('growing'));
      await surely(() => engine.deleteVolume('growing'), 'VolumeNotFound');
      await surely(() => engine.createVolume({ name: 'growing', sizeBytes: STEP_BYTES }));
      return;
    }
    await surely(() => engine.growVolume('growing', sizeBytes + STEP_BYTES));
    const device = (await surely(() => engine.attachVolume('growing')))!;
    await withDirectFile(device, 'write', async (file) => {
      for (let end = 2 * STEP_BYTES; end < sizeBytes; end += STEP_BYTES)
        assert.equal(readTag(await file.read(end - SECTOR, SECTOR)), `end ${end}`);
      const end = sizeBytes + STEP_BYTES;
      assert.equal(readTag(await file.read(end - SECTOR, SECTOR)), '', 'what grew is zeros');
      await file.write(end - SECTOR, tagSector(`end ${end}`));
    });
  }

  /** Two volumes at one instant. */
  private async group(): Promise<void> {
    const { engine } = this.#suite;
    const names = [`group-${++this.#names}`, `group-${this.#names}-files`];
    const sources = ['raw', 'files'];
    const requests = names.map((name, i) => ({ name, source: sources[i]! }));
    const versions = await this.#accountant.between(() => surely(() => engine.createSnapshots(requests)));
    await this.#expect(names[0]!, versions);
    for (const name of names) await surely(() => engine.deleteSnapshot(name), 'VolumeNotFound');
  }

  /** Attached for as long as it is compared, and whatever is done then. */
  async #expect(
    name: string,
    versions: Versions,
    then: (file: DirectFile) => Promise<void> = async () => {},
  ): Promise<void> {
    const { engine } = this.#suite;
    const device = (await surely(() => engine.attachVolume(name)))!;
    await assertVersions(device, versions, name);
    if (name.startsWith('restored-')) await withDirectFile(device, 'write', then);
    if (name !== 'raw') await surely(() => engine.detachVolume(name));
  }
}
